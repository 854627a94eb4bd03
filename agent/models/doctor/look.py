"""A model that is looked at, and the turns it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.conversation import Conversation, SystemMessage, ToolSpec, UserMessage
from agent.models.base import Event, ModelError, Sampling, TurnDone
from agent.models.openai import OpenAIModel

SMALL = Sampling(max_output_tokens=48)
ONE_TOKEN = Sampling(max_output_tokens=1)
#: Seconds that an answer of many tokens may take, by the pace of the first one.
_LONG = 45.0
SYSTEM = SystemMessage("You are a careful assistant. Use the tools you are given.")
HELLO: Conversation = (SYSTEM, UserMessage("Say hello in one short sentence."))
LOG = "See the server's own log."


@dataclass
class Look:
    """What the probes share. `reasons`: the model was seen to reason, in this field or another;
    `pace` is its tokens a second, 0 while that is not known."""

    model: OpenAIModel
    usage: bool = False
    reasons: bool = False
    first_token_seconds: float = 0.0
    pace: float = 0.0
    events: list[Event] = field(default_factory=list)

    def room(self, most: int) -> int:
        """So many tokens, or fewer where the model is slow."""
        return max(32, min(most, int(self.pace * _LONG))) if self.pace else most

    async def turn(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> TurnDone:
        """One turn, its events kept. Raises ModelError where there is none to be had."""
        self.events = [e async for e in self.model.generate(conversation, tools, sampling)]
        done = self.events[-1] if self.events else None
        if not isinstance(done, TurnDone):
            raise ModelError("the turn has no end", LOG)
        self.reasons = self.reasons or bool(done.message.reasoning)
        return done
