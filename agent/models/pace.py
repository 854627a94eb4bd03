"""How long a server may keep a turn waiting."""

import time
from typing import Protocol

from agent.models.base import Unanswered
from agent.models.failures import Transient
from agent.models.settings import ModelSettings

#: Seconds for the token count that may follow an answer's end, and for the word that all is over.
_COUNT_WAIT = 5.0
_END_WAIT = 0.5


class Answer(Protocol):
    """How far an answer has come: `finished` is the model's part, `complete` has its count too."""

    @property
    def finished(self) -> bool: ...

    @property
    def complete(self) -> bool: ...


class Pace:
    """The clock of one attempt at a turn. Calling it gives the seconds the next read may take."""

    def __init__(self, settings: ModelSettings, answer: Answer) -> None:
        self._settings = settings
        self._answer = answer
        self._start = self._last = time.monotonic()
        self.first_token_seconds: float | None = None

    def __call__(self) -> float:
        if self._answer.finished:
            limit = self._last + (_END_WAIT if self._answer.complete else _COUNT_WAIT)
        elif self.first_token_seconds is None:
            limit = self._start + self._settings.first_token_timeout
        else:
            limit = self._last + self._settings.chunk_timeout
        limit = min(limit, self._start + self._settings.turn_timeout)
        return max(0.0, limit - time.monotonic())

    def mark(self, *, token: bool) -> None:
        """Something came; `token` says whether the model has begun to answer."""
        self._last = time.monotonic()
        if token and self.first_token_seconds is None:
            self.first_token_seconds = self._last - self._start

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    @property
    def over(self) -> bool:
        """Whether the whole turn has had its time."""
        return self.seconds >= self._settings.turn_timeout

    def stalled(self, server: str) -> bool:
        """What silence means: the end of a finished answer, or of our patience. Returns whether
        the answer was cut; raises Transient or ModelError where there is none to keep."""
        if self._answer.finished:
            return False
        waited = f"{self.seconds:.0f} s"
        if self.first_token_seconds is None:
            raise Unanswered(
                f"no token from {server} within {waited}",
                "It may be overloaded or still loading the model; see its log.",
            )
        if self.over:
            return True
        limit = f"{self._settings.chunk_timeout:g} s"
        raise Transient(f"the answer stood still for {limit} after {waited}", "stalled")
