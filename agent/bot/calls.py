"""Requests to a forge: what is tried again, after which pause, and what is said where it fails."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import tenacity

from agent.bot.forge import ForgeError
from sandbox.redaction import redact

#: Seconds that one request may take, and that the pauses between its tries may take together.
TIMEOUT = 30.0
MOST_WAIT = 120.0
TRIES = 4
#: Before the look whether a request did its work although no answer came: it may still be at it.
SETTLING = 3.0
_LONGEST_REASON = 300
_GROWING = tenacity.wait_exponential(1, max=20)
_Found = TypeVar("_Found")

_HEADS = {
    0: "{forge} could not be reached to {what}: {reason}.",
    200: "{forge}, asked to {what}, gives an answer that makes no sense: {reason}",
    401: "{forge} does not accept the token (401), asked to {what}: {reason}",
    403: "{forge} does not let this token {what} (403): {reason}",
    404: "{forge} finds nothing there (404), asked to {what}: {reason}",
}
_HINTS = {
    0: "Is its address right, and reachable from this job? Run the job again otherwise.",
    200: "Is its address right, and no other server's?",
    401: "It may have ended: a job's own token does with its job. Give the job a new one.",
    403: "`greenroom ci doctor` says which permissions it needs, and where they are set.",
    404: "It is gone, or the token may not see it.",
}


@dataclass(frozen=True)
class Trouble:
    """Why a request failed: the HTTP status, 0 where none came, and the forge's own words. `wait`
    is how many seconds it asks to be left alone, None where it does not; `hint` what to do."""

    status: int
    reason: str
    wait: float | None = None
    hint: str = ""

    @property
    def passing(self) -> bool:
        """Whether it may be gone at the next try."""
        return self.wait is not None or self.status in (0, 408, 429) or self.status >= 500

    @property
    def unsettled(self) -> bool:
        """Whether the request may have done its work all the same."""
        return self.status in (0, 408) or self.status >= 500


class _Failed(Exception):
    def __init__(self, trouble: Trouble, *, again: bool) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble
        self.again = again


class Calls:
    """`forge` is its name for messages; `trouble` reads a client's exceptions, and gives None for
    one that is no failure of a request; `secrets` are kept out of what is said."""

    def __init__(
        self,
        forge: str,
        trouble: Callable[[Exception], Trouble | None],
        *,
        secrets: Iterable[str] = (),
        say: Callable[[str], None] = lambda text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._forge = forge
        self._trouble = trouble
        self._secrets = tuple(filter(None, secrets))
        self._say = say
        self._sleep = sleep

    def again(self, what: str, call: Callable[[], _Found]) -> _Found:
        """What `call` gives, a read or a write that may be sent twice; it is tried again after what
        passes by itself. `what` completes "asked to ...". Raises ForgeError."""
        return self._tried(what, call, lambda trouble: trouble.passing)

    def once(
        self,
        what: str,
        call: Callable[[], _Found],
        look: Callable[[], _Found | None] | None = None,
    ) -> _Found:
        """What `call` gives, a write that must not happen twice. It is tried again where the forge
        refused it for now; where nobody knows what became of it, `look` says what came of it, None
        for nothing, and without `look` there is no other try. Raises ForgeError."""

        def settled() -> _Found:
            try:
                return call()
            except Exception as problem:
                trouble = self._trouble(problem)
                if look is None or trouble is None or not trouble.unsettled:
                    raise
                self._sleep(SETTLING)
                found = look()
                if found is None:
                    raise
                return found

        known = look is not None
        return self._tried(what, settled, lambda t: t.passing and (known or not t.unsettled))

    def _tried(
        self, what: str, call: Callable[[], _Found], again: Callable[[Trouble], bool]
    ) -> _Found:
        def attempt() -> _Found:
            try:
                return call()
            except Exception as problem:
                trouble = self._trouble(problem)
                if trouble is None:
                    raise
                raise _Failed(trouble, again=again(trouble)) from None

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda it: isinstance(it, _Failed) and it.again),
            wait=_pause,
            stop=_enough,
            sleep=self._sleep,
            before_sleep=lambda state: self._announce(what, state),
            reraise=True,
        )
        try:
            return retrying(attempt)
        except _Failed as failed:
            raise self._error(what, failed.trouble) from None

    def _announce(self, what: str, state: tenacity.RetryCallState) -> None:
        trouble = _trouble_of(state)
        answer = f"{trouble.status} " if trouble.status else ""
        self._say(
            f"{self._forge}, asked to {what}: {answer}{self._shown(trouble.reason)}; "
            f"again in {state.upcoming_sleep:.0f} s"
        )

    def _error(self, what: str, trouble: Trouble) -> ForgeError:
        status = trouble.status
        head = _HEADS.get(status, "{forge} refused to {what} ({status}): {reason}")
        if status >= 500:
            head = "{forge} is failing ({status}), asked to {what}: {reason}"
        hint = trouble.hint or _HINTS.get(status, "")
        if trouble.wait is not None:
            head = "{forge} has too many requests of this token ({status}), asked to {what}."
            hint = f"It asks to wait {trouble.wait:.0f} s. Run the job again after that."
        elif status >= 500:
            hint = f"It was asked {TRIES} times at most. Run the job again later."
        reason = self._shown(trouble.reason)
        message = head.format(forge=self._forge, what=what, status=status, reason=reason)
        return ForgeError(message, redact(hint, self._secrets), status)

    def _shown(self, reason: str) -> str:
        text = " ".join(redact(reason, self._secrets).split())
        text = "".join(char for char in text if char.isprintable())
        return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def asked_wait(value: str | None, now: str | None) -> float | None:
    """The seconds of a Retry-After header, which has seconds or a date; `now` is the answer's Date
    header. None where there is none, or none that can be read."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
        start = parsedate_to_datetime(now) if now else datetime.now(date.tzinfo)
        return max(0.0, (date - start).total_seconds())
    except (TypeError, ValueError):
        return None


def _trouble_of(state: tenacity.RetryCallState) -> Trouble:
    failure = state.outcome.exception() if state.outcome else None
    return failure.trouble if isinstance(failure, _Failed) else Trouble(0, str(failure))


def _pause(state: tenacity.RetryCallState) -> float:
    wait = _trouble_of(state).wait
    return _GROWING(state) if wait is None else wait + 1


def _enough(state: tenacity.RetryCallState) -> bool:
    tired = state.attempt_number >= TRIES
    return tired or state.idle_for + state.upcoming_sleep > MOST_WAIT
