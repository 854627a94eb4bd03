"""What holds for a folder by what holds for the one above it."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
#: So many folders are remembered at a time: paths come in the order of a walk.
MOST = 20_000


class Inherited(Generic[T]):
    """Gives the value of a folder: `root` for "", and for any other what `step` makes of its path
    and the value of the folder above it. Each step is done once for all that lies below, so that
    many deep paths, which a stranger may name, do not take time without end.
    """

    def __init__(self, root: T, step: Callable[[str, T], T]) -> None:
        self._root = root
        self._step = step
        self._known: dict[str, T] = {"": root}

    def __call__(self, folder: str) -> T:
        if len(self._known) > MOST:
            self._known = {"": self._root}
        unknown, at = [], folder
        while at not in self._known:
            unknown.append(at)
            at = at.rpartition("/")[0]
        value = self._known[at]
        for each in reversed(unknown):
            value = self._known[each] = self._step(each, value)
        return value
