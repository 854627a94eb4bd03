"""Watches reasoning as it streams, and says when it is to be cut short.

It looks at budgets, at repetition, at patterns of the user's and asks a judge of the user's. A text
is read in blocks of some 16 tokens, so that what is found does not depend on how it was streamed.
Tokens are counted as one for four bytes, whatever the model's tokenizer: budgets hold for all.
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

from agent.models.base import CutReason
from agent.patterns import Patterns
from agent.repetition import BLOCK, Cycles, Runs, Sentences, size

#: Once the attempt's budget is spent, a turn may still think so many tokens.
_LEAST = 256
#: A turn that thinks again after it was cut has this share of its budget.
_AGAIN = 4
#: The end of a text that patterns are tried on, in characters.
_WINDOW = 1000
#: What is kept of a text that is cut ends with a sentence, if one ends in these last characters.
_LOOK_BACK = 300
#: Blocks between two questions to the judge.
_PAUSE = 4

_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")


@dataclass(frozen=True)
class Keep:
    """The judge lets the model think on."""


@dataclass(frozen=True)
class Cut:
    """The judge ends the reasoning: the model has to act or answer now. `why` is for the log."""

    why: str = ""


@dataclass(frozen=True)
class Steer:
    """The judge ends the reasoning and tells the model something."""

    text: str


#: Judges the reasoning of a turn by its text so far. It is asked at ends of sentences, at most once
#: in some 64 tokens, in the event loop: so it has to be quick.
Judge = Callable[[str], Keep | Cut | Steer]


@dataclass(frozen=True)
class Bounds:
    """What reasoning may do. `limit` are tokens of one turn, `total` those of the attempt; None is
    no bound. `loops`: whether repetition is cut. `patterns` are regular expressions that cut."""

    limit: int | None = None
    total: int | None = None
    patterns: tuple[str, ...] = ()
    loops: bool = True


@dataclass(frozen=True)
class Decision:
    """Reasoning is to be cut. `kept` is what to keep of it, `detail` the reason in words, `say`
    what the judge wants the model to be told."""

    reason: CutReason
    detail: str
    kept: str
    say: str = ""


class Monitor:
    """The watch over one attempt. `spent` are the tokens that it has thought; `say` is told what
    the user should know."""

    def __init__(
        self,
        bounds: Bounds,
        judge: Judge | None = None,
        *,
        spent: int = 0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.bounds = bounds
        self.judge = judge
        self.patterns = Patterns(bounds.patterns, say)
        self.spent = spent
        self._say = say

    def watch(self, cuts: int = 0) -> "Watch":
        """The watch over the reasoning of a turn that was cut so many times already."""
        return Watch(self, cuts)

    def ask(self, text: str) -> Keep | Cut | Steer:
        """What the judge says of a text. One that fails is not asked again, and that is said."""
        if self.judge is None:
            return Keep()
        try:
            said: object = self.judge(text)
        # It is the user's own program, and no reason to lose the attempt.
        except Exception as error:
            failed = f"{type(error).__name__}: {error}"
        else:
            if isinstance(said, Keep | Cut | Steer):
                return said
            failed = f"it gives {said!r:.60}, and neither Keep, Cut nor Steer"
        self.judge = None
        self._say(f"the judge of the reasoning fails and is not asked any more: {failed}")
        return Keep()

    def close(self) -> None:
        self.patterns.close()


class Watch:
    """Reads one stream of reasoning. `tokens` are those that came."""

    def __init__(self, monitor: Monitor, cuts: int) -> None:
        self._monitor = monitor
        self._allowed = _allowance(monitor.bounds, monitor.spent, cuts)
        self._waiting = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pieces: list[str] = []
        self._read = self._received = 0
        self._tail = ""
        self._asked = 0
        loops = monitor.bounds.loops
        self._cycles = Cycles() if loops else None
        self._in_words = (Sentences(), Runs()) if loops else ()

    @property
    def tokens(self) -> int:
        return self._received // 4

    def feed(self, text: str) -> Decision | None:
        """Reads on; None while the model may think on."""
        before = self.tokens
        data = self._waiting + text.encode("utf-8", "replace")
        self._received += size(text)
        self._monitor.spent += self.tokens - before
        decision, place = None, 0
        while decision is None and len(data) - place >= BLOCK:
            decision = self._block(data[place : place + BLOCK])
            place += BLOCK
        self._waiting = data[place:]
        return decision

    def _block(self, block: bytes) -> Decision | None:
        text = self._decoder.decode(block)
        self._read += len(block)
        self._pieces.append(text)
        self._tail = (self._tail + text)[-_WINDOW - _LOOK_BACK :]
        ended = _SENTENCE_END.search(text) is not None
        return (
            self._repeats(block, text)
            or (self._matches() if ended else None)
            or self._over_budget()
            or (self._judged() if ended else None)
        )

    def _repeats(self, block: bytes, text: str) -> Decision | None:
        if self._cycles and (detail := self._cycles.feed(block)):
            return self._decision("loop", detail, self._cycles.start)
        found = [(watch.feed(text), watch.start) for watch in self._in_words]
        return next((self._decision("loop", detail, at) for detail, at in found if detail), None)

    def _matches(self) -> Decision | None:
        if not self._monitor.bounds.patterns:
            return None
        window = self._tail[-_WINDOW:]
        found = self._monitor.patterns.search(window)
        if found is None:
            return None
        start = self._read - size(window[found.start :])
        return self._decision("pattern", f"it matches {found.pattern!r}", start)

    def _over_budget(self) -> Decision | None:
        allowed, reason = self._allowed
        if allowed is None or self._read < 4 * allowed:
            return None
        what = "a turn" if reason == "limit" else "the attempt"
        return self._decision(reason, f"the budget of {what} is spent", self._tidy_end())

    def _judged(self) -> Decision | None:
        if self._monitor.judge is None or len(self._pieces) < self._asked + _PAUSE:
            return None
        self._asked = len(self._pieces)
        match self._monitor.ask("".join(self._pieces)):
            case Cut(why):
                return self._decision("judge", why or "the judge cut it", self._read)
            case Steer(text):
                return self._decision("judge", "the judge steers", self._read, text)
            case Keep():
                return None

    def _tidy_end(self) -> int:
        """Where the last sentence ended, if not long ago; else where the text ends."""
        end = self._tail[-_LOOK_BACK:]
        ends = [found.end() for found in _SENTENCE_END.finditer(end)]
        return self._read - size(end[ends[-1] :]) if ends else self._read

    def _decision(self, reason: CutReason, detail: str, keep: int, say: str = "") -> Decision:
        whole = "".join(self._pieces).encode("utf-8", "replace")
        return Decision(reason, detail, whole[:keep].decode("utf-8", "ignore"), say)


def _allowance(bounds: Bounds, spent: int, cuts: int) -> tuple[int | None, CutReason]:
    """The tokens that a turn may think (None: as many as it wants), and whose budget says so."""
    limit = bounds.limit
    if limit is not None and cuts:
        limit = max(1, limit // _AGAIN)
    if bounds.total is not None:
        left = max(_LEAST, bounds.total - spent)
        if limit is None or left < limit:
            return left, "total"
    return limit, "limit"
