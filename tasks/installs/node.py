"""The packages of a Node repository, installed at the root of the image, where node finds them from
every folder of the workspace."""

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.ignore import Pattern
from sandbox.install import SCRATCH, Install
from sandbox.patch import printable
from tasks.installs import nodelocks
from tasks.installs.nodelocks import PLAIN_SPEC, ForeignError
from tasks.installs.nodetools import Tool, find_tool
from tasks.installs.plainyaml import NotPlainError, as_data, parse
from tasks.reading import MAX_LOCK_BYTES, RepositoryFiles, Table, strings, table

NAME = re.compile(r"(?:@[\w~-][\w.~-]*/)?[\w~-][\w.~-]*")
NEEDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
FORCED = ("overrides", "resolutions")
# What decides on the packages; scripts above all do not, for the files that they run are not there.
KEPT = (
    *("name", "version", "private", "peerDependenciesMeta", "dependenciesMeta", "workspaces"),
    *("bundleDependencies", "bundledDependencies"),
)
KEPT_OF_PNPM = (
    *("packages", "catalog", "catalogs", "overrides", "packageExtensions", "peerDependencyRules"),
    *("onlyBuiltDependencies", "ignoredBuiltDependencies", "neverBuiltDependencies", "allowBuilds"),
)
LOCKS = {
    "npm": ("npm-shrinkwrap.json", "package-lock.json"),
    "pnpm": ("pnpm-lock.yaml",),
    "yarn": ("yarn.lock",),
}
# Browsers that packages fetch are of no use in a room: their libraries are not there.
NPMRC = f"""\
audit=false
fund=false
update-notifier=false
cache={SCRATCH}/.npm
puppeteer_skip_download=true
cypress_install_binary=0
playwright_skip_browser_download=1
"""
ENVIRONMENT = (
    ("PATH", "/node_modules/.bin"),
    # The package manager of the image runs scripts, whichever version the repository asks for.
    ("COREPACK_ENABLE_STRICT", "0"),
    ("SKIP_YARN_COREPACK_CHECK", "1"),
    ("YARN_IGNORE_PATH", "1"),
    ("npm_config_manage_package_manager_versions", "false"),
    ("npm_config_verify_deps_before_run", "false"),
    ("npm_config_update_notifier", "false"),
)
SHOWN = 5
# Packages that others need to build their compiled parts, as they stand in every kind of lock.
_BUILDERS = re.compile(r"(?<![\w-])(?:node-gyp(?:-build)?|node-pre-gyp|prebuild-install)(?![\w-])")


@dataclass
class _Repository:
    """A Node repository: package.json by the folder that it is in ("" is the top), and the
    requirements in them that are left out."""

    files: RepositoryFiles
    manager: str
    packages: dict[str, Table]
    foreign: list[str] = field(default_factory=list)

    @property
    def lock(self) -> str:
        """The path of its lock file; empty when there is none."""
        return next((path for path in LOCKS[self.manager] if self.files.has(path)), "")

    @property
    def workspaces(self) -> dict[str, str]:
        """The folders of the packages below the top, by name."""
        named = [(str(p.get("name")), folder) for folder, p in self.packages.items() if folder]
        return {name: folder for name, folder in named if NAME.fullmatch(name)}

    @property
    def needs_packages(self) -> bool:
        return any(table(package, kind) for package in self.packages.values() for kind in NEEDS)


def find_node_install(files: RepositoryFiles, manager: str) -> tuple[Install | None, list[str]]:
    """The installation that a repository's package.json and lock file ask for, made by `manager`
    (npm, pnpm or yarn), and notes for the user. None where nothing is to be installed."""
    top = files.json("package.json")
    repository = _Repository(files, manager, {"": top, **_workspaces(files, top, manager)})
    lock = files.text(repository.lock, MAX_LOCK_BYTES) if repository.lock else ""
    tool = find_tool(manager, top, lock, files.text(".yarnrc.yml"))
    content = {".npmrc": NPMRC.encode(), **_reduced_packages(repository), **dict(tool.files)}
    included = any(path.startswith("node_modules/") for path in files.paths)
    if not included and repository.needs_packages:
        return _with_packages(repository, tool, lock, content)
    if not tool.prepare:
        return None, []
    return _install(f"{tool}", content, tool.prepare), []


def builds_packages(files: RepositoryFiles, manager: str) -> bool:
    """Whether packages of the lock file have parts that may have to be compiled."""
    return any(_BUILDERS.search(files.text(p, MAX_LOCK_BYTES)) for p in LOCKS[manager])


def _with_packages(
    repository: _Repository, tool: Tool, lock: str, content: dict[str, bytes]
) -> tuple[Install, list[str]]:
    content["workspaces.json"] = _json(repository.workspaces)
    content["place.js"] = Path(__file__).with_name("place.js").read_bytes()
    notes = []
    decides, options = repository.lock, _options(repository)
    try:
        if not lock:
            raise ForeignError("")
        if repository.foreign:
            raise ForeignError("package.json names more than versions")
        content[decides], more = _read(lock, tool, repository)
        options += more
    except ForeignError as error:
        why = f"{decides} is not used: {error}" if lock else "There is no lock file"
        notes.append(f"{why}. The newest packages that package.json takes are installed.")
        decides = ""
    commands = (*tool.prepare, *tool.install(decides, options), "node place.js")
    what = f"the packages of {decides or 'package.json'}, with {tool}"
    return _install(what, content, commands), [*notes, *_notes(repository)]


