"""What a rebuild step made in a workspace."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.results import CommandResult


@dataclass(frozen=True)
class Rebuilt:
    """How a rebuild step went, and, sorted, which files and links it made or changed, and which it
    removed: ignored ones and by-products too, but no file that was changed before it ran. The paths
    are the supervisor's word: none is checked."""

    result: CommandResult
    made: tuple[str, ...]
    gone: tuple[str, ...]


def rebuilt(result: CommandResult, found: Mapping[str, Any]) -> Rebuilt:
    """From the supervisor's report. Raises KeyError or TypeError when it is malformed."""
    return Rebuilt(result, _texts(found["made"]), _texts(found["gone"]))


def _texts(found: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, found))
