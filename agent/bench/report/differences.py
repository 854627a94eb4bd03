"""In what two runs differ beside what is compared: by their manifests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: What a comparison is of: the model with how it is served, and how it is asked.
COMPARED = ("model", "sampling")
#: When and where; nothing that is judged depends on it. Numbers of attempts may differ, too: what
#: is compared is the share that a task's attempts solve.
_PASSING = frozenset({"created", "engine", "attempts", "schema"})
#: Compared for what both runs have: that one has more tasks is told by the tasks.
_COMMON = frozenset({"tasks", "images"})


@dataclass(frozen=True, slots=True)
class Difference:
    """A key of the manifests with its dotted name, and both its values; None where it is absent."""

    key: str
    first: Any
    second: Any

    @property
    def top(self) -> str:
        return self.key.partition(".")[0]


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """Every difference of two manifests, those of what is compared included."""
    found: list[Difference] = []
    for name in sorted(first.keys() | second.keys()):
        if name in _PASSING:
            continue
        one, two = first.get(name), second.get(name)
        if name in _COMMON and isinstance(one, Mapping) and isinstance(two, Mapping):
            found += _inner(name, *_common(one, two))
            if name == "tasks" and one.keys() != two.keys():
                found.append(Difference("tasks", f"{len(one):,} tasks", _which(one, two)))
        else:
            found += _inner(name, one, two)
    return found


def unasked(found: Iterable[Difference], allowed: Iterable[str]) -> list[Difference]:
    """Those that are neither compared nor allowed; a name allows all that is below it, too."""
    names = (*COMPARED, *allowed)
    return [
        each
        for each in found
        if not any(each.key == name or each.key.startswith(f"{name}.") for name in names)
    ]


def _common(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both without what only one of them has."""
    return (
        {key: value for key, value in first.items() if key in second},
        {key: value for key, value in second.items() if key in first},
    )


def _which(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    both = len(first.keys() & second.keys())
    return f"{len(second):,} tasks, {both:,} of them the same"


def _inner(name: str, first: Any, second: Any) -> Iterable[Difference]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in sorted(first.keys() | second.keys()):
            yield from _inner(f"{name}.{key}", first.get(key), second.get(key))
    elif first != second:
        yield Difference(name, first, second)