def _install(what: str, content: Mapping[str, bytes], commands: tuple[str, ...]) -> Install:
    return Install("node", what, tuple(content.items()), commands, ENVIRONMENT)


def _read(lock: str, tool: Tool, repository: _Repository) -> tuple[bytes, list[str]]:
    """The lock as it goes into the build, and options that it asks for. Raises ForeignError."""
    folders = tuple(repository.packages)
    if tool.name == "npm":
        return nodelocks.npm(lock, folders), []
    if tool.name == "pnpm":
        return nodelocks.pnpm(lock, folders)
    if tool.files:
        return nodelocks.yarn_berry(lock, folders), []
    return nodelocks.yarn_classic(lock), []


def _options(repository: _Repository) -> list[str]:
    """The one setting in npm's .npmrc that decides on versions and names no place."""
    lines = [line.replace(" ", "") for line in repository.files.text(".npmrc").splitlines()]
    wanted = repository.manager == "npm" and "legacy-peer-deps=true" in lines
    return ["--legacy-peer-deps"] if wanted else []


def _notes(repository: _Repository) -> list[str]:
    notes = []
    if repository.foreign:
        more = len(repository.foreign) - SHOWN
        notes.append(
            f"These packages are not installed, for they are not named by a version: "
            f"{'; '.join(repository.foreign[:SHOWN])}{f'; and {more} more' if more > 0 else ''}."
        )
    scripts = table(repository.packages[""], "scripts")
    own = [name for name in ("preinstall", "install", "postinstall") if scripts.get(name)]
    if own:
        notes.append(
            f"The script {' and '.join(own)} of package.json did not run, for its files are not "
            f"in the image: if tests need it, name it in `rebuild` in greenroom.toml."
        )
    if len(repository.packages) > 1:
        notes.append(
            "The packages of all workspaces are installed together: where one needs another "
            "version than the others, it gets theirs."
        )
    return notes


def _workspaces(files: RepositoryFiles, top: Table, manager: str) -> dict[str, Table]:
    """The package.json of each workspace, by its folder."""
    listed = top.get("workspaces")
    globs = strings(
        listed if isinstance(listed, list) else table(top, "workspaces").get("packages")
    )
    if manager == "pnpm":
        globs = strings(_pnpm_settings(files).get("packages"))
    inner = [p for p in files.paths if p.endswith("/package.json") and p.isprintable()]
    folders = [posixpath.dirname(path) for path in inner if "node_modules/" not in path]
    return {
        folder: files.json(f"{folder}/package.json")
        for folder in folders
        if _matches(folder, globs)
    }


def _matches(folder: str, globs: list[str]) -> bool:
    found = False
    for glob in globs:
        pattern = "/" + posixpath.normpath(glob.removeprefix("!")).lstrip("/")
        if Pattern.parse(pattern).matches(folder, is_folder=True):
            found = not glob.startswith("!")
    return found


def _pnpm_settings(files: RepositoryFiles) -> dict[str, Any]:
    try:
        return dict(parse(files.text("pnpm-workspace.yaml")))
    except NotPlainError as error:
        problem = f"pnpm-workspace.yaml cannot be read as it is meant: {error}"
        if problem not in files.problems:
            files.problems.append(problem)
        return {}


def _reduced_packages(repository: _Repository) -> dict[str, bytes]:
    """Every package.json, and pnpm's settings, as far as they decide on what is installed."""
    found = {}
    linked = frozenset(repository.workspaces) if len(repository.packages) > 1 else frozenset()
    for folder, package in repository.packages.items():
        reduced = {name: package[name] for name in KEPT if name in package}
        for kind in (*NEEDS, *FORCED):
            reduced[kind] = _plain(table(package, kind), linked, repository.foreign)
        own = table(package, "pnpm")
        kept = {name: own[name] for name in KEPT_OF_PNPM if name in own}
        reduced["pnpm"] = _plain(kept, linked, repository.foreign)
        path = posixpath.join(folder, "package.json")
        found[path] = _json({name: value for name, value in reduced.items() if value})
    if repository.manager == "pnpm" and repository.files.has("pnpm-workspace.yaml"):
        settings = _pnpm_settings(repository.files)
        kept = {name: as_data(settings[name]) for name in KEPT_OF_PNPM if name in settings}
        found["pnpm-workspace.yaml"] = _json(_plain(kept, linked, repository.foreign))
    return found


def _plain(needs: Table, linked: frozenset[str], foreign: list[str]) -> dict[str, Any]:
    """Those requirements that name a version, or another package of the repository."""
    kept: dict[str, Any] = {}
    for name, spec in needs.items():
        if isinstance(spec, dict):  # overrides of what one package needs
            kept[name] = _plain(spec, linked, foreign)
        elif not isinstance(spec, str):
            kept[name] = spec  # a list of names, a switch
        elif PLAIN_SPEC.fullmatch(spec) or spec.startswith(_elsewhere(name, linked)):
            kept[name] = spec
        else:
            foreign.append(printable(f"{name} ({spec[:60]})"))
    return kept


def _elsewhere(name: str, linked: frozenset[str]) -> tuple[str, ...]:
    """What a requirement may begin with whose version stands in another file of the repository."""
    return ("catalog:", "$", "workspace:") if name in linked else ("catalog:", "$")


def _json(data: object) -> bytes:
    return json.dumps(data, indent=1).encode()
