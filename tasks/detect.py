"""Finding out how a repository is tested: the command, the framework, and why it is these."""

import posixpath
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace

from sandbox.errors import UsageError
from tasks.installs.nodetools import package_manager
from tasks.python_project import PythonProject
from tasks.reading import RepositoryFiles, Table, table

PYTEST = "python3 -m pytest"
READ_TEST_FILES = 200
NO_NPM_TEST = "no test specified"
LOOKED_FOR = (
    "pytest or unittest tests (test_*.py, *_test.py), a test script in package.json, Cargo.toml, "
    "go.mod, pom.xml, build.gradle, a Makefile with a test target"
)


@dataclass(frozen=True)
class TestSetup:
    """How tests are run. `framework` is one that `Checks` names; `ecosystem` one of python, node,
    go, rust, java, make, unknown. `reasons` say in a few words what was found where."""

    __test__ = False

    ecosystem: str
    framework: str
    command: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()


def detect_tests(files: RepositoryFiles) -> TestSetup:
    """The test command of a repository, by the clearest sign first; tests of another ecosystem
    beside them are noted. Raises UsageError that lists what was looked for when nothing is found.
    """
    finders: tuple[Callable[[RepositoryFiles], TestSetup | None], ...] = (
        _configured_pytest,
        _python_package,
        _rust,
        _go,
        _maven,
        _gradle,
        _node,
        _python_files,
        _make,
    )
    found = [setup for find in finders if (setup := find(files)) is not None]
    if found:
        return _beside_others(found[0], found[1:])
    raise UsageError(
        f"No test command was found. Looked for: {LOOKED_FOR}.",
        "Give one: --test-cmd 'COMMAND', or test_cmd in greenroom.toml.",
    )


def _beside_others(chosen: TestSetup, rest: list[TestSetup]) -> TestSetup:
    """What was chosen, with a note on the tests of other ecosystems, which it leaves out. A
    Makefile's target is none of its own: it runs the others."""
    others = {
        setup.ecosystem: setup
        for setup in rest
        if setup.ecosystem not in (chosen.ecosystem, "make")
    }
    if not others:
        return chosen
    told = "; ".join(f"{setup.command} ({', '.join(setup.reasons)})" for setup in others.values())
    note = (
        f"There are tests of several ecosystems: only {chosen.command} is run "
        f"({', '.join(chosen.reasons)}), and not {told}. To run another instead, set `test_cmd` to "
        f"it (--test-cmd); an image is made for one ecosystem at a time."
    )
    return replace(chosen, notes=(note, *chosen.notes))


def setup_for(command: str, files: RepositoryFiles) -> TestSetup:
    """The setup for a test command that was given: its framework by the command's words, its
    ecosystem by the framework or else by the files."""
    framework = framework_of(command)
    ecosystem = {
        "pytest": "python",
        "unittest": "python",
        "node": "node",
        "cargo": "rust",
        "go": "go",
        "maven": "java",
        "gradle": "java",
    }.get(framework)
    if ecosystem is None:
        try:
            ecosystem = detect_tests(files).ecosystem
        except UsageError:
            ecosystem = "python" if PythonProject(files).is_python else "unknown"
    return TestSetup(ecosystem, framework, command, ("the test command was given",))


def framework_of(command: str) -> str:
    """The framework that a command runs, by the words in it; `unknown` when none tells."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    names = [posixpath.basename(word) for word in words]
    for framework, programs in (
        ("pytest", {"pytest", "py.test"}),
        ("unittest", {"unittest", "manage.py"}),
        ("cargo", {"cargo"}),
        ("go", {"go"}),
        ("maven", {"mvn", "mvnw"}),
        ("gradle", {"gradle", "gradlew"}),
        ("node", {"npm", "pnpm", "yarn", "node", "npx", "jest", "vitest", "mocha", "bun"}),
        ("make", {"make", "gmake"}),
    ):
        if programs & set(names):
            return framework
    return "unknown"


def _configured_pytest(files: RepositoryFiles) -> TestSetup | None:
    """pytest settings are the clearest sign there is."""
    project = PythonProject(files)
    tool = table(project.pyproject, "tool", "pytest")
    for found, reason in (
        (files.has("pytest.ini"), "pytest.ini"),
        (files.has(".pytest.ini"), ".pytest.ini"),
        (files.has("pytest.toml"), "pytest.toml"),
        ("ini_options" in tool, "[tool.pytest.ini_options] in pyproject.toml"),
        (bool(tool), "[tool.pytest] in pyproject.toml"),
        ("pytest" in files.ini("tox.ini"), "[pytest] in tox.ini"),
        ("tool:pytest" in project.setup_cfg, "[tool:pytest] in setup.cfg"),
    ):
        if found and (project.test_files or tool or _has_conftest(files)):
            return TestSetup("python", "pytest", PYTEST, (f"pytest: {reason}",))
    return None


def _has_conftest(files: RepositoryFiles) -> bool:
    return any(posixpath.basename(path) == "conftest.py" for path in files.paths)


def _python_package(files: RepositoryFiles) -> TestSetup | None:
    """Tests of what is built as a Python package, even beside a Cargo.toml or package.json."""
    return _python_files(files) if PythonProject(files).backend else None


def _python_files(files: RepositoryFiles) -> TestSetup | None:
    project = PythonProject(files)
    if not project.test_files:
        return None
    manage = files.text("manage.py")
    if "django" in manage and not _mentions_pytest(files):
        command = "python3 manage.py test"
        return TestSetup("python", "unittest", command, ("Django: manage.py",))
    reason = _pytest_reason(files, project)
    if reason:
        return TestSetup("python", "pytest", PYTEST, (f"pytest: {reason}",))
    return _unittest(files, project)


def _pytest_reason(files: RepositoryFiles, project: PythonProject) -> str:
    if _has_conftest(files):
        return "conftest.py"
    texts = files.texts(project.test_files[:READ_TEST_FILES])
    for path, text in texts.items():
        if re.search(r"^\s*(import|from) pytest\b", text, re.MULTILINE):
            return f"{path} imports it"
    named = _mentions_pytest(files)
    if named:
        return f"{named} names it"
    for path, text in texts.items():
        if re.search(r"^(async )?def test_\w*\(", text, re.MULTILINE):
            return f"test functions in {path}"
        if re.search(r"^class Test\w*(\(\))?:", text, re.MULTILINE):
            return f"test classes in {path}"
    return ""


def _mentions_pytest(files: RepositoryFiles) -> str:
    """The file that has pytest run or installed for the project's tests."""
    for path in ("tox.ini", "noxfile.py", "Makefile", "pyproject.toml", "setup.cfg", "setup.py"):
        if re.search(r"(?<![\w-])(pytest|py\.test)(?![\w-])", files.text(path)):
            return path
    names = [path for path in files.paths if re.search(r"requirements[^/]*\.(txt|in)$", path)]
    for path, text in files.texts(names[:READ_TEST_FILES]).items():
        if re.search(r"^pytest(?![\w-])", text, re.MULTILINE | re.IGNORECASE):
            return path
    return ""


