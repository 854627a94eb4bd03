"""A file's bytes as text and back, exact to the byte: encoding, byte order mark, line ends."""

import codecs
import re
from dataclasses import dataclass

from tools.tool import ToolError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes stand for its text.

    With `errors="surrogateescape"` bytes that are no UTF-8 stand as lone surrogates in the text.
    """

    name: str = "utf-8"
    errors: str = "strict"
    mark: bytes = b""

    def encode(self, text: str, path: str) -> bytes:
        """The bytes of `text`; ToolError when this file's encoding lacks one of its characters."""
        try:
            return self.mark + text.encode(self.name, self.errors)
        except UnicodeEncodeError as error:
            strange = text[error.start : error.start + 1]
            raise ToolError(
                f"{path} is not UTF-8 (it was read as {self.name}), and {strange!r} "
                f"(U+{ord(strange):04X}) cannot be written in it. Nothing was changed.",
                "Use characters of that encoding, or convert the file with iconv first.",
            ) from error

    @property
    def description(self) -> str:
        """What is unusual about the encoding; empty for plain UTF-8."""
        if self.errors == "surrogateescape":
            return "UTF-8 with some bytes that are not, shown as \ufffd"
        if self.name == "latin-1":
            return "not UTF-8, shown as Latin-1"
        if self.mark:
            return f"{self.name.upper()} with a byte order mark"
        return ""


@dataclass(frozen=True)
class TextContent:
    """A text file's text, with its line ends as they are and without its byte order mark."""

    text: str
    encoding: Encoding


def decode(content: bytes) -> TextContent | None:
    """The text in a file's bytes, or None for a binary file. Encoding the text gives the bytes."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            try:
                return TextContent(content[len(mark) :].decode(name), Encoding(name, mark=mark))
            except UnicodeDecodeError:
                break
    if b"\0" in content:
        return None
    try:
        return TextContent(content.decode("utf-8"), Encoding())
    except UnicodeDecodeError:
        escaped = content.decode("utf-8", "surrogateescape")
    if any(char > "\x7f" and not "\udc80" <= char <= "\udcff" for char in escaped):
        return TextContent(escaped, Encoding(errors="surrogateescape"))
    return TextContent(content.decode("latin-1"), Encoding("latin-1"))


def split_lines(text: str) -> list[str]:
    """The lines of `text`, each with its end; only a line feed ends a line. Joined they are
    `text` again."""
    return _LINE.findall(text)


def line_end(line: str) -> str:
    """The end of one line: CRLF, LF, or nothing."""
    if line.endswith("\r\n"):
        return "\r\n"
    return "\n" if line.endswith("\n") else ""


def body(line: str) -> str:
    """One line without its end."""
    return line[: len(line) - len(line_end(line))]


def main_line_end(text: str) -> str:
    """The line end that most lines of `text` have; LF where there is none."""
    pairs = text.count("\r\n")
    return "\r\n" if pairs * 2 > text.count("\n") else "\n"


def size_text(size: int) -> str:
    """A size in bytes, readable."""
    return f"{size:,} bytes" if size != 1 else "1 byte"
