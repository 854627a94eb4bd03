"""Python requirements from a stranger's files: which lines may be installed, and which not.

Only a plain `name[extra] specifier; marker` passes. Whatever would make pip fetch from another
place or run with other options is dropped and named.
"""

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tasks.python_project import poetry_specifier
from tasks.reading import RepositoryFiles, shown

MAX_INCLUDES = 50
#: The line of a requirements file that installs the repository itself, which the rebuild step does.
_ITSELF = re.compile(r"(?:(?:-e|--editable)[ =]?\s*)?\./?(?:\[([\w\s,.-]+)\])?")


@dataclass
class Requirements:
    """Requirements gathered from several places, each once, and what was dropped. `unpinned` are
    the requirements files that leave it to the day which version of something is installed."""

    own_name: str = ""
    found: dict[str, None] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    unpinned: dict[str, None] = field(default_factory=dict)
    own_extras: list[str] = field(default_factory=list)

    def add(self, text: str, where: str) -> None:
        """Take one requirement string, or drop it with a note. One that names the project itself
        only asks for its extras."""
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            self._drop(text, where)
            return
        if requirement.url is not None:
            self._drop(text, where)
        elif canonicalize_name(requirement.name) == self.own_name:
            self.own_extras += sorted(requirement.extras)
        else:
            self.found.setdefault(str(requirement))

    def add_all(self, texts: Iterable[str], where: str) -> None:
        for text in texts:
            self.add(text, where)

    def drop(self, names: Collection[str]) -> None:
        """Forget the requirements with these canonical names."""
        for text in list(self.found):
            if canonicalize_name(Requirement(text).name) in names:
                del self.found[text]

    def add_file(self, files: RepositoryFiles, path: str) -> None:
        """Take a requirements file with those that it includes, within the repository."""
        seen: set[str] = set()
        todo = [path]
        while todo and len(seen) < MAX_INCLUDES:
            current = todo.pop(0)
            if current in seen or not files.has(current):
                continue
            seen.add(current)
            for line in requirement_lines(files.text(current)):
                included = re.match(r"(?:-r|--requirement)[ =]?\s*(\S+)", line)
                if included:
                    joined = posixpath.join(posixpath.dirname(current), included[1])
                    todo.append(posixpath.normpath(joined))
                else:
                    self._add_line(line, current)

    def _add_line(self, line: str, where: str) -> None:
        itself = _ITSELF.fullmatch(line)
        if itself:
            self.own_extras += re.findall(r"[\w.-]+", itself[1] or "")
            return
        before = len(self.found)
        self.add(line, where)
        if len(self.found) > before and _exact_version(Requirement(line)) is None:
            self.unpinned[where] = None

    def add_poetry(self, entries: Mapping[str, Any], where: str) -> None:
        """Take a table of Poetry's or Pipenv's: a name with a version, or with a table."""
        for name, value in entries.items():
            if name == "python":
                continue
            choices = value if isinstance(value, list) else [value]
            for choice in choices:
                self._add_named(name, choice, where)

    def _add_named(self, name: str, value: object, where: str) -> None:
        details = value if isinstance(value, dict) else {"version": value}
        if {"git", "path", "url", "file", "ref", "vcs", "index", "source"} & details.keys():
            self._drop(f"{name} = {value}", where)
            return
        version = details.get("version", "*")
        extras = details.get("extras")
        chosen = f"[{','.join(map(str, extras))}]" if isinstance(extras, list) and extras else ""
        specifier = poetry_specifier(version) if isinstance(version, str) else ""
        markers = details.get("markers")
        marker = f"; {markers}" if isinstance(markers, str) else ""
        self.add(f"{name}{chosen}{specifier}{marker}", where)

    def _drop(self, text: str, where: str) -> None:
        self.dropped.append(f"{where}: {shown(text)}")


def agreeing(texts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The requirements, each once, without later ones that an earlier exact version contradicts;
    and those left out. pip would otherwise install none at all."""
    pins: dict[str, str] = {}
    kept: dict[str, None] = {}
    left_out: list[str] = []
    parsed = [Requirement(text) for text in texts]
    for requirement in parsed:
        exact = _exact_version(requirement)
        if exact is not None and requirement.marker is None:
            pins.setdefault(canonicalize_name(requirement.name), exact)
    for requirement in parsed:
        pin = pins.get(canonicalize_name(requirement.name))
        if pin is None or requirement.specifier.contains(pin, prereleases=True):
            kept.setdefault(str(requirement))
        else:
            left_out.append(f"{requirement} ({pin} is asked for too)")
    return tuple(kept), tuple(left_out)


def _exact_version(requirement: Requirement) -> str | None:
    """The one version that a requirement takes, None where it takes several."""
    exact = (s for s in requirement.specifier if s.operator == "==" and "*" not in s.version)
    return next((s.version for s in exact), None)


def requirement_lines(text: str) -> Iterator[str]:
    """The lines of a requirements file: continued lines joined, comments and hashes removed."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        bare = re.sub(r"\s+--hash[= ]\S+", "", bare).strip()
        if bare:
            yield bare