def _unittest(files: RepositoryFiles, project: PythonProject) -> TestSetup | None:
    texts = files.texts(project.test_files[:READ_TEST_FILES])
    tests = [path for path, text in texts.items() if re.search(r"\bunittest\b", text)]
    if not tests:
        return None
    options = ["-v"]
    folder = _common_folder(tests)
    if folder and not _is_package_chain(files, folder):
        options += ["-s", folder]
    elif folder:
        options += ["-s", folder, "-t", "."]
    if not any(posixpath.basename(path).startswith("test") for path in tests):
        options += ["-p", "*_test.py"]
    command = f"python3 -m unittest discover {shlex.join(options)}"
    return TestSetup("python", "unittest", command, (f"unittest: {tests[0]} uses it",))


def _common_folder(paths: list[str]) -> str:
    """The folder that all of the paths are in; the top as an empty name."""
    return posixpath.commonpath([posixpath.dirname(path) or "." for path in paths]).strip(".")


def _is_package_chain(files: RepositoryFiles, folder: str) -> bool:
    """Whether every folder from the top down to this one is a package."""
    parts = folder.split("/")
    return all(files.has("/".join([*parts[:n], "__init__.py"])) for n in range(1, len(parts) + 1))


def _node(files: RepositoryFiles) -> TestSetup | None:
    package = files.json("package.json")
    script = table(package, "scripts").get("test")
    if isinstance(script, str) and NO_NPM_TEST not in script and script.strip():
        manager = package_manager(files)
        reasons = ("package.json: scripts.test",)
        return TestSetup("node", "node", f"{manager} test", reasons, _node_notes(package))
    tests = [p for p in files.paths if re.search(r"\.(test|spec)\.[cm]?js$", p)]
    if any("node:test" in text for text in files.texts(tests[:READ_TEST_FILES]).values()):
        reasons = (f"{tests[0]} uses node:test",)
        return TestSetup("node", "node", "node --test", reasons, _node_notes(package))
    return None


def _node_notes(package: Table) -> tuple[str, ...]:
    notes = []
    version = table(package, "engines").get("node")
    if isinstance(version, str) and version.strip():
        notes.append(f"package.json asks for node {version}; the sandbox's Debian has node 18.")
    return tuple(notes)


def _rust(files: RepositoryFiles) -> TestSetup | None:
    if not files.has("Cargo.toml"):
        return None
    return TestSetup("rust", "cargo", "cargo test --offline", ("Cargo.toml",))


def _go(files: RepositoryFiles) -> TestSetup | None:
    if not files.has("go.mod"):
        return None
    notes = []
    text = files.text("go.mod")
    version = re.search(r"^go (\d+)\.(\d+)", text, re.MULTILINE)
    if version and (int(version[1]), int(version[2])) > (1, 19):
        notes.append(
            f"go.mod asks for Go {version[1]}.{version[2]}; the sandbox's Debian has Go 1.19: "
            f"name an image that has it."
        )
    return TestSetup("go", "go", "go test ./...", ("go.mod",), tuple(notes))


def _maven(files: RepositoryFiles) -> TestSetup | None:
    if not files.has("pom.xml"):
        return None
    notes = ("Maven works offline in the sandbox: name an image with the project's artifacts.",)
    return TestSetup("java", "maven", "mvn -B -o test", ("pom.xml",), notes)


def _gradle(files: RepositoryFiles) -> TestSetup | None:
    for name in ("build.gradle", "build.gradle.kts"):
        if files.has(name):
            notes = ("Gradle works offline in the sandbox: name an image with its artifacts.",)
            return TestSetup("java", "gradle", "gradle --offline test", (name,), notes)
    return None


def _make(files: RepositoryFiles) -> TestSetup | None:
    for name in ("GNUmakefile", "makefile", "Makefile"):
        for target in ("test", "tests", "check"):
            if re.search(rf"^{target}\s*:(?!=)", files.text(name), re.MULTILINE):
                reasons = (f"the target {target} in {name}",)
                return TestSetup("make", "make", f"make {target}", reasons)
    return None
