import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import checkouts
from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.trees import TreeStore
from tasks.suites import suite
from tasks.suites.exercism.exercise import Exercise
from tasks.suites.folders import Found
from tasks.verify import verify

OTHERS = ("rust", "go", "javascript", "java")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("polyglot")
    checkouts.exercism(folder, 2, OTHERS)
    (folder / "html/exercises/practice/page/.meta").mkdir(parents=True)
    (folder / "html/exercises/practice/page/.meta/config.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("trees") / "store")


def test_exercises_of_all_languages_are_tasks(checkout: Path) -> None:
    assert suite.find(f"exercism:{checkout}").names() == (
        *("go.twice", "html.page", "java.twice", "javascript.twice"),
        *("python.count-even", "python.digit-sum", "rust.twice"),
    )


def test_a_track_by_itself_needs_no_language_in_its_names(checkout: Path, store: TreeStore) -> None:
    place = f"exercism:{checkout}/python"
    assert suite.find(place).names() == ("count-even", "digit-sum")
    assert suite.load(f"{place}/count-even", store).checks.framework == "pytest"


def test_a_model_sees_the_stub_and_neither_tests_nor_solutions(
    checkout: Path, store: TreeStore
) -> None:
    task = suite.load(f"exercism:{checkout}/python.count-even", store)
    assert list(store.modes(task.base.tree)) == ["count_even.py"]
    assert store.blob(task.base.tree, "count_even.py") == b"def count_even(numbers):\n    pass\n"
    assert not task.checks.visible
    assert task.checks.tries == 2
    assert task.checks.hidden
    assert task.checks.hidden.paths == ("count_even_test.py",)
    assert task.checks.expected[0] == "count_even_test.py::Count_EvenTest::test_case_0"
    words = "An exercise of our own.", "How many of the numbers are even.", "print nothing"
    assert [word for word in words if word in task.instruction] == list(words)
    assert "Implement this in count_even.py." in task.instruction


def test_helpers_of_tests_are_hidden_and_all_tests_run(checkout: Path, store: TreeStore) -> None:
    go = suite.load(f"exercism:{checkout}/go.twice", store)
    assert go.checks.hidden
    assert go.checks.hidden.paths == ("cases_test.go", "twice_test.go")
    assert list(store.modes(go.base.tree)) == ["go.mod", "twice.go"]
    assert go.checks.expected == ("twice::TestTwice",)
    assert go.image.apt == ("golang-go",)
    rust = suite.load(f"exercism:{checkout}/rust.twice", store)
    assert rust.checks.expected == ("tests/twice.rs::zero", "tests/twice.rs::three")
    assert "--include-ignored" in rust.checks.test_command
    script = suite.load(f"exercism:{checkout}/javascript.twice", store)
    assert script.checks.hidden
    assert b"  test('three'" in (script.checks.hidden.changes[0].content or b"")
    (install,) = script.image.installs
    assert "eslint" not in str(dict(install.files))


def test_gold_is_the_example_in_the_place_of_the_stub(checkout: Path) -> None:
    gold = suite.gold(f"exercism:{checkout}/java.twice") or b""
    assert b"b/src/main/java/Twice.java" in gold
    assert b"b/src/main/java/Helper.java" in gold


def test_what_cannot_be_tested_here_says_why(checkout: Path, store: TreeStore) -> None:
    for name, why in (("java.twice", "Gradle"), ("html.page", "exercises in html")):
        with pytest.raises(suite.Unsupported, match=why):
            suite.load(f"exercism:{checkout}/{name}", store)


def test_several_files_of_a_solution_each_find_their_place() -> None:
    files = {
        "solution": ["bank_account.cpp", "bank_account.h"],
        "test": ["bank_account_test.cpp"],
        "example": [".meta/example.h", ".meta/example.cpp"],
    }
    contents = {
        ".meta/config.json": json.dumps({"files": files}),
        ".meta/example.cpp": "code",
        ".meta/example.h": "header",
        "bank_account_test.cpp": "test",
        "test/catch.hpp": "catch",
        "CMakeLists.txt": "cmake",
    }
    found = {path: Found(text.encode()) for path, text in contents.items()}
    exercise = Exercise("bank-account", found)
    assert exercise.gold == {
        "bank_account.cpp": Found(b"code"),
        "bank_account.h": Found(b"header"),
    }
    assert set(exercise.tests) == {"bank_account_test.cpp", "test/catch.hpp"}
    assert set(exercise.seen) == {"CMakeLists.txt"}


def test_nobody_writes_a_manifest_and_no_example_that_needs_another_is_used() -> None:
    listed = {"solution": ["src/lib.rs", "Cargo.toml"], "test": ["tests/a.rs"]}
    contents = {
        ".meta/config.json": json.dumps({"files": {**listed, "example": [".meta/example.rs"]}}),
        ".meta/example.rs": "code",
        "Cargo.toml": "manifest",
        "tests/a.rs": "test",
    }
    found = {path: Found(text.encode()) for path, text in contents.items()}
    exercise = Exercise("a", found)
    assert exercise.solution == ("src/lib.rs",)
    assert exercise.gold == {"src/lib.rs": Found(b"code")}
    assert set(exercise.seen) == {"Cargo.toml"}
    listed["solution"].pop(0)
    only = Found(json.dumps({"files": listed}).encode())
    with pytest.raises(suite.Unsupported, match="only a manifest"):
        assert Exercise("a", {**found, ".meta/config.json": only}).solution
    needing = {**found, ".meta/Cargo-example.toml": Found(b"[dependencies]\nrand = '1'\n")}
    assert Exercise("a", needing).gold is None


def test_a_folder_without_exercises_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no exercises"):
        suite.find(f"exercism:{tmp_path}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
)
KINDS = st.sampled_from(["solution", "test", "example", "editor"])
LISTS = st.lists(st.sampled_from(["a.py", ".meta/example.py", "a_test.py", "../x", "/", ""]) | JSON)


@given(JSON | st.fixed_dictionaries({"files": st.dictionaries(KINDS, LISTS) | JSON}))
def test_any_configuration_gives_files_or_says_why_not(config: object) -> None:
    files = {
        ".meta/config.json": Found(json.dumps(config).encode()),
        ".meta/example.py": Found(b"solution"),
        "a.py": Found(b"stub"),
        "a_test.py": Found(b"test"),
    }
    exercise = Exercise("a", files)
    try:
        assert not any(path.startswith(".meta") for path in exercise.seen)
        assert set(exercise.tests) <= set(files)
        assert exercise.gold is None or set(exercise.gold) <= set(exercise.solution)
    except suite.Unsupported as error:
        assert error.message.startswith("a: ")


@pytest.mark.docker
async def test_a_clean_room_proves_gold_and_refuses_the_stub(
    checkout: Path, store: TreeStore, image: Image
) -> None:
    found = suite.find(f"exercism:{checkout}")
    task = found.load("python.digit-sum", store)
    gold = store.from_diff(task.base.tree, found.gold("python.digit-sum") or b"")
    verdict = await verify(task, gold, image=image)
    assert (verdict.status, verdict.grade) == ("solved", "proved"), verdict.reasons
    wrong = (found.gold("python.digit-sum") or b"").replace(b"n % 10", b"n % 9")
    verdict = await verify(task, store.from_diff(task.base.tree, wrong), image=image)
    assert verdict.status == "failed"
    assert "has to pass" in verdict.reasons[0]
