"""The step that prepares a Python work tree for its tests: an editable installation, where tests
need one.

It runs offline, in the sandbox, for every room. So it is only taken where the tests cannot do
without: a `src` folder, compiled parts, a generated version file, code that reads its metadata.
"""

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from sandbox.rebuild import Rebuild
from tasks.python_project import SKIPPED_FOLDERS, PythonProject
from tasks.reading import table
from tasks.requirements import Requirements

INSTALL = "python3 -m pip install --user --no-deps --no-build-isolation --no-index -q -e ."
METADATA_INPUTS = ("/pyproject.toml", "/setup.py", "/setup.cfg", "/MANIFEST.in")
SOURCE_INPUTS = (
    *("*.pyx", "*.pxd", "*.pxi", "*.c", "*.h", "*.cc", "*.cpp", "*.hpp", "*.rs"),
    *("Cargo.toml", "meson.build", "CMakeLists.txt"),
)
COMPILING_BACKENDS = ("mesonpy", "scikit_build_core", "maturin", "py_build_cmake")
FALLBACK_VERSION = "0.1.0"
READ_FILES = 400
# By the package that finds a version in git, the variable that tells it one instead.
VERSION_VARIABLES = {
    "setuptools-scm": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "setuptools_scm": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "use_scm_version": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "hatch-vcs": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "vcs-versioning": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "pbr": "PBR_VERSION",
    "pdm-backend": "PDM_BUILD_SCM_VERSION",
    "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "uv-dynamic-versioning": "UV_DYNAMIC_VERSIONING_BYPASS",
}


@dataclass(frozen=True)
class Build:
    """A rebuild step with why it is needed, and what the image must have for it."""

    rebuild: Rebuild
    reasons: tuple[str, ...]
    pip: tuple[str, ...]
    apt: tuple[str, ...]


def find_build(project: PythonProject, version: str = "") -> Build | None:
    """The editable installation that a project's tests need, None where they need none. `version`
    is what the checkout's git history says; without it, a project that asks git is told what its
    PKG-INFO says, or 0.1.0."""
    if not project.backend or not project.packages_or_modules:
        return None
    compiled = list(_compiled(project))
    reasons = [*_layout(project), *compiled, *_generated(project), *_metadata(project)]
    if not reasons:
        return None
    variables = {
        variable: _version(project, version)
        for package, variable in VERSION_VARIABLES.items()
        if _names(project, package)
    }
    prefix = "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items())
    inputs = (*METADATA_INPUTS, *SOURCE_INPUTS) if compiled else METADATA_INPUTS
    return Build(
        Rebuild(prefix + INSTALL, inputs=inputs, optional=True),
        tuple(reasons),
        _needed_packages(project),
        _needed_tools(project, bool(compiled)),
    )


def _layout(project: PythonProject) -> Iterator[str]:
    """Packages that are not found from the top of the checkout."""
    for package in project.packages:
        above = posixpath.dirname(package)
        if above in ("src", "lib", "python", "source"):
            yield f"the package is in {above}/"
            return
    if any(re.fullmatch(r"src/\w+\.(py|pyx)", path) for path in project.files.paths):
        yield "the module is in src/"


def _compiled(project: PythonProject) -> Iterator[str]:
    keywords = project.setup_py.keys() & {"ext_modules", "cffi_modules", "rust_extensions"}
    if keywords or table(project.pyproject, "tool", "setuptools").get("ext-modules"):
        yield "it has compiled parts"
    elif project.backend in COMPILING_BACKENDS:
        yield f"it is built by {project.backend}"
    elif any(p.endswith(".pyx") and not SKIPPED_FOLDERS.search(p) for p in project.files.paths):
        yield "it has Cython sources"


def _generated(project: PythonProject) -> Iterator[str]:
    """Version files that the build writes and git ignores."""
    tool = table(project.pyproject, "tool")
    scm = table(tool, "setuptools_scm")
    hook = table(tool, "hatch", "build", "hooks", "vcs")
    for named in (scm.get("write_to"), scm.get("version_file"), hook.get("version-file")):
        if isinstance(named, str) and not project.files.has(named):
            yield f"the build writes {named}"
            return


def _metadata(project: PythonProject) -> Iterator[str]:
    """Code or tests that ask for the metadata of an installed distribution, or plugins that are
    found by it."""
    for where in (table(project.pyproject, "project", "entry-points"), _old_entry_points(project)):
        if where:
            yield "it has entry points"
            return
    inside = tuple(f"{package}/" for package in project.packages)
    paths = [p for p in project.files.paths if p.endswith(".py") and p.startswith(inside)]
    read = project.files.texts([*project.test_files[:READ_FILES], *paths[:READ_FILES]])
    pattern = re.compile(r"\b(importlib[._]metadata|pkg_resources|import metadata)\b")
    for path, text in read.items():
        if pattern.search(text):
            yield f"{path} reads its metadata"
            return


def _old_entry_points(project: PythonProject) -> bool:
    in_setup_py = project.setup_py.get("entry_points")
    groups = in_setup_py.keys() if isinstance(in_setup_py, dict) else ()
    listed = [*project.setup_cfg.get("options.entry_points", {}), *groups]
    return any(group not in ("console_scripts", "gui_scripts") for group in listed)


def _names(project: PythonProject, package: str) -> bool:
    """Whether the build's own files name a package."""
    word = re.compile(rf"(?<![\w-]){re.escape(package)}(?![\w-])")
    if any(word.search(text) for text in project.build_requires):
        return True
    return word.search(project.files.text("setup.py")) is not None or package in table(
        project.pyproject, "tool"
    )


def _version(project: PythonProject, from_git: str) -> str:
    info = re.search(r"^Version: (\S+)$", project.files.text("PKG-INFO"), re.MULTILINE)
    for text in (from_git, info[1] if info else ""):
        found = re.search(r"\d+(?:\.\d+)*\S*$", text)
        if found:
            try:
                return str(Version(found[0]))
            except InvalidVersion:
                continue
    return FALLBACK_VERSION


def _needed_packages(project: PythonProject) -> tuple[str, ...]:
    """What the build itself imports, for nothing is fetched while it runs."""
    required = Requirements(own_name=project.name)
    required.add_all(project.build_requires, "[build-system] in pyproject.toml")
    needed = list(required.found)
    if project.backend == "hatchling":
        # What hatchling asks for when the installation is an editable one.
        needed.append("editables")
    new = [text for text in needed if not project.provides(Requirement(text))]
    if any(canonicalize_name(Requirement(text).name) == "setuptools" for text in new):
        # Newer ones than the image's ask for a newer packaging too, and do not say so to pip.
        new.append("packaging>=24.2")
    return tuple(new)


def _needed_tools(project: PythonProject, compiled: bool) -> tuple[str, ...]:
    if not compiled:
        return ()
    rust = project.backend == "maturin" or "rust_extensions" in project.setup_py
    tools = ("gcc", "g++", "libc6-dev", "python3-dev")
    return (*tools, "cargo-web") if rust else tools
