"""A repository's files as detection reads them: from the base, so that what is found is what runs.

A repository is not trusted: links are not followed, files are read up to a bound, and a file that
cannot be parsed is a note for the user.
"""

import configparser
import json
import posixpath
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from sandbox.patch import EXECUTABLE, FILE, printable
from sandbox.trees import Base, Entry

MAX_BYTES = 1 << 20
#: Lock files are longer than what people write.
MAX_LOCK_BYTES = 16 << 20
MAX_SHOWN = 240

Table = Mapping[str, Any]


class RepositoryFiles:
    """The regular files of a base. `problems` gathers notes on files that cannot be parsed."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._texts: dict[str, str] = {}
        self.problems: list[str] = []

    @cached_property
    def _entries(self) -> Mapping[str, Entry]:
        return {e.path: e for e in self._base.entries.values() if e.mode in (FILE, EXECUTABLE)}

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """All paths, those nearest the top first."""
        return tuple(sorted(self._entries, key=lambda path: (path.count("/"), path)))

    @cached_property
    def folders(self) -> frozenset[str]:
        """The folders that have files directly in them; "" is the top."""
        return frozenset(posixpath.dirname(path) for path in self.paths)

    def has(self, path: str) -> bool:
        return path in self._entries

    def texts(self, paths: Iterable[str], limit: int = MAX_BYTES) -> dict[str, str]:
        """The texts of those files that are there and within the bound, read at once."""
        wanted = [path for path in paths if path in self._entries]
        new = [
            self._entries[path]
            for path in wanted
            if path not in self._texts and self._entries[path].size <= limit
        ]
        contents = self._base.store.read(entry.blob for entry in new)
        for entry, content in zip(new, contents, strict=True):
            self._texts[entry.path] = decoded(content)
        return {path: self._texts[path] for path in wanted if path in self._texts}

    def text(self, path: str, limit: int = MAX_BYTES) -> str:
        """One file's text; empty when it is not there or too large."""
        return self.texts([path], limit).get(path, "")

    def blobs(self, paths: Iterable[str]) -> dict[str, str]:
        """What stands for the content of each of those files that are there."""
        return {path: self._entries[path].blob for path in paths if path in self._entries}

    def toml(self, path: str) -> Table:
        """A TOML file; empty when it is not there or not valid."""
        try:
            return tomllib.loads(self.text(path))
        except (
            ValueError,
            RecursionError,
        ) as error:  # also a number of more digits than Python reads
            self._problem(path, str(error))
            return {}

    def json(self, path: str) -> Table:
        """A JSON file with an object; empty when it is not there or not valid."""
        try:
            found = json.loads(self.text(path) or "{}")
        except (ValueError, RecursionError):
            self._problem(path, "it is not valid JSON")
            return {}
        return found if isinstance(found, dict) else {}

    def ini(self, path: str) -> Mapping[str, Mapping[str, str]]:
        """The sections of an INI file; empty when it is not there or not valid."""
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(self.text(path))
        except configparser.Error as error:
            self._problem(path, str(error).replace("\n", " "))
            return {}
        return {section: dict(parser.items(section)) for section in parser.sections()}

    def _problem(self, path: str, what: str) -> None:
        note = f"{path} cannot be read as it is meant: {printable(what)}"
        if note not in self.problems:
            self.problems.append(note)


def decoded(content: bytes) -> str:
    """The text of a file."""
    return content.decode("utf-8-sig", "replace")


def shown(text: str) -> str:
    """A stranger's text for a message: printable, cut only where it is longer than makes sense."""
    plain = printable(text.strip())
    return plain if len(plain) <= MAX_SHOWN else f"{plain[:MAX_SHOWN]}..."


def table(parent: Table, *names: str) -> Table:
    """The table at a path of keys; empty when there is none or it is something else."""
    found: Any = parent
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def strings(value: object) -> list[str]:
    """The strings in a list; none for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def tables(value: object) -> list[Table]:
    """The tables in a list; none for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
