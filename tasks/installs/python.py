"""The exact versions that a Python lock file has for a repository's requirements, in the image."""

import platform
import posixpath
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from packaging.markers import Marker, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from sandbox.install import Install
from tasks.installs.pythonlocks import LOCKING, LOCKS, Lock, Locked, read_lock
from tasks.python_project import PythonProject
from tasks.reading import MAX_LOCK_BYTES, strings, table, tables

MACHINES = {"arm64": "aarch64", "AMD64": "x86_64"}
SHOWN = 5
_NO_SENSE = (ValueError, TypeError, AttributeError, RecursionError, UndefinedEnvironmentName)


@dataclass
class Choice:
    """What is taken from a lock, what it does not have, and what was left out."""

    taken: dict[str, Locked] = field(default_factory=dict)
    unlocked: list[str] = field(default_factory=list)
    left_out: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class PythonLock:
    """An installation by a lock file; `unlocked` are the requirements that it does not cover."""

    install: Install | None
    unlocked: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """Where the packages are to run: variables of markers; the extras and groups that are wanted,
    for locks that have sections; addresses of indexes that are not the default."""

    variables: Mapping[str, str]
    extras: Set[str] = frozenset()
    groups: Set[str] = frozenset()
    other_indexes: Set[str] = frozenset()

    def holds(self, marker: str) -> bool:
        """Whether a marker holds there; one that makes no sense does not."""
        sections: dict[str, str | Set[str]] = {
            "extra": "",
            "extras": self.extras,
            "dependency_groups": self.groups,
        }
        try:
            return Marker(marker).evaluate({**self.variables, **sections}, "lock_file")
        except _NO_SENSE:
            return False

    def takes(self, package: Locked) -> bool:
        """Whether an entry of a lock is meant for it."""
        if package.markers and not any(map(self.holds, package.markers)):
            return False
        try:
            takes = SpecifierSet(package.python)
        except ValueError:  # Poetry's own way of writing alternatives
            return True
        return takes.contains(self.variables["python_full_version"], prereleases=True)

    def needs(self, requirement: Requirement, extra: str) -> bool:
        """Whether a requirement counts there, found in the list of an extra or of none."""
        if requirement.marker is None:
            return True
        try:
            return requirement.marker.evaluate({**self.variables, "extra": extra})
        except _NO_SENSE:
            return False


