import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.patch import FILE, Change, Patch
from sandbox.trees import Base, TreeStore
from tasks.protection import (
    exactly,
    forbidden_patterns,
    freed,
    hidden_by,
    matches,
    protected_patterns,
    violations,
)
from tasks.task import Checks


@pytest.mark.parametrize(
    ("ecosystem", "path"),
    [
        ("python", "test_code.py"),
        ("python", "src/pkg/tests/helpers.py"),
        ("python", "tests/data/expected.json"),
        ("python", "pkg/code_test.py"),
        ("python", "deep/conftest.py"),
        ("python", "pyproject.toml"),
        ("python", "setup.cfg"),
        ("python", "requirements-dev.txt"),
        ("python", ".github/workflows/ci.yml"),
        ("python", ".gitattributes"),
        ("node", "src/a.test.ts"),
        ("node", "src/__tests__/a.js"),
        ("node", "package.json"),
        ("node", "package-lock.json"),
        ("go", "pkg/a_test.go"),
        ("go", "pkg/testdata/x"),
        ("rust", "tests/it.rs"),
        ("rust", "Cargo.lock"),
        ("java", "mod/src/test/java/ATest.java"),
        ("java", "pom.xml"),
        ("make", "Makefile"),
        ("python", "polls/tests.py"),
        ("python", "sub/.vscode/tasks.json"),
        ("python", ".claude/settings.json"),
        ("python", "sub/.envrc"),
        ("node", "src/math_test.js"),
        ("node", "packages/a/test/x.mjs"),
        ("unknown", ".gitlab-ci.yml"),
        ("unknown", "tests/run.sh"),
        ("unknown", "pkg/a_test.go"),
    ],
)
def test_tests_and_what_runs_them_are_protected(ecosystem: str, path: str) -> None:
    assert matches(protected_patterns(ecosystem), path)


@pytest.mark.parametrize(
    ("ecosystem", "path"),
    [
        ("python", "src/pkg/code.py"),
        ("python", "django/test/client.py"),
        ("python", "pkg/testing.py"),
        ("python", "pkg/contest.py"),
        ("python", "README.md"),
        ("python", ".gitignore"),
        ("python", "docs/github/x.md"),
        ("node", "src/latest.js"),
        ("go", "pkg/a.go"),
        ("rust", "src/lib.rs"),
        ("java", "src/main/java/A.java"),
    ],
)
def test_code_is_not_protected(ecosystem: str, path: str) -> None:
    assert not matches(protected_patterns(ecosystem), path)


@pytest.mark.parametrize(
    ("ecosystem", "path"),
    [
        ("python", "conftest.py"),
        ("python", "src/conftest.py"),
        ("python", "pytest.ini"),
        ("python", "sub/setup.cfg"),
        ("python", ".pytest.toml"),
        ("python", ".mcp.json"),
        ("python", "bitbucket-pipelines.yml"),
        ("python", "x.pth"),
        ("python", "evil.egg-info/entry_points.txt"),
        ("python", "evil.dist-info/METADATA"),
        ("python", ".github/workflows/x.yml"),
        ("python", ".vscode/tasks.json"),
        ("python", "greenroom.toml"),
        ("node", "node_modules/jest/index.js"),
        ("node", "jest.config.js"),
        ("go", "vendor/modules.txt"),
        ("rust", ".cargo/config.toml"),
        ("java", "src/test/resources/junit-platform.properties"),
        ("make", "GNUmakefile"),
        ("python", "GNUmakefile"),  # read before a Makefile that runs the tests
        ("python", "tests/pyproject.toml"),
    ],
)
def test_additions_that_change_the_run_are_forbidden(ecosystem: str, path: str) -> None:
    assert matches(forbidden_patterns(ecosystem), path)


@pytest.mark.parametrize(
    "path",
    [
        ".VSCode/tasks.json",
        ".vs\u200ccode/tasks.json",
        ".vscode./tasks.json",
        ".vscode::$INDEX_ALLOCATION/tasks.json",
        "sub/.GITATTRIBUTES",
        ".Envrc",
        "jenkinsfile",
        ".GitHub/workflows/x.yml",
    ],
)
def test_what_runs_elsewhere_is_held_in_any_spelling(path: str) -> None:
    assert matches(protected_patterns("python"), path)
    assert matches(forbidden_patterns("python"), path)
    assert not matches((*forbidden_patterns("python"), f"!{path}"), path)


@pytest.mark.parametrize("path", ["tests/test_new.py", "src/pkg/new.py", "docs/x.md", "data.csv"])
def test_new_tests_and_code_are_welcome(path: str) -> None:
    assert not matches(forbidden_patterns("python"), path)


def test_the_users_own_patterns_come_last_and_can_free() -> None:
    patterns = protected_patterns("python", ("/golden/", "!tests/helpers.py", "!/setup.cfg"))
    assert matches(patterns, "golden/x")
    assert not matches(patterns, "tests/helpers.py")
    assert not matches(patterns, "setup.cfg")
    assert matches(patterns, "tests/test_a.py")
    assert freed(patterns, "setup.cfg")


def test_violations_name_each_change_and_why(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = TreeStore.create(tmp_path_factory.mktemp("store") / "trees")
    tree = store.add_tree(
        [("code.py", FILE, b""), ("tests/test_a.py", FILE, b""), ("tests/test_b.py", FILE, b"")]
    )
    checks = Checks(
        "pytest",
        "pytest",
        protected=protected_patterns("python"),
        forbidden_additions=(*forbidden_patterns("python"), "!/tomllib.py"),
    )
    patch = Patch(
        (
            Change("code.py", FILE, b"1"),
            Change("conftest.py", FILE, b"1"),
            Change("random.py", FILE, b"1"),
            Change("tomllib.py", FILE, b"1"),
            Change("tests/test_a.py", FILE, b"1"),
            Change("tests/test_b.py", None, None),
            Change("tests/test_c.py", FILE, b"1"),
            Change("setup.py", None, None),
        )
    )
    found = {v.path: str(v) for v in violations(checks, Base(store, tree), patch)}
    assert set(found) == {"conftest.py", "random.py", "tests/test_a.py", "tests/test_b.py"}
    assert found["tests/test_a.py"] == "tests/test_a.py is protected"
    assert "change how tests run" in found["conftest.py"]
    assert "in the place of a module" in found["random.py"]


@given(st.text(st.characters(blacklist_characters="/\0\n", codec="utf-8"), min_size=1))
def test_the_pattern_of_one_file_matches_it_and_no_other(name: str) -> None:
    if name not in (".", ".."):
        assert matches((exactly(f"a/{name}"),), f"a/{name}")
        assert not matches((exactly(f"a/{name}"),), f"a/{name}x")
        assert not matches((exactly(f"a/{name}"),), f"b/{name}")


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("tests/test_a/__init__.py", "tests/test_a.py"),
        ("tests/cases/__init__.py", "tests/cases.py"),
        ("tests/test_a.cpython-311-x86_64-linux-gnu.so", "tests/test_a.py"),
        ("test_hidden/__init__.py", "test_hidden.py"),
        ("code/__init__.py", ""),  # not protected: the project's own business
        ("tests/test_new/__init__.py", ""),
        ("tests/test_a/data.txt", ""),
    ],
)
def test_a_module_beside_a_protected_one_of_its_name_hides_it(path: str, other: str) -> None:
    hidden = Patch((Change("test_hidden.py", FILE, b""),))
    checks = Checks("pytest", "pytest", protected=protected_patterns("python"), hidden=hidden)
    assert hidden_by(path, {"code.py", "tests/test_a.py", "tests/cases.py"}, checks) == other
