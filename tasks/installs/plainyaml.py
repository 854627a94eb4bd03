"""YAML as package managers write it: block mappings and lists, scalars, collections on one line.

What a reader of all of YAML could take for something else (anchors, tags, escapes, scalars over
several lines) is an error, so that what is read here is what the package manager reads.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

Value = str | list["Value"] | dict[str, "Value"]

_DEPTH = 16
# Not a value of their own: an indicator, or the start of a quoted or a flow value.
_PLAIN = re.compile(r"(?![-?:](?:\s|$)|[&*!|>%@`\"'{}\[\],#])[^\s].*")
_FLOW_PLAIN = re.compile(r"(?![-?:][\s,{}\[\]]|[&*!|>%@`\"'{}\[\],#])[^\s,{}\[\]][^,{}\[\]]*")
_FLOW_KEY = re.compile(r"[^\s,{}\[\]'\"&*!|>%@`#?:-][^\s,{}\[\]'\"#:]*")
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_BLOCK = re.compile(r"[|>][-+]?")


class NotPlainError(ValueError):
    """The text is no YAML of that kind."""


@dataclass(frozen=True)
class _Line:
    number: int
    indent: int
    text: str

    def refuse(self, why: str = "is not in the form that package managers write") -> NoReturn:
        raise NotPlainError(f"line {self.number} {why}")


def parse(text: str) -> dict[str, Value]:
    """The mapping in a text; scalars are left as text. Raises NotPlainError."""
    if not all(char.isprintable() or char in "\n\r" for char in text):
        raise NotPlainError("there are control characters in it")
    lines = _Lines(text)
    found = lines.block(0, 0) if lines.left else {}
    if lines.left:
        lines.next().refuse()
    if not isinstance(found, dict):
        raise NotPlainError("it holds no mapping")
    return found


class _Lines:
    """The lines that are still to be read."""

    def __init__(self, text: str) -> None:
        self._raw = text.split("\n")
        self._at = 0
        if self._raw[0].rstrip() == "---":
            self._at = 1
        self._skip()

    @property
    def left(self) -> bool:
        return self._at < len(self._raw)

    def next(self) -> _Line:
        raw = self._raw[self._at].rstrip()
        return _Line(self._at + 1, len(raw) - len(raw.lstrip(" ")), raw.lstrip(" "))

    def take(self) -> _Line:
        line = self.next()
        self._at += 1
        self._skip()
        return line

    def _skip(self) -> None:
        while self.left and re.fullmatch(r"\s*(#.*)?", self._raw[self._at]):
            self._at += 1

    def block(self, indent: int, depth: int) -> Value:
        """The mapping or list whose lines begin at `indent`."""
        line = self.next()
        if line.indent != indent or depth > _DEPTH:
            line.refuse()
        if line.text == "-" or line.text.startswith("- "):
            return self._list(indent)
        return self._mapping(indent, depth)

    def _list(self, indent: int) -> list[Value]:
        found: list[Value] = []
        while self.left and self.next().indent == indent and self.next().text.startswith("- "):
            line = self.take()
            found.append(_scalar(line, line.text[2:].strip()))
        return found

    def _mapping(self, indent: int, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while self.left and self.next().indent == indent:
            line = self.take()
            key, rest = self._key(line)
            if key in found or key == "<<":
                line.refuse(f"has the key {key!r} again")
            found[key] = self._value(line, rest, indent, depth)
        return found

    def _key(self, line: _Line) -> tuple[str, str]:
        if line.text.startswith("? "):  # a long key, its value on the next line
            key = _scalar(line, line.text[2:].strip())
            if not self.left or self.next().text[:1] != ":" or not isinstance(key, str):
                line.refuse()
            return key, self.take().text[1:].strip()
        for pattern in (_SINGLE, _DOUBLE):
            quoted = pattern.match(line.text)
            if quoted and re.match(r":(\s|$)", line.text[quoted.end() :]):
                return _unquoted(quoted[0]), line.text[quoted.end() + 1 :].strip()
        plain = re.match(r"([^\s'\"][^'\"#]*?):(?:\s+|$)", line.text)
        if plain is None or not _PLAIN.fullmatch(plain[1]):
            line.refuse()
        return plain[1], line.text[plain.end() :].strip()

    def _value(self, line: _Line, rest: str, indent: int, depth: int) -> Value:
        if _BLOCK.fullmatch(rest):
            return self._text(line)
        if rest:
            return _scalar(line, rest)
        if self.left:
            below = self.next()
            if below.indent > indent:
                return self.block(below.indent, depth + 1)
            if below.indent == indent and below.text.startswith("- "):
                return self._list(indent)
        return ""

    def _text(self, header: _Line) -> str:
        """A block scalar: all lines that are further in, those that look like comments too."""
        found = []
        self._at = header.number
        while self.left:
            raw = self._raw[self._at]
            if raw.strip() and len(raw) - len(raw.lstrip(" ")) <= header.indent:
                break
            found.append(raw.strip())
            self._at += 1
        self._skip()
        return "\n".join(found).strip()


def _scalar(line: _Line, text: str) -> Value:
    """A value on one line."""
    if text[:1] in ("{", "["):
        value, rest = _flow(line, text, 0)
        if rest:
            line.refuse()
        return value
    for pattern in (_SINGLE, _DOUBLE):
        if pattern.fullmatch(text):
            return _unquoted(text)
    if not _PLAIN.fullmatch(text) or re.search(r":(\s|$)|\s#", text):
        line.refuse()
    return text


def _unquoted(text: str) -> str:
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    return str(json.loads(text))


def _flow(line: _Line, text: str, depth: int) -> tuple[Value, str]:
    """The value that a text begins with, within a flow collection, and the rest of the text."""
    if depth > _DEPTH:
        line.refuse()
    if text[:1] == "{":
        return _flow_mapping(line, text[1:].lstrip(), depth + 1)
    if text[:1] == "[":
        return _flow_list(line, text[1:].lstrip(), depth + 1)
    for pattern in (_SINGLE, _DOUBLE):
        quoted = pattern.match(text)
        if quoted:
            return _unquoted(quoted[0]), text[quoted.end() :].lstrip()
    plain = _FLOW_PLAIN.match(text)
    if plain is None or re.search(r":(\s|$)|\s#", plain[0]):
        line.refuse()
    return plain[0].strip(), text[plain.end() :]


def _flow_mapping(line: _Line, text: str, depth: int) -> tuple[Value, str]:
    found: dict[str, Value] = {}
    while not text.startswith("}"):
        key, text = _flow_key(line, text)
        if key in found or key == "<<":
            line.refuse(f"has the key {key!r} again")
        found[key], text = _flow(line, text, depth)
        text = _after(line, text, "}")
    return found, text[1:].lstrip()


def _flow_list(line: _Line, text: str, depth: int) -> tuple[Value, str]:
    found: list[Value] = []
    while not text.startswith("]"):
        value, text = _flow(line, text, depth)
        found.append(value)
        text = _after(line, text, "]")
    return found, text[1:].lstrip()


def _after(line: _Line, text: str, end: str) -> str:
    """What follows a value: the end of its collection, or the next one behind a comma."""
    if not text.startswith((",", end)):
        line.refuse()
    return text.removeprefix(",").lstrip()


def _flow_key(line: _Line, text: str) -> tuple[str, str]:
    for pattern in (_SINGLE, _DOUBLE, _FLOW_KEY):
        match = pattern.match(text)
        if match and re.match(r":\s", text[match.end() :]):
            key = match[0] if pattern is _FLOW_KEY else _unquoted(match[0])
            return key, text[match.end() + 1 :].lstrip()
    return line.refuse()


def as_data(value: Value) -> object:
    """The value with what is plainly true, false or a number as such, for writing it as JSON."""
    if isinstance(value, Mapping):
        return {key: as_data(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_data(inner) for inner in value]
    return {"true": True, "false": False, "": None}.get(value, value)
