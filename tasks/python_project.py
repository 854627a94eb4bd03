"""What a Python repository says of itself: its name, its build, the Python it needs."""

import ast
import posixpath
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sandbox.errors import UsageError
from tasks.reading import RepositoryFiles, Table, strings, table

# What Dockerfile.sandbox installs: Debian 12's.
IMAGE_PYTHON = "3.11.2"
IMAGE_PACKAGES = {"pytest": "7.2.1", "setuptools": "66.1.1", "wheel": "0.38.4"}
SKIPPED_FOLDERS = re.compile(
    r"(^|/)(node_modules|site-packages|vendor|_vendor|third_party|\.[^/]+)/"
)
TEST_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|tests?)\.py$")


class PythonProject:
    """Reads pyproject.toml, setup.cfg and setup.py; the last as literals only, never run.

    `provided` are the packages that the image has already, with their versions, `python` is that of
    its Python.
    """

    def __init__(
        self,
        files: RepositoryFiles,
        provided: Mapping[str, str] = IMAGE_PACKAGES,
        python: str = IMAGE_PYTHON,
    ) -> None:
        self.files = files
        self.provided = provided
        self.python = python

    def provides(self, requirement: Requirement) -> bool:
        """Whether the image has what a requirement asks for."""
        version = self.provided.get(canonicalize_name(requirement.name))
        return version is not None and requirement.specifier.contains(version)

    @cached_property
    def pyproject(self) -> Table:
        return self.files.toml("pyproject.toml")

    @cached_property
    def setup_cfg(self) -> Mapping[str, Mapping[str, str]]:
        return self.files.ini("setup.cfg")

    @cached_property
    def setup_py(self) -> Mapping[str, Any]:
        """The keywords of the call of `setup` whose values are literals, or names of literals."""
        return _setup_keywords(self.files.text("setup.py"))

    @property
    def is_python(self) -> bool:
        names = ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "requirements.txt")
        if any(self.files.has(name) for name in (*names, "tox.ini", "manage.py")):
            return True
        return any(path.endswith(".py") for path in self.files.paths)

    @cached_property
    def name(self) -> str:
        """The distribution's name in its canonical form; empty when it says none."""
        for found in (
            table(self.pyproject, "project").get("name"),
            table(self.pyproject, "tool", "poetry").get("name"),
            self.setup_cfg.get("metadata", {}).get("name"),
            self.setup_py.get("name"),
        ):
            if isinstance(found, str) and found:
                return canonicalize_name(found)
        return ""

    @cached_property
    def backend(self) -> str:
        """The build backend's package, e.g. `setuptools` or `hatchling`; empty without a build."""
        system = table(self.pyproject, "build-system")
        named = system.get("build-backend")
        if isinstance(named, str) and named:
            return named.partition(":")[0].partition(".")[0]
        described = system or table(self.pyproject, "project") or self.files.has("setup.py")
        options = self.setup_cfg.get("metadata", {}).get("name")
        return "setuptools" if described or options else ""

    @cached_property
    def build_requires(self) -> list[str]:
        return strings(table(self.pyproject, "build-system").get("requires"))

    @cached_property
    def test_files(self) -> tuple[str, ...]:
        """Files that look like tests, those nearest the top first."""
        return tuple(
            path
            for path in self.files.paths
            if TEST_FILE.search(path) and not SKIPPED_FOLDERS.search(path)
        )

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The folders of the packages that are in no other package, without tests and docs."""
        inner = {
            posixpath.dirname(path) for path in self.files.paths if path.endswith("/__init__.py")
        }
        return tuple(
            folder
            for folder in sorted(inner)
            if posixpath.dirname(folder) not in inner
            and not re.match(r"(tests?|testing|docs?|examples?|benchmarks?)(/|$)", folder)
            and not SKIPPED_FOLDERS.search(folder + "/")
        )

    @property
    def packages_or_modules(self) -> bool:
        """Whether there is anything to install: a package, or a module at the top or in src/."""
        modules = (path for path in self.files.paths if re.fullmatch(r"(src/)?\w+\.pyx?", path))
        return bool(self.packages) or any(path != "setup.py" for path in modules)

    @property
    def requires_python(self) -> tuple[str, str]:
        """The versions of Python it takes, and the file that says so; empty when none does."""
        poetry = table(self.pyproject, "tool", "poetry", "dependencies").get("python")
        for found, where in (
            (table(self.pyproject, "project").get("requires-python"), "pyproject.toml"),
            (poetry_specifier(poetry) if isinstance(poetry, str) else None, "pyproject.toml"),
            (self.setup_cfg.get("options", {}).get("python_requires"), "setup.cfg"),
            (self.setup_py.get("python_requires"), "setup.py"),
        ):
            if isinstance(found, str) and found.strip():
                return found.strip(), where
        return "", ""

    def check_python(self) -> None:
        """Raise UsageError when the repository does not take the image's Python."""
        wanted, where = self.requires_python
        try:
            takes = SpecifierSet(wanted).contains(self.python, prereleases=True)
        except InvalidSpecifier:
            # pip says so too, when it matters.
            return
        if not takes:
            raise UsageError(
                f"{where} asks for Python {wanted}; the sandbox's image has {self.python}.",
                f"Ask for one that fits: --python {_fitting(wanted)}, or `python` in "
                f"greenroom.toml (trusted); or name an image that has it: --image NAME.",
            )


