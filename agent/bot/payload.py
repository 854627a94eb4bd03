"""The JSON of an event, read field by field: what is missing or of another kind is told by name.

An event's texts are strangers': they are kept as they are, but for halves of characters, which
cannot be written anywhere.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from sandbox.errors import UsageError

_ADDRESS = re.compile(r"https?://[\w.:/?=&%~+,;@#-]+", re.ASCII)
_HALVES = re.compile("[\ud800-\udfff]")


class Payload:
    """A JSON object of an event; `where` names it in errors. Raises UsageError, as all here does,
    where it is no object."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise UsageError(f"{where}: expected an object, got {data!r:.60}")
        self._data: Mapping[str, Any] = data
        self._where = where

    def inner(self, name: str) -> Self:
        return type(self)(self._data.get(name), f"{self._where}.{name}")

    def inner_or_none(self, name: str) -> Self | None:
        """The object under `name`; None where it is left out or null."""
        return None if self._data.get(name) is None else self.inner(name)

    def inners(self, name: str) -> Sequence[Self]:
        """The objects of a list; none where it is left out or null."""
        found = self._data.get(name)
        if found is None:
            return ()
        if not isinstance(found, list):
            raise self._wrong(name, "a list", found)
        return [type(self)(each, f"{self._where}.{name}[{at}]") for at, each in enumerate(found)]

    def text(self, name: str) -> str:
        found = self._data.get(name)
        if not isinstance(found, str):
            raise self._wrong(name, "a text", found)
        return _HALVES.sub("\ufffd", found)

    def text_or(self, name: str, otherwise: str = "") -> str:
        """The text under `name`; `otherwise` where it is left out or null."""
        return otherwise if self._data.get(name) is None else self.text(name)

    def address(self, name: str) -> str:
        """An address of the web that can stand in Markdown as it is."""
        found = self.text(name)
        if not _ADDRESS.fullmatch(found):
            raise self._wrong(name, "an address", found)
        return found

    def number(self, name: str) -> int:
        found = self._data.get(name)
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise self._wrong(name, "a whole number from 0", found)
        return found

    def flag(self, name: str) -> bool:
        """A true or false; false where it is left out or null."""
        found = self._data.get(name)
        if not isinstance(found, bool | None):
            raise self._wrong(name, "true or false", found)
        return bool(found)

    def instant(self, name: str) -> str:
        """A time, in ISO 8601 and with its zone; GitLab's own way to write one is read too."""
        found = self.text(name)
        try:
            at = datetime.fromisoformat(found.removesuffix(" UTC"))
        except ValueError:
            raise self._wrong(name, "a time", found) from None
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()

    def _wrong(self, name: str, expected: str, found: object) -> UsageError:
        return UsageError(f"{self._where}.{name}: expected {expected}, got {found!r:.60}")
