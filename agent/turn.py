"""One turn: what the model says, streamed within the bounds, and the calls it makes, answered."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from agent.budget import Ledger
from agent.codec import cut_data, message_data
from agent.conversation import Conversation, Message, ToolCall, ToolMessage
from agent.models.base import (
    CallStarted,
    Malformed,
    Model,
    ReasoningCut,
    ReasoningDelta,
    Retrying,
    Sampling,
    TextDelta,
    TurnDone,
    Usage,
    conversation_text,
    estimate_tokens,
)
from agent.trajectory import Recorder
from tools.tool import Toolbox, ToolContext, ToolResult

#: Calls in one turn that are run; a model means no more than a few.
MOST_CALLS = 50
_TOO_MANY = f"Not run: a turn may have {MOST_CALLS} calls."


class Exhausted(Exception):
    """A bound of the attempt was reached in the middle of a turn; the text says which."""


class TurnTaker:
    """Has a model take turns, and counts and records what they cost."""

    def __init__(
        self, model: Model, toolbox: Toolbox, sampling: Sampling, recorder: Recorder, ledger: Ledger
    ) -> None:
        self._model = model
        self._toolbox = toolbox
        self._sampling = sampling
        self._recorder = recorder
        self._ledger = ledger

    async def stream(self, conversation: Conversation) -> TurnDone:
        """One streamed turn, aborted when it would break the bounds of time or tokens.

        Raises Exhausted then, and ModelError when the model cannot answer.
        """
        said: list[str] = []
        heard = 0
        events = self._model.generate(conversation, self._toolbox.specs, self._sampling)
        try:
            async with asyncio.timeout(self._ledger.seconds_left), aclosing(events):
                async for event in events:
                    match event:
                        case TurnDone():
                            self._ledger.add(event.usage)
                            return replace(event, cuts=(), malformed=())  # the log has them
                        case ReasoningCut():
                            self._record_cut(event)
                        case Malformed():
                            self._ledger.add(event.usage)
                            self._record_malformed(event)
                            if reached := self._ledger.exhausted(amid_turn=True):
                                raise Exhausted(f"{reached}, in the middle of a turn")
                            said, heard = [], 0
                        case ReasoningDelta(text) | TextDelta(text):
                            kind = "text" if isinstance(event, TextDelta) else "reasoning"
                            self._recorder.emit("delta", kind=kind, text=text)
                            said.append(text)
                            heard += len(text)
                        case CallStarted(_, name):
                            self._recorder.emit("delta", kind="call", text=name)
                        case Retrying(reason, seconds, _):
                            self._recorder.emit("retry", reason=reason, seconds=seconds)
                    if heard > 4 * (self._ledger.limits.tokens - self._ledger.tokens):
                        break
        except TimeoutError:
            if self._ledger.seconds_left > 0:
                raise
        used = estimate_tokens(conversation_text(conversation))
        self._ledger.add(Usage(used, estimate_tokens("".join(said)), estimated=True))
        reached = self._ledger.exhausted() or "the backend ended its stream without a turn"
        raise Exhausted(f"{reached}, in the middle of a turn")

    def candidates(self, conversation: Conversation, count: int) -> AsyncGenerator[TurnDone, None]:
        """Alternative turns from the same state, most promising first."""
        return self._model.candidates(conversation, self._toolbox.specs, self._sampling, count)

    def record(self, done: TurnDone) -> None:
        """Records a turn that was taken, and what in it was not seen as it came."""
        for malformed in done.malformed:
            self._record_malformed(malformed)
        for cut in done.cuts:
            self._record_cut(cut)
        if done.kind:
            self._ledger.malformed[done.kind] += 1
        self._recorder.emit(
            "turn",
            turn=self._ledger.turns,
            message=message_data(done.message),
            usage=self._ledger.usage(),
            finish=done.finish,
            problem=done.problem,
            kind=done.kind,
            first_token_seconds=done.timings.get("first_token_seconds"),
        )

    def _record_cut(self, cut: ReasoningCut) -> None:
        self._recorder.emit("cut", turn=self._ledger.turns, **cut_data(cut))

    def _record_malformed(self, malformed: Malformed) -> None:
        self._ledger.malformed[malformed.kind] += 1
        self._recorder.emit(
            "malformed",
            turn=self._ledger.turns,
            kind=malformed.kind,
            problem=malformed.problem,
            message=message_data(malformed.message),
            usage=self._ledger.usage(),
            attempt=malformed.attempt,
        )

    async def perform(self, done: TurnDone, context: ToolContext) -> Sequence[Message]:
        """Runs the turn's calls in order, as far as time and number allow; returns their results
        as messages."""
        messages: list[Message] = []
        for number, call in enumerate(done.message.calls, 1):
            turn = self._ledger.turns
            self._recorder.emit(
                "call", turn=turn, id=call.id, name=call.name, arguments=call.arguments
            )
            start = time.monotonic()
            if number > MOST_CALLS:
                result = ToolResult(_TOO_MANY, ok=False)
            else:
                result = await self._call(call, context)
            self._recorder.emit(
                "result",
                turn=turn,
                id=call.id,
                name=call.name,
                ok=result.ok,
                text=result.text,
                seconds=round(time.monotonic() - start, 3),
            )
            messages.append(ToolMessage(call.id, call.name, result.text))
        return messages

    async def _call(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """One call, stopped when the attempt's time is over."""
        try:
            async with asyncio.timeout(self._ledger.seconds_left):
                return await self._toolbox.call(call.name, call.arguments, context)
        except TimeoutError:
            if self._ledger.seconds_left > 0:
                raise
            return ToolResult("Stopped: the time for this task is over.", ok=False)