def _fitting(wanted: str) -> str:
    """The newest minor version of Python 3 that `wanted` takes, up to 3.30."""
    takes = SpecifierSet(wanted)
    minors = [minor for minor in range(14, -1, -1) if takes.contains(f"3.{minor}.99")]
    minors += [minor for minor in range(15, 31) if takes.contains(f"3.{minor}.99")]
    return f"3.{minors[0]}" if minors else "VERSION"


def poetry_specifier(text: str) -> str:
    """A Poetry version constraint (`^1.2`, `~1.2`, `*`, `1.2`) as a PEP 440 specifier. Alternatives
    (`||`) become none, for PEP 440 has none."""
    if "|" in text:
        return ""
    return ",".join(
        part
        for part in (_poetry_part(p.strip()) for p in re.split(r"[,\s]+(?=[\^~<>=!*\d])", text))
        if part
    )


def _poetry_part(text: str) -> str:
    if text in ("", "*"):
        return ""
    match = re.fullmatch(r"(\^|~(?!=))\s*([0-9][0-9A-Za-z.+-]*)", text)
    if match is None:
        return f"=={text}" if re.match(r"\d", text) else text
    try:
        release = list(Version(match[2]).release)
    except InvalidVersion:
        return ""
    if match[1] == "^":
        at = next((i for i, number in enumerate(release) if number), len(release) - 1)
    else:
        at = min(1, len(release) - 1)
    upper = [*release[:at], release[at] + 1]
    return f">={match[2]},<{'.'.join(map(str, upper))}"


def _setup_keywords(source: str) -> dict[str, Any]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # Python 2, or no Python: nothing is known then.
        return {}
    names: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            value = _literal(node.value, names)
            if isinstance(target, ast.Name) and value is not None:
                names[target.id] = value
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _called(call) == "setup":
            for keyword in call.keywords:
                value = _literal(keyword.value, names)
                if keyword.arg and value is not None:
                    found[keyword.arg] = value
                elif keyword.arg in ("ext_modules", "cffi_modules", "rust_extensions"):
                    found[keyword.arg] = True
    return found


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _literal(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of a literal that may name others or add lists; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left, names), _literal(node.right, names)
        same = type(left) is type(right) and isinstance(left, list | tuple | str)
        return left + right if same else None
    if isinstance(node, ast.List | ast.Tuple):
        items = [_literal(item, names) for item in node.elts]
        return [item for item in items if item is not None]
    if isinstance(node, ast.Dict):
        pairs = [
            (_literal(key, names), _literal(value, names))
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        ]
        return {k: v for k, v in pairs if isinstance(k, str) and v is not None}
    return node.value if isinstance(node, ast.Constant) else None
