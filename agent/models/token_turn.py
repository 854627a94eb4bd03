"""One turn in tokens, while it comes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from agent.conversation import AssistantMessage
from agent.models import malformed
from agent.models.base import Event, ReasoningDelta, TurnDone, Usage
from agent.models.dialect import Dialect, Parser
from agent.models.source import Request


class TokenTurn:
    """What a source was asked for, and what it has given; `start` is a moment of the monotonic
    clock, `parser` makes a fresh parser for the turn."""

    def __init__(
        self, dialect: Dialect, request: Request, parser: Callable[[], Parser], start: float
    ) -> None:
        self._dialect = dialect
        self._request = request
        self._fresh = parser
        self._start = start
        self._first: float | None = None
        self._abandoned = 0
        self._begin((), parser())
        self.cached_tokens = 0
        self.timed_out = False
        self.given_up = ""

    def _begin(self, tokens: Sequence[int], parser: Parser) -> None:
        """A stream begins that goes on from `tokens`, which `parser` has read. From here on the
        characters of reasoning are noted, and whether it is open, token by token."""
        self._tokens = list(tokens)
        self._given = len(self._tokens)
        self._parser = parser
        self._reasoned = [(0, bool(parser.answer_now()))]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def rest(self) -> Request:
        """What to ask of the source now."""
        taken = len(self._tokens)
        ids = (*self._request.ids, *self._tokens)
        return replace(self._request, ids=ids, max_tokens=self._room(taken), begun=taken)

    def _room(self, taken: int) -> int:
        return self._request.max_tokens - taken

    @property
    def stopped(self) -> bool:
        """Whether the model itself ended the turn."""
        return bool(self._tokens) and self._tokens[-1] in self._dialect.stop_ids

    @property
    def full(self) -> bool:
        """Whether nothing can follow."""
        return self.stopped or self._room(len(self._tokens)) < 1

    def take(self, token: int) -> list[Event]:
        if self._first is None:
            self._first = self.seconds
        self._tokens.append(token)
        events = self._parser.feed(token)
        more = sum(len(event.text) for event in events if isinstance(event, ReasoningDelta))
        self._reasoned.append((self._reasoned[-1][0] + more, bool(self._parser.answer_now())))
        return events

    def restart(self) -> None:
        """The stream begins anew: what it gave is lost, and was paid for all the same."""
        kept = self._tokens[: self._given]
        if len(self._tokens) > len(kept):
            self._abandoned += len(self._request.ids) + len(self._tokens)
        parser = self._fresh()
        for token in kept:
            parser.feed(token)
        self._begin(kept, parser)

    def answer_now(self, kept: int) -> bool:
        """Drops what follows the first `kept` characters of reasoning of the latest stream, and
        ends it. False, and nothing is done, where none is open there or no room is left for an
        answer."""
        open_at = [n for n, (read, thinks) in enumerate(self._reasoned) if thinks and read <= kept]
        if not open_at:
            return False
        whole = self._tokens[: self._given + open_at[-1]]
        parser = self._fresh()
        for token in whole:
            parser.feed(token)
        ending = self._dialect.encode(parser.answer_now())
        if self._room(len(whole) + len(ending)) < 1:
            return False
        for token in ending:
            parser.feed(token)
        self._abandoned += len(self._tokens) - len(whole)
        self._begin([*whole, *ending], parser)
        return True

    def close(self) -> list[Event]:
        """What can be shown only now that no token follows."""
        return self._parser.close()

    def end(self) -> TurnDone:
        """The whole turn, now that no token follows."""
        self.close()
        return self.done()

    def done(self) -> TurnDone:
        """The whole turn; to be asked for after `close`."""
        parsed = self._parser.parsed()
        message = AssistantMessage(parsed.text, parsed.reasoning, parsed.calls, tuple(self._tokens))
        usage = Usage(
            input_tokens=len(self._request.ids),
            output_tokens=len(self._tokens),
            reasoning_tokens=parsed.reasoning_tokens,
            cached_tokens=self.cached_tokens,
            abandoned_tokens=self._abandoned,
        )
        limited = not self.stopped
        finish: Literal["stop", "calls", "length", "cut"] = "calls" if parsed.calls else "stop"
        problem = parsed.problem
        if self.given_up:
            finish, problem = "cut", malformed.given_up(self.given_up)
        elif self.timed_out:
            finish, problem = "cut", malformed.cut_short(self.seconds)
        elif limited:
            finish = "length"
        if not problem and not parsed.calls:
            problem = malformed.problem_without_calls(message, usage, limited=limited)
        timings = {"seconds": self.seconds}
        if self._first is not None:
            timings["first_token_seconds"] = self._first
        return TurnDone(message, usage, finish, problem, timings, kind=parsed.kind)
