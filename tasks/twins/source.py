"""A Python source to be edited in place: where its nodes are, and the text that stands there."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass

Positioned = ast.expr | ast.stmt


@dataclass(frozen=True)
class Edit:
    """Bytes from `start` to `end` are replaced by `text`."""

    start: int
    end: int
    text: str


class Source:
    """A module's source in UTF-8, and its syntax tree. Raises ValueError or SyntaxError for what
    is neither, RecursionError for what is nested too deep."""

    def __init__(self, content: bytes) -> None:
        content.decode("utf-8")
        self.content = content
        self.tree = ast.parse(content)
        # Not text's lines: those end at form feeds, too.
        self._starts = [0]
        for line in content.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: Positioned) -> int:
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: Positioned) -> int:
        return self._starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)

    def text(self, node: Positioned) -> str:
        return self.content[self.start(node) : self.end(node)].decode()

    def between(self, left: Positioned, right: Positioned) -> str:
        return self.content[self.end(left) : self.start(right)].decode()

    def replaced(self, node: Positioned, text: str) -> Edit:
        return Edit(self.start(node), self.end(node), text)

    def before(self, statement: ast.stmt, text: str) -> Edit:
        """A simple statement put in front of another one."""
        start = self.start(statement)
        line = self.content[self._starts[statement.lineno - 1] : start]
        # What begins with a keyword of its own line cannot follow a semicolon.
        own_line = not line.strip() and hasattr(statement, "body")
        glue = "\n" + line.decode() if own_line else "; "
        return Edit(start, start, text + glue)

    def edited(self, edits: Iterable[Edit]) -> bytes:
        """The source with all edits, of which no two touch the same bytes, made. Raises SyntaxError
        where the result is no Python."""
        content = self.content
        for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
            content = content[: edit.start] + edit.text.encode() + content[edit.end :]
        ast.parse(content)
        return content