def image_variables(python: str) -> dict[str, str]:
    """The variables of markers in an image with this Python on this kind of machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "posix",
        "platform_machine": MACHINES.get(platform.machine(), platform.machine()),
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": "linux",
    }


def find_python_lock(
    project: PythonProject,
    requirements: Iterable[str],
    wanted: Set[str],
    declared: Set[str] = frozenset(),
) -> PythonLock | None:
    """The installation by the repository's lock file; None where it has none that can be read.

    `requirements` are what the image needs, `wanted` the names of the groups and extras that tests
    need, for lock files that do not say who needs whom. Those `declared` by the repository are
    named where the lock does not fit them.
    """
    path = next((name for name in LOCKS if project.files.has(name)), None)
    if path is None:
        return None
    lock = read_lock(path, project.files.text(path, MAX_LOCK_BYTES))
    target = Target(
        image_variables(project.python), wanted, wanted | {"default"}, _other_indexes(project)
    )
    choice = choose(lock, requirements, target, project.name)
    notes = []
    if lock.problems:
        notes.append(
            f"{path} is not taken as it is: {_few(lock.problems)}. "
            f"To write it anew: {LOCKING[path]}."
        )
    unfit = [
        f"{text} ({_reason(lock, text)})"
        for text in choice.unlocked
        if text in declared and not project.provides(Requirement(text))
    ]
    if unfit and lock.packages:
        notes.append(
            f"{path} does not fit what the repository asks for: {_few(unfit)}. The newest versions "
            f"of the day are installed for these; to bring {path} up to date: {LOCKING[path]}."
        )
    if choice.left_out:
        notes.append(
            f"Of {path} these are not taken, for they come from no index or from one that the "
            f"repository names: {_few(choice.left_out)}. If tests need them, name a release in "
            f"`pip`, or have a command of `setup` install them, in greenroom.toml."
        )
    return PythonLock(_install(path, choice), tuple(choice.unlocked), tuple(notes))


def _reason(lock: Lock, text: str) -> str:
    """Why a lock has nothing for a requirement."""
    requirement = Requirement(text)
    entries = lock.packages.get(canonicalize_name(requirement.name), ())
    versions = sorted({entry.version for entry in entries})
    if not versions:
        return "not in it"
    elsewhere = any(requirement.specifier.contains(each, prereleases=True) for each in versions)
    return f"it has {', '.join(versions)}{' for other Pythons or machines' if elsewhere else ''}"


def choose(lock: Lock, requirements: Iterable[str], target: Target, own_name: str = "") -> Choice:
    """The packages of a lock that the requirements lead to, or all of one that has sections."""
    choice = Choice()
    for text in requirements:
        requirement = Requirement(text)
        if not target.needs(requirement, ""):
            continue
        if _candidates(lock, requirement, target):
            _follow(lock, requirement, target, choice, own_name)
        else:
            choice.unlocked.append(text)
    if lock.sections:
        for name in lock.packages:
            if name != own_name:
                _follow(lock, Requirement(name), target, choice, own_name)
    return choice


def _follow(lock: Lock, start: Requirement, target: Target, choice: Choice, own_name: str) -> None:
    """Take what a requirement leads to, and whatever that needs in turn."""
    todo = [start]
    seen: set[tuple[str, str]] = set()
    while todo:
        requirement = todo.pop()
        candidates = _candidates(lock, requirement, target)
        if not candidates:
            continue
        package = max(candidates, key=lambda found: Version(found.version or "0"))
        package = choice.taken.get(package.name, package)
        if package.name != own_name:
            _take(package, target, choice)
        for extra in ("", *map(canonicalize_name, requirement.extras)):
            if (package.name, extra) not in seen:
                seen.add((package.name, extra))
                listed = _needs(lock, package, extra)
                todo += [need for need in listed if target.needs(need, extra)]


def _candidates(lock: Lock, requirement: Requirement, target: Target) -> list[Locked]:
    return [
        package
        for package in lock.packages.get(canonicalize_name(requirement.name), ())
        if target.takes(package)
        and (
            not package.version or requirement.specifier.contains(package.version, prereleases=True)
        )
    ]


def _take(package: Locked, target: Target, choice: Choice) -> None:
    other = package.index if package.index.rstrip("/") in target.other_indexes else ""
    if package.origin or other or Version(package.version).local:
        what = package.origin or other or f"version {package.version}"
        choice.left_out.setdefault(f"{package.name} ({what})")
    else:
        choice.taken.setdefault(package.name, package)


def _needs(lock: Lock, package: Locked, extra: str) -> tuple[Requirement, ...]:
    if not extra:
        return package.needs
    entries = lock.packages[package.name]
    return tuple(
        need
        for entry in entries
        if entry.version == package.version
        for need in entry.extras.get(extra, ())
    )


def _other_indexes(project: PythonProject) -> frozenset[str]:
    """The addresses of indexes that the repository names beside the default one."""
    tool = table(project.pyproject, "tool")
    found = strings(table(tool, "uv").get("extra-index-url"))
    for index in tables(table(tool, "uv").get("index")):
        if index.get("default") is not True:
            found.append(str(index.get("url")))
    for source in tables(table(tool, "poetry").get("source")):
        if source.get("priority", "primary") not in ("primary", "default"):
            found.append(str(source.get("url")))
    return frozenset(url.rstrip("/") for url in found)


def _install(path: str, choice: Choice) -> Install | None:
    if not choice.taken:
        return None
    packages = [choice.taken[name] for name in sorted(choice.taken)]
    # pip takes hashes for all or for none.
    hashed = all(package.hashes for package in packages)
    lines = [
        " ".join(
            [
                f"{package.name}=={package.version}",
                *(f"--hash={each}" for each in package.hashes if hashed),
            ]
        )
        for package in packages
    ]
    name = f"{posixpath.basename(path)}.txt"
    return Install(
        kind="python",
        what=f"{len(packages)} Python packages in the versions of {path}",
        files=((name, "".join(f"{line}\n" for line in lines).encode()),),
        commands=(f"python3 -m pip install --no-deps -r {name}",),
    )


def _few(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = len(listed) - SHOWN
    return "; ".join(listed[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
