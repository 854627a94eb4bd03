"""What is to be done for one result: plain data, so that another machine can do it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from agent.bench.record import Result

#: Who makes the patch: a model, the suite's reference solution, somebody before, or nobody.
Way = Literal["model", "gold", "given", "empty"]


@dataclass(frozen=True)
class Job:
    """One attempt at one task.

    `suite` is the reference that opens the suite again. `folder` is the attempt's, absolute; what
    an earlier try left there is gone on from. `settings` are as `agent.settings.recordable` has
    them. `seed` is that of sampling, None for none. `patch` is the file of a diff that was given.
    """

    suite: str
    task: str
    attempt: int
    way: Way
    folder: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    patch: str = ""
    lost: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """What a run holds exactly one result of."""
        return (self.task, self.attempt)

    @property
    def path(self) -> Path:
        return Path(self.folder)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Job":
        return cls(**data)


@dataclass(frozen=True)
class End:
    """How a try at a job ended. `again`: what broke it off was nothing of its own, so that another
    try may do better; the result then says how it stands without one."""

    result: Result
    again: bool = False


class Paused(Exception):
    """A try was broken off between two turns, as was asked; its folder holds what to go on from."""


class Engine(Protocol):
    """Where jobs are done."""

    async def attempt(self, job: Job) -> End:
        """Does a job to its end. Raises Paused once `drain` was called; cancelling it leaves what
        it did to go on from, and no container."""

    def expect(self, jobs: tuple[Job, ...]) -> None:
        """Tells which jobs come next, the soonest first, so that what they need is made ready."""

    def allow(self, turns: int) -> None:
        """Bounds how many turns of the model are taken at a time."""

    def drain(self) -> None:
        """Has every attempt stop before its next turn."""

    @property
    def proving(self) -> int:
        """How many attempts are being judged, and so do without the model."""
