"""What a suite is, and how its tasks are found by names such as `starter/line-wrap`."""

import difflib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from sandbox.policy import Policy
from sandbox.trees import TreeStore
from tasks.task import Task

#: The kinds of suites, each a module of this package with `open_suite`.
KINDS = ("starter", "quixbugs", "exercism", "swebench", "harbor", "tasks")
#: Of a suite's tasks so many are named to whoever asked for none of them.
_NAMED = 30


class Suite(Protocol):
    """A collection of tasks, each with its reference solution where there is one.

    `reference` is what opens it again, its path absolute; `version` names its exact contents (a
    commit, a digest), empty where nothing does.
    """

    @property
    def reference(self) -> str: ...

    @property
    def version(self) -> str: ...

    def names(self) -> tuple[str, ...]:
        """The names of all tasks, sorted; letters, digits and `._-` only."""

    def load(self, name: str, store: TreeStore) -> Task:
        """The task of that name, its base put into `store`. Raises UsageError for other names, and
        Unsupported, with the reason, for a task that cannot be run here."""

    def gold(self, name: str) -> bytes | None:
        """The reference solution as a unified diff, None for a task without one. It is for checks
        of the suite and must never reach a model. Raises UsageError for other names."""


@dataclass(frozen=True)
class Outline:
    """What is to be known of a task before it is run: a digest of its contents, its image, its
    policy."""

    digest: str
    image: ImageSpec
    policy: Policy


@runtime_checkable
class Outlined(Protocol):
    """A suite that can tell the outline of a task without loading it; of others each task is loaded
    before a run begins."""

    def outline(self, name: str) -> Outline:
        """Raises as `Suite.load` does."""


@dataclass(frozen=True)
class Script:
    """A reference solution that is run where a model would work: the files of a tree, which are put
    into /solution, and a command with its variables and its time in seconds."""

    files: str
    command: str = "/solution/solve.sh"
    variables: tuple[tuple[str, str], ...] = ()
    timeout: float = 3600.0


@runtime_checkable
class Scripted(Protocol):
    """A suite whose reference solutions are scripts and not diffs; `Suite.gold` gives None."""

    def script(self, name: str, store: TreeStore) -> Script | None:
        """The reference solution, its files put into `store`; None for a task without one. As with
        `gold`, it must never reach a model."""


class Unsupported(UsageError):
    """A task of a suite that this machine, image or policy cannot run; counted apart, as neither
    solved nor failed."""


def find(reference: str) -> Suite:
    """Opens the suite `KIND` or `KIND:PLACE`. Raises UsageError when there is none."""
    kind, _, place = reference.partition(":")
    if kind not in KINDS:
        _check_other_forms(reference)
        near = difflib.get_close_matches(kind, KINDS, n=1)
        asked = f"Did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"There is no suite {kind!r}.",
            f"{asked}There are: starter, {':PATH, '.join(KINDS[1:])}:PATH.",
        )
    module = importlib.import_module(f"tasks.suites.{kind}")
    return cast(Suite, module.open_suite(place))


def _check_other_forms(reference: str) -> None:
    """Raises UsageError, with what to write, for a path without its kind, and for a single task."""
    if Path(reference).is_absolute() or reference.endswith((".toml", ".jsonl")):
        there = "" if Path(reference).exists() else f"There is no file {reference}. "
        raise UsageError(
            f"{reference} is no suite: its kind is missing.",
            f"{there}Write {', '.join(f'{kind}:' for kind in KINDS[1:])} before the path; tasks: "
            "is for a file of your own.",
        )
    suite, slash, name = reference.partition("/")
    if slash and suite in KINDS:
        raise UsageError(
            f"{reference} is a task, and a suite is asked for.", f"Write: {suite} --filter {name}"
        )


def split(reference: str) -> tuple[str, str]:
    """The suite's reference and the task's name of `SUITE/NAME`. Raises UsageError for anything
    else."""
    suite, slash, name = reference.rpartition("/")
    if not (suite and slash and name):
        raise UsageError(
            f"{reference!r} is not a task of a suite.", "Write SUITE/NAME, as starter/line-wrap."
        )
    return suite, name


def load(reference: str, store: TreeStore) -> Task:
    """The task that `SUITE/NAME` means, its base put into `store`. Raises UsageError, naming the
    nearest name, when there is none."""
    suite, name = split(reference)
    return find(suite).load(name, store)


def gold(reference: str) -> bytes | None:
    """The reference solution of `SUITE/NAME`; None where there is none. Raises UsageError."""
    suite, name = split(reference)
    return find(suite).gold(name)


def tasks(suite: Suite, store: TreeStore) -> Iterator[Task]:
    """All tasks of a suite, one at a time."""
    for name in suite.names():
        yield suite.load(name, store)


def check_name(name: str, known: Sequence[str], what: str) -> None:
    """Raises UsageError, with the nearest known name or all of them, for an unknown one."""
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    hint = (
        f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known[:_NAMED])}{more}."
    )
    raise UsageError(f"There is no {what} {name!r}.", hint)
