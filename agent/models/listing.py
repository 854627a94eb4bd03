"""The code that a small model is shown and rates: files, or of long files the suspect functions.

A listing is one text, made of pieces of files; each place in it leads back to its file.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Piece:
    """A piece of the file `path`: its text, and where in the file that begins."""

    path: str
    start: int
    text: str


class Listing:
    """Pieces one after the other, each under a comment with its path.

    `tokens` are the ids of the whole text; token n begins at character `offsets[n]`, and one more
    offset marks the end.
    """

    def __init__(self, pieces: Iterable[Piece], tokenizer: Any) -> None:
        self._pieces: list[Piece] = []
        self._starts: list[int] = []
        parts: list[str] = []
        length = 0
        for piece in pieces:
            head = f"# {piece.path}\n"
            end = "\n" if piece.text.endswith("\n") else "\n\n"
            self._pieces.append(piece)
            self._starts.append(length + len(head))
            parts += [head, piece.text, end]
            length += len(head) + len(piece.text) + len(end)
        self.text = "".join(parts)
        encoded = tokenizer(self.text, return_offsets_mapping=True, add_special_tokens=False)
        self.tokens: list[int] = encoded["input_ids"]
        self.offsets = [*(first for first, _ in encoded["offset_mapping"]), len(self.text)]

    def place(self, position: int) -> tuple[str, int] | None:
        """The path and the character in that file that token `position` begins at; None between
        the pieces. The end of a piece is a place of its file too."""
        offset = self.offsets[position]
        number = bisect_right(self._starts, offset) - 1
        if number < 0:
            return None
        piece = self._pieces[number]
        inside = offset - self._starts[number]
        return (piece.path, piece.start + inside) if inside <= len(piece.text) else None

    def position(self, path: str, character: int) -> int | None:
        """The token that begins at this character of a file, if there is one."""
        offset = self.offset(path, character)
        if offset is None:
            return None
        found = self.holding(offset)
        return found if self.offsets[found] == offset else None

    def offset(self, path: str, character: int) -> int | None:
        """Where in the text this character of a file stands, if it is shown."""
        for piece, start in zip(self._pieces, self._starts, strict=True):
            inside = character - piece.start
            if piece.path == path and 0 <= inside <= len(piece.text):
                return start + inside
        return None

    def holding(self, offset: int) -> int:
        """The token that holds the character of the text at `offset`; one past the last at the
        end."""
        return bisect_right(self.offsets, offset) - 1
