from collections.abc import Callable

import pytest

from sandbox.errors import UsageError
from sandbox.patch import FILE
from sandbox.trees import Base, TreeStore
from tasks.detect import TestSetup, detect_tests, framework_of, setup_for
from tasks.reading import RepositoryFiles

Detect = Callable[[dict[str, str]], TestSetup]
UNITTEST = "import unittest\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        pass\n"
PYTEST = "import pytest\n\ndef test_a():\n    pass\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TreeStore:
    return TreeStore.create(tmp_path_factory.mktemp("store") / "trees")


@pytest.fixture
def read(store: TreeStore) -> Callable[[dict[str, str]], RepositoryFiles]:
    def files(contents: dict[str, str]) -> RepositoryFiles:
        tree = store.add_tree((p, FILE, text.encode()) for p, text in contents.items())
        return RepositoryFiles(Base(store, tree))

    return files


@pytest.fixture
def detect(read: Callable[[dict[str, str]], RepositoryFiles]) -> Detect:
    return lambda contents: detect_tests(read(contents))


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"pytest.ini": "", "tests/test_a.py": ""}, "pytest: pytest.ini"),
        (
            {"pyproject.toml": "[tool.pytest.ini_options]\n", "test_a.py": ""},
            "pytest: [tool.pytest.ini_options] in pyproject.toml",
        ),
        (
            {"pyproject.toml": "[tool.pytest]\ntestpaths=['t']\n", "t/a_test.py": ""},
            "pytest: [tool.pytest] in pyproject.toml",
        ),
        ({"tox.ini": "[pytest]\n", "test_a.py": UNITTEST}, "pytest: [pytest] in tox.ini"),
        (
            {"setup.cfg": "[tool:pytest]\n", "test_a.py": UNITTEST},
            "pytest: [tool:pytest] in setup.cfg",
        ),
        ({"tests/conftest.py": "", "tests/test_a.py": UNITTEST}, "pytest: conftest.py"),
        ({"tests/test_a.py": PYTEST}, "pytest: tests/test_a.py imports it"),
        ({"test_a.py": "def test_a():\n    pass\n"}, "pytest: test functions in test_a.py"),
        ({"test_a.py": "class TestA:\n    pass\n"}, "pytest: test classes in test_a.py"),
        (
            {"tox.ini": "[testenv]\ncommands = pytest {posargs}\n", "test_a.py": UNITTEST},
            "pytest: tox.ini names it",
        ),
        (
            {"requirements-dev.txt": "pytest>=7\n", "tests/test_a.py": UNITTEST},
            "pytest: requirements-dev.txt names it",
        ),
    ],
)
def test_pytest_is_found_with_its_reason(
    detect: Detect, files: dict[str, str], reason: str
) -> None:
    found = detect(files)
    assert (found.ecosystem, found.framework) == ("python", "pytest")
    assert found.command == "python3 -m pytest"
    assert found.reasons == (reason,)


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"test_a.py": UNITTEST}, "python3 -m unittest discover -v"),
        ({"tests/test_a.py": UNITTEST}, "python3 -m unittest discover -v -s tests"),
        (
            {"tests/test_a.py": UNITTEST, "tests/__init__.py": ""},
            "python3 -m unittest discover -v -s tests -t .",
        ),
        (
            {"pkg/tests/test_a.py": UNITTEST, "pkg/tests/__init__.py": "", "pkg/__init__.py": ""},
            "python3 -m unittest discover -v -s pkg/tests -t .",
        ),
        ({"a_test.py": UNITTEST}, "python3 -m unittest discover -v -p '*_test.py'"),
        (
            {"test_a.py": UNITTEST, "pytest-notes.md": "pytest", "README": "pytest"},
            "python3 -m unittest discover -v",
        ),
        ({"manage.py": "import django\n", "app/tests.py": UNITTEST}, "python3 manage.py test"),
    ],
)
def test_unittest_is_run_from_where_its_tests_are(
    detect: Detect, files: dict[str, str], command: str
) -> None:
    found = detect(files)
    assert found.framework == "unittest"
    assert found.command == command


@pytest.mark.parametrize(
    ("files", "command", "framework"),
    [
        ({"package.json": '{"scripts": {"test": "jest"}}'}, "npm test", "node"),
        (
            {"package.json": '{"scripts": {"test": "jest"}}', "yarn.lock": ""},
            "yarn test",
            "node",
        ),
        (
            {"package.json": '{"scripts": {"test": "jest"}}', "pnpm-lock.yaml": ""},
            "pnpm test",
            "node",
        ),
        (
            {"package.json": '{"scripts": {"test": "x"}, "packageManager": "pnpm@9.1.0"}'},
            "pnpm test",
            "node",
        ),
        ({"package.json": "{}", "a.test.js": "import 'node:test'"}, "node --test", "node"),
        ({"Cargo.toml": "[package]\nname='x'\n"}, "cargo test --offline", "cargo"),
        ({"go.mod": "module x\n\ngo 1.19\n"}, "go test ./...", "go"),
        ({"pom.xml": "<project/>"}, "mvn -B -o test", "maven"),
        ({"build.gradle.kts": ""}, "gradle --offline test", "gradle"),
        ({"Makefile": "all:\n\ttrue\ntest: all\n\t./run\n"}, "make test", "make"),
        ({"makefile": "check:\n\t./run\n"}, "make check", "make"),
    ],
)
def test_other_ecosystems_are_found(
    detect: Detect, files: dict[str, str], command: str, framework: str
) -> None:
    found = detect(files)
    assert (found.command, found.framework) == (command, framework)
    assert found.reasons


