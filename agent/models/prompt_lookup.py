"""Guesses what a model writes next from what stood in its text before: a file that is written anew
is mostly copied. A guess is computed in one pass with the token before it, and counts as far as the
model would have chosen the same.
"""

#: So many tokens have to have been seen before, in this order.
_LENGTH = 3
#: Tokens guessed at once: at first, at least and at most.
_FIRST, _LEAST, _MOST = 4, 2, 12


class Lookup:
    """The text so far. The longer guesses are right, the longer they become."""

    def __init__(self, ids: list[int]) -> None:
        self._ids: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._size = _FIRST
        self.extend(ids)

    def extend(self, ids: list[int]) -> None:
        for token in ids:
            if len(self._ids) >= _LENGTH:
                self._after[tuple(self._ids[-_LENGTH:])] = len(self._ids)
            self._ids.append(token)

    def guess(self) -> list[int]:
        """What followed the last tokens when they stood there before; nothing if they did not."""
        place = self._after.get(tuple(self._ids[-_LENGTH:]))
        return [] if place is None else self._ids[place : place + self._size]

    def learn(self, guessed: int, right: int) -> None:
        """Notes how many tokens of a guess were right."""
        if guessed:
            self._size = min(_MOST, 2 * self._size) if right == guessed else max(_LEAST, right)
