"""Remembers earlier states, so that one can go back to them."""


class NothingToUndo(Exception):
    """There is no earlier state."""


class History:
    """The last `limit` states; older ones are forgotten."""

    def __init__(self, limit=20):
        self._limit = limit
        self._states = []

    def __len__(self):
        return len(self._states)

    def remember(self, state):
        self._states.append(state)
        del self._states[: -self._limit]

    def back(self):
        if not self._states:
            raise NothingToUndo
        return self._states.pop()
