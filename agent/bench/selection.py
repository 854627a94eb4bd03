"""Which tasks of a suite a run is of, and in which order they are done."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sandbox.errors import UsageError

_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Selection:
    """`filters` are patterns, or parts, of names (none: all tasks); of what they leave `shard`
    takes each n-th task, from the i-th on, and `limit` the first so many. `seed` shuffles the
    order (None: by name)."""

    filters: tuple[str, ...] = ()
    shard: tuple[int, int] = (1, 1)
    limit: int | None = None
    seed: int | None = None

    def choose(self, names: Sequence[str]) -> tuple[str, ...]:
        """The chosen names, in the order in which they are done. Raises UsageError for a filter
        that fits none, and where none is left."""
        for pattern in self.filters:
            if not any(_fits(name, pattern) for name in names):
                raise UsageError(
                    f"--filter {pattern!r} fits none of the {len(names)} tasks of the suite",
                    f"They are named as {', '.join(names[:3])}.",
                )
        kept = [n for n in names if not self.filters or any(_fits(n, p) for p in self.filters)]
        part, parts = self.shard
        kept = kept[part - 1 :: parts]
        if self.seed is not None:
            random.Random(self.seed).shuffle(kept)  # noqa: S311 - an order, no secret
        kept = kept[: self.limit]
        if not kept:
            raise UsageError(
                f"no task is left: the suite has {len(names)}, and --shard {part}/{parts} takes"
                " none of those that were chosen"
            )
        return tuple(kept)


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if _GLOB.search(pattern) else pattern in name


def parse_shard(text: str) -> tuple[int, int]:
    """The part and the number of parts of `I/N`. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    if found and 1 <= int(found[1]) <= int(found[2]):
        return int(found[1]), int(found[2])
    raise UsageError(
        f"--shard: expected a part and the number of parts, as 2/5, got {text!r}",
        "The first part is 1.",
    )
