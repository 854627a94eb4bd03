"""Lock files of Python's tools, read into one form. Nothing here raises on what a file holds."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tasks.python_project import poetry_specifier
from tasks.reading import Table, shown, strings, table, tables

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_HASH = re.compile(r"sha(?:256|384|512):[0-9a-f]{64,128}")
_FOREIGN = ("git", "hg", "svn", "vcs", "url", "path", "file", "archive", "directory", "editable")


@dataclass(frozen=True)
class Locked:
    """One package of a lock. `markers`: it is meant where one of them holds, or there are none;
    `python` are the versions of Python it takes. `origin` says where it comes from if that is no
    index, `index` which index was used, as far as the lock says."""

    name: str
    version: str
    hashes: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    python: str = ""
    needs: tuple[Requirement, ...] = ()
    extras: Mapping[str, tuple[Requirement, ...]] = field(default_factory=dict)
    origin: str = ""
    index: str = ""


@dataclass
class Lock:
    """The packages of a lock file by canonical name; `problems` are entries that make no sense.

    `sections` are set where the lock lists what is to be installed, and not who needs whom.
    """

    packages: dict[str, list[Locked]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    sections: bool = False

    def add(self, name: object, version: object, **rest: Any) -> None:
        """Take one entry, its name and version checked."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.problem(f"{name!r} is no name")
            return
        try:
            exact = str(Version(version)) if isinstance(version, str) else ""
        except InvalidVersion:
            exact = ""
        if not exact and not rest.get("origin"):
            self.problem(f"{name} has no version")
            return
        canonical = canonicalize_name(name)
        self.packages.setdefault(canonical, []).append(Locked(canonical, exact, **rest))

    def problem(self, what: str) -> None:
        self.problems.append(shown(what))

    def requirements(self, texts: Iterator[str]) -> tuple[Requirement, ...]:
        """The requirements in an entry, without those that are none."""
        found = []
        for text in texts:
            try:
                found.append(Requirement(text))
            except (InvalidRequirement, RecursionError):
                self.problem(f"{text!r} is no requirement")
        return tuple(found)


def read_lock(name: str, text: str) -> Lock:
    """The lock in a file called `name`, one of LOCKS."""
    lock = Lock()
    try:
        data = json.loads(text) if name == "Pipfile.lock" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        lock.problem(f"it cannot be read: {error}")
        return lock
    if isinstance(data, dict):
        LOCKS[name](data, lock)
    else:
        lock.problem("it cannot be read: it holds no table")
    return lock


def _uv(data: Table, lock: Lock) -> None:
    for entry in tables(data.get("package")):
        source = table(entry, "source")
        registry = source.get("registry")
        from_index = isinstance(registry, str) and registry.startswith(("https://", "http://"))
        optional = table(entry, "optional-dependencies")
        lock.add(
            entry.get("name"),
            entry.get("version"),
            hashes=_hashes([*tables(entry.get("wheels")), table(entry, "sdist")]),
            markers=tuple(strings(entry.get("resolution-markers"))),
            needs=lock.requirements(map(_uv_need, tables(entry.get("dependencies")))),
            extras={
                canonicalize_name(extra): lock.requirements(map(_uv_need, tables(listed)))
                for extra, listed in optional.items()
            },
            index=str(registry) if from_index else "",
            origin="" if from_index else _source(source) or "no index",
        )


def _uv_need(entry: Table) -> str:
    version = entry.get("version")
    return _requirement(
        entry.get("name"),
        strings(entry.get("extra")),
        f"=={version}" if isinstance(version, str) else "",
        entry.get("marker"),
    )


def _poetry(data: Table, lock: Lock) -> None:
    old_files = table(data, "metadata", "files")
    for entry in tables(data.get("package")):
        source = table(entry, "source")
        legacy = source.get("type") == "legacy"
        name = entry.get("name")
        files = entry.get("files") or (old_files.get(name) if isinstance(name, str) else None)
        markers = entry.get("markers")
        lock.add(
            name,
            entry.get("version"),
            hashes=_hashes(tables(files)),
            markers=tuple(
                text
                for text in (markers.values() if isinstance(markers, dict) else [markers])
                if isinstance(text, str)
            ),
            python=_text(entry.get("python-versions")),
            needs=lock.requirements(_poetry_needs(table(entry, "dependencies"))),
            extras={
                canonicalize_name(extra): lock.requirements(iter(strings(listed)))
                for extra, listed in table(entry, "extras").items()
            },
            index=_text(source.get("url")) if legacy else "",
            origin=_source(source) if source and not legacy else "",
        )


