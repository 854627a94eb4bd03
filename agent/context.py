"""How full a conversation is: its tokens, and the marks that the model's window sets.

At the high mark a conversation is made shorter, down to the low one (`agent.compaction`). Tokens
are taken from the best count at hand: the model's own, else what the backend reported for the
latest turn and an estimate of what came after it, else an estimate alone.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from agent.conversation import Conversation, Message, ToolSpec
from agent.models.base import Model, TurnDone, conversation_text, estimate_tokens
from sandbox.errors import UsageError

#: What a message takes beside its text: its role, its marks.
_FRAME = 4
#: Of a window this share is kept free for the answer when the user set no limit to it.
_ANSWER_SHARE = 0.25
#: How far a count may lie from four characters a token and be believed.
_RATIOS = (0.4, 6.0)


@dataclass(frozen=True)
class ContextShares:
    """The marks as shares of what the window leaves beside the answer."""

    high: float = 0.9
    low: float = 0.5

    def check(self) -> None:
        """Raises UsageError for marks that are in the wrong order or too close."""
        if not 0 < self.low <= self.high - 0.1 <= 0.9:
            raise UsageError(
                f"context_low is {self.low:g} and context_high {self.high:g}: a conversation that"
                " fills the high share of the window is cut to the low one",
                "Give a high mark of at most 1 and a low one that lies 0.1 or more below it.",
            )


@dataclass(frozen=True)
class Marks:
    """In tokens. `answer` of the `window` is kept for what the model writes; a prompt may have
    `high`, and has about `low` after it was made shorter."""

    window: int
    answer: int
    high: int
    low: int

    @classmethod
    def of(
        cls, window: int, shares: ContextShares, wanted: int | None, bound: int | None
    ) -> "Marks":
        """`wanted` is the limit of output that the user set, `bound` the backend's own. Raises
        UsageError where what the user set takes the whole window."""
        if wanted is not None and wanted >= window:
            raise UsageError(
                f"--max-output-tokens {wanted:,} takes the whole context window of {window:,}",
                "Give less, or a model with a larger window.",
            )
        share = int(window * _ANSWER_SHARE)
        # A backend gives an answer less where a prompt takes more than half.
        answer = min(wanted, window // 2) if wanted else min(bound or share, share)
        room = window - answer
        return cls(window, answer, int(room * shares.high), int(room * shares.low))

    def target(self, opening: int) -> int:
        """To how many tokens a conversation is cut that begins with `opening` of them: where these
        alone come near the low mark, half of what is left beside them."""
        most = self.high if opening < self.high else self.window
        return max(self.low, (opening + most) // 2)


class Gauge:
    """Counts a conversation's tokens, for a model that is given `tools` with each prompt."""

    def __init__(self, model: Model, tools: Sequence[ToolSpec]) -> None:
        self._model = model
        self._tools = tools
        self._tools_text = "".join(json.dumps(asdict(spec), default=str) for spec in tools)
        self._ratio = 1.0
        self._last: Message | None = None
        self._length = self._tokens = 0

    def taken(self, conversation: Conversation, done: TurnDone) -> None:
        """Learns from what the backend reported for a turn that `conversation` led to."""
        prompt, usage = [*conversation, *done.before], done.usage
        if not usage.estimated and self._learn(prompt, usage.input_tokens):
            self._length, self._last = len(prompt) + 1, done.message
            self._tokens = usage.input_tokens + usage.output_tokens

    def tokens(self, conversation: Conversation) -> int:
        """Tokens of a prompt, quickly: reported ones where there are any, the rest estimated."""
        length = self._length
        known = 0 < length <= len(conversation) and conversation[length - 1] is self._last
        if known:
            return self._tokens + self.of(conversation[length:])
        return self.of(conversation) + int(estimate_tokens(self._tools_text) * self._ratio)

    def exact(self, conversation: Conversation) -> int | None:
        """Tokens of a prompt as the model counts them; None where it cannot."""
        found = self._model.count(conversation, self._tools)
        if found is not None:
            self._learn(conversation, found)
        return found

    def best(self, conversation: Conversation) -> int:
        found = self.exact(conversation)
        return self.tokens(conversation) if found is None else found

    def of(self, messages: Conversation) -> int:
        """An estimate of what these messages add to a prompt."""
        return int(sum(map(_estimate, messages)) * self._ratio)

    def _learn(self, conversation: Conversation, tokens: int) -> bool:
        """Takes a count for the measure of estimates. False where it cannot be: some servers leave
        out what they had cached."""
        estimated = sum(map(_estimate, conversation)) + estimate_tokens(self._tools_text)
        least, most = _RATIOS
        ratio = tokens / max(1, estimated)
        if not least < ratio < most:
            return False
        self._ratio = ratio
        return True


def _estimate(message: Message) -> int:
    return estimate_tokens(conversation_text([message])) + _FRAME