def test_a_python_package_outranks_what_helps_to_build_it(detect: Detect) -> None:
    package = {
        "pyproject.toml": "[build-system]\nrequires=['maturin']\n",
        "tests/test_a.py": PYTEST,
    }
    for other in ({"Cargo.toml": ""}, {"package.json": '{"scripts": {"test": "jest"}}'}):
        assert detect({**package, **other}).framework == "pytest"


def test_a_stray_python_test_does_not_outrank_another_ecosystem(detect: Detect) -> None:
    found = detect({"go.mod": "module x\n", "scripts/test_tool.py": PYTEST})
    assert found.framework == "go"


def test_tests_of_another_ecosystem_are_named_with_how_to_run_them(detect: Detect) -> None:
    npm = {"package.json": '{"scripts": {"test": "jest"}}', "Makefile": "test:\n\tnpm test\n"}
    both = detect({**npm, "tests/test_a.py": PYTEST})
    assert (both.command, len(both.notes)) == ("npm test", 1)
    assert "only npm test is run (package.json: scripts.test)" in both.notes[0]
    assert "not python3 -m pytest (pytest: tests/test_a.py imports it)" in both.notes[0]
    assert "`test_cmd`" in both.notes[0]
    assert detect(npm).notes == ()


def test_tests_of_dependencies_do_not_count(detect: Detect) -> None:
    with pytest.raises(UsageError):
        detect({"node_modules/x/test_a.py": PYTEST, "vendor/test_b.py": PYTEST})


@pytest.mark.parametrize(
    "files",
    [
        {"README": "words"},
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
        {"package.json": "[1]"},
        {"package.json": "{broken"},
        {"Makefile": "test := 1\nlatest:\n\ttrue\n"},
        {"setup.cfg": "[tool:pytest]\n"},
        {"test_data.py": "X = 1\n"},
    ],
)
def test_nothing_found_says_what_was_looked_for(detect: Detect, files: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"Looked for: pytest.*package\.json.*go\.mod") as caught:
        detect(files)
    assert "--test-cmd" in caught.value.hint


def test_files_that_cannot_be_parsed_are_noted_and_passed_over(
    read: Callable[[dict[str, str]], RepositoryFiles],
) -> None:
    files = read(
        {
            "pyproject.toml": "[tool.pytest\x1b[31m",
            "setup.cfg": "no section\n",
            "tox.ini": "[a]\n[a]\n",
            "test_a.py": PYTEST,
        }
    )
    assert detect_tests(files).framework == "pytest"
    assert len(files.problems) == 2
    assert all(problem.isprintable() for problem in files.problems)
    number = read({"pyproject.toml": f"a = {'9' * 5000}", "test_a.py": PYTEST})
    assert detect_tests(number).framework == "pytest"
    assert len(number.problems) == 1


def test_notes_name_what_the_sandbox_does_not_have(detect: Detect) -> None:
    node = detect(
        {
            "package.json": '{"scripts": {"test": "jest"}, "engines": {"node": ">=22"},'
            ' "devDependencies": {"jest": "*"}}'
        }
    )
    assert "node >=22" in node.notes[0]
    assert len(node.notes) == 1
    go = detect({"go.mod": "module x\n\ngo 1.22\n\nrequire y v1.0.0\n"})
    assert "Go 1.22" in go.notes[0]
    assert len(go.notes) == 1
    assert detect({"Cargo.toml": "[dependencies]\nserde = '1'\n"}).notes == ()
    assert "Maven works offline" in detect({"pom.xml": ""}).notes[0]


@pytest.mark.parametrize(
    ("command", "framework"),
    [
        ("pytest -q tests", "pytest"),
        ("python -m pytest", "pytest"),
        ("/usr/bin/py.test", "pytest"),
        ("FOO=1 python3 -m unittest", "unittest"),
        ("python manage.py test", "unittest"),
        ("npm run test:unit", "node"),
        ("npx vitest", "node"),
        ("cd sub && cargo test", "cargo"),
        ("go test ./...", "go"),
        ("./mvnw test", "maven"),
        ("./gradlew test", "gradle"),
        ("make check", "make"),
        ("./run-tests.sh", "unknown"),
        ("echo 'unbalanced", "unknown"),
    ],
)
def test_the_framework_is_told_by_the_words_of_a_command(command: str, framework: str) -> None:
    assert framework_of(command) == framework


def test_a_given_command_takes_its_ecosystem_from_the_files_when_it_does_not_tell(
    read: Callable[[dict[str, str]], RepositoryFiles],
) -> None:
    assert setup_for("./check", read({"go.mod": "module x\n"})).ecosystem == "go"
    assert setup_for("./check", read({"code.py": ""})).ecosystem == "python"
    assert setup_for("./check", read({"code.c": ""})).ecosystem == "unknown"
    assert setup_for("make check", read({"tests/test_a.py": PYTEST})).ecosystem == "python"
    given = setup_for("pytest -x", read({"go.mod": "module x\n"}))
    assert (given.ecosystem, given.framework, given.command) == ("python", "pytest", "pytest -x")