def _poetry_needs(dependencies: Table) -> Iterator[str]:
    for name, value in dependencies.items():
        for choice in value if isinstance(value, list) else [value]:
            details = choice if isinstance(choice, dict) else {"version": choice}
            if details.get("optional") is True:
                continue  # named by an extra, too
            specifier = poetry_specifier(_text(details.get("version")))
            yield _requirement(
                name, strings(details.get("extras")), specifier, details.get("markers")
            )


def _pdm(data: Table, lock: Lock) -> None:
    for entry in tables(data.get("package")):
        extras = [canonicalize_name(extra) for extra in strings(entry.get("extras"))]
        needs = lock.requirements(iter(strings(entry.get("dependencies"))))
        marker = entry.get("marker")
        lock.add(
            entry.get("name"),
            entry.get("version"),
            hashes=_hashes(tables(entry.get("files"))),
            markers=(marker,) if isinstance(marker, str) else (),
            python=_text(entry.get("requires_python")),
            # An entry with extras lists what these bring, beside the entry without.
            needs=() if extras else needs,
            extras=dict.fromkeys(extras, needs),
            origin=_foreign(entry),
        )


def _pylock(data: Table, lock: Lock) -> None:
    lock.sections = True
    for entry in tables(data.get("packages")):
        files = [*tables(entry.get("wheels")), table(entry, "sdist")]
        hashes: list[Table] = [
            {"hash": f"{algorithm}:{value}"}
            for file in files
            for algorithm, value in table(file, "hashes").items()
        ]
        marker = entry.get("marker")
        lock.add(
            entry.get("name"),
            entry.get("version"),
            hashes=_hashes(hashes),
            markers=(marker,) if isinstance(marker, str) else (),
            python=_text(entry.get("requires-python")),
            index=_text(entry.get("index")),
            origin=_foreign(entry),
        )


def _pipfile(data: Table, lock: Lock) -> None:
    lock.sections = True
    sources = [source.get("name") for source in tables(table(data, "_meta").get("sources"))]
    for section in ("default", "develop"):
        for name, entry in table(data, section).items():
            if not isinstance(entry, dict):
                lock.problem(f"{name} is no table")
                continue
            index = entry.get("index")
            other = f"index {index}" if index and sources and index != sources[0] else ""
            marker = entry.get("markers")
            lock.add(
                name,
                _text(entry.get("version")).removeprefix("=="),
                hashes=tuple(h for h in strings(entry.get("hashes")) if _HASH.fullmatch(h)),
                markers=(marker,) if isinstance(marker, str) else (),
                origin=_foreign(entry) or other,
            )


#: The lock files that are read, the first that is there is taken.
LOCKS: Mapping[str, Callable[[Table, Lock], None]] = {
    "uv.lock": _uv,
    "poetry.lock": _poetry,
    "pdm.lock": _pdm,
    "pylock.toml": _pylock,
    "Pipfile.lock": _pipfile,
}
#: What writes each of them anew.
LOCKING: Mapping[str, str] = {
    "uv.lock": "uv lock",
    "poetry.lock": "poetry lock",
    "pdm.lock": "pdm lock",
    "pylock.toml": "the tool that wrote it",
    "Pipfile.lock": "pipenv lock",
}


def _requirement(name: object, extras: list[str], specifier: str, marker: object) -> str:
    chosen = f"[{','.join(extras)}]" if extras else ""
    condition = f" ; {marker}" if isinstance(marker, str) and marker else ""
    return f"{name}{chosen}{specifier}{condition}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _hashes(files: list[Table]) -> tuple[str, ...]:
    found = [_text(file.get("hash")) for file in files]
    return tuple(dict.fromkeys(text for text in found if _HASH.fullmatch(text)))


def _foreign(entry: Table) -> str:
    """Where an entry comes from, if that is no index."""
    return _source({key: entry[key] for key in _FOREIGN if entry.get(key)})


def _source(source: Table) -> str:
    return shown(", ".join(f"{key} {value}" for key, value in source.items()))
