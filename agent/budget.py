"""The bounds of an attempt - turns, tokens, seconds, money - and what it has spent of them.

They hold whatever a server reports: usage that is missing was estimated by the backend and counts
the same, and seconds need nobody's report.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from agent.context import ContextShares
from agent.models.base import MalformedKind, ModelInfo, Price, Sampling, Usage
from agent.monitor import Bounds
from sandbox.errors import UsageError
from tasks.task import Task


@dataclass(frozen=True)
class Limits:
    """Bounds of one attempt: turns, tokens (in and out), seconds, US dollars (None: none)."""

    turns: int = 50
    tokens: int = 2_000_000
    seconds: float = 3600.0
    cost: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """How an attempt is run: its bounds, how turns are sampled, how many candidates a turn, how
    many clean rooms wait for use, what reasoning may do, how often a malformed turn is asked for
    again (None: as the model needs it), how full a conversation may get. `as_a_whole` and
    `must_fail` are as in `agent.request.Request`."""

    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    candidates: int = 1
    warm: int = 1
    reasoning: Bounds = field(default_factory=Bounds)
    malformed_retries: int | None = None
    context: ContextShares = field(default_factory=ContextShares)
    as_a_whole: bool = False
    must_fail: tuple[str, ...] | None = None

    def for_task(self, task: Task, *, given: int | None) -> "Plan":
        """This plan within what the task itself gives an attempt; one candidate a turn, unless
        another number is `given`, where its sandbox cannot be put back."""
        plan = self
        if task.time_limit is not None and task.time_limit < plan.limits.seconds:
            plan = replace(plan, limits=replace(plan.limits, seconds=task.time_limit))
        if task.policy.as_root and not given:
            plan = replace(plan, candidates=1)
        return plan


def check_cost_limit(limits: Limits, info: ModelInfo) -> None:
    """Raises UsageError for a cost limit that could never bind, since the price is not known."""
    if limits.cost is not None and info.price is None:
        raise UsageError(
            f"--cost-limit {limits.cost:g} cannot hold: the price of {info.name} is not known",
            "Give --price-input and --price-output (US dollars per million tokens), or drop it.",
        )


class Ledger:
    """What an attempt has spent, carried over when it is resumed."""

    def __init__(self, limits: Limits, price: Price | None) -> None:
        self.limits = limits
        self._price = price
        self.turns = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.reasoning_tokens = 0
        self.cached_tokens = 0
        self.estimated = False
        #: How many turns were malformed, by kind.
        self.malformed: Counter[MalformedKind] = Counter()
        self._carried = 0.0
        self._start = time.monotonic()

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def seconds(self) -> float:
        return self._carried + time.monotonic() - self._start

    def waited(self, seconds: float) -> None:
        """Leaves out seconds that the attempt had to wait for others."""
        self._carried -= seconds

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.limits.seconds - self.seconds)

    @property
    def cost(self) -> float | None:
        """US dollars spent, None when the model has no known price."""
        if self._price is None:
            return None
        spent = self.input_tokens * self._price.input + self.output_tokens * self._price.output
        return spent / 1e6

    def add(self, usage: Usage) -> None:
        """Counts the tokens of one model call, those of answers that were lost on the way too."""
        self.input_tokens += usage.input_tokens + usage.abandoned_tokens
        self.output_tokens += usage.output_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        self.cached_tokens += usage.cached_tokens
        self.estimated = self.estimated or usage.estimated

    def exhausted(self, *, amid_turn: bool = False) -> str:
        """Which bound is reached, in words; empty while there is room for another turn, or for the
        rest of this one."""
        reached = self.reached(amid_turn=amid_turn)
        words = {
            "turn": f"{self.limits.turns}",
            "token": f"{self.limits.tokens:,}",
            "time": f"{self.limits.seconds:g} s",
            "cost": f"${self.limits.cost or 0:g}",
        }
        return f"{reached} limit of {words[reached]} reached" if reached else ""

    def reached(self, *, amid_turn: bool = False) -> Literal["", "turn", "token", "time", "cost"]:
        """The name of the bound that is reached; empty when none is. `amid_turn`: the last turn may
        still be taken."""
        if self.turns >= self.limits.turns and not amid_turn:
            return "turn"
        if self.tokens >= self.limits.tokens:
            return "token"
        if self.seconds >= self.limits.seconds:
            return "time"
        cost = self.cost
        if self.limits.cost is not None and cost is not None and cost >= self.limits.cost:
            return "cost"
        return ""

    def carry(self, turns: int, usage: Mapping[str, Any], seconds: float) -> None:
        """Starts from what an interrupted attempt had spent."""
        self.turns = turns
        self.input_tokens = int(usage.get("input_tokens", 0))
        self.output_tokens = int(usage.get("output_tokens", 0))
        self.reasoning_tokens = int(usage.get("reasoning_tokens", 0))
        self.cached_tokens = int(usage.get("cached_tokens", 0))
        self.estimated = bool(usage.get("estimated", False))
        self._carried = seconds

    def usage(self) -> dict[str, Any]:
        """Tokens so far, as JSON data."""
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "cached_tokens": self.cached_tokens,
            "estimated": self.estimated,
        }
