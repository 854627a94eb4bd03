"""A model whose reasoning is watched: what the monitor cuts is aborted, and the turn goes on."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from agent import prompts
from agent.conversation import AssistantMessage, Conversation, Message, ToolSpec, UserMessage
from agent.models.base import (
    CallStarted,
    Event,
    GiveUp,
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
from agent.models.wrapper import Wrapper
from agent.monitor import Bounds, Decision, Judge, Monitor, Watch
from agent.trajectory import History, Recorder

#: A turn may be cut so often and go on; then it ends, and counts as unusable.
_CUTS_A_TURN = 2
#: From this many loops on in one attempt a turn that loops is not helped any more.
_LOOPS_AN_ATTEMPT = 12


@dataclass
class _Turn:
    """A turn as far as it has come. `lost` are tokens of requests that were broken off; `thought`,
    `said` and `spent` are of the request at hand, what was cut off left out."""

    conversation: Conversation
    tools: Sequence[ToolSpec]
    sampling: Sampling
    watch: Watch
    before: list[Message] = field(default_factory=list)
    cuts: list[ReasoningCut] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    spent: int = 0
    lost: int = 0
    acts: bool = False

    @property
    def messages(self) -> Conversation:
        return [*self.conversation, *self.before]

    @property
    def message(self) -> AssistantMessage:
        return AssistantMessage("".join(self.said), "\n\n".join(self.thought))

    @property
    def usage(self) -> Usage:
        """An estimate of what the request at hand has cost."""
        prompt = estimate_tokens(conversation_text(self.messages))
        said = estimate_tokens("".join(self.said))
        return Usage(prompt, self.spent + said, self.spent, estimated=True)

    def end(self, done: TurnDone) -> TurnDone:
        lost = done.usage.abandoned_tokens + self.lost
        usage = replace(done.usage, abandoned_tokens=lost)
        return replace(done, usage=usage, before=tuple(self.before), cuts=tuple(self.cuts))


class WatchedModel(Wrapper):
    """`model` under `monitor`. `loops` are the cuts for repetition that the attempt has had."""

    def __init__(self, model: Model, monitor: Monitor, *, loops: int = 0) -> None:
        super().__init__(model)
        self._monitor = monitor
        self._loops = loops

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """Streams one turn as the model does. After a cut a `ReasoningCut` comes, then the rest."""
        turn = _Turn(conversation, tools, sampling, self._monitor.watch())
        stream: AsyncGenerator[Event, None] | None
        stream = self._model.generate(conversation, tools, sampling)
        while stream is not None:
            end: TurnDone | Decision | None = None
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, TurnDone):
                        end = event
                        break
                    yield event
                    end = self._look(turn, event)
                    if end is not None:
                        break
            self.info = self._model.info
            if end is None:  # the caller knows what to make of a stream without an end
                return
            if isinstance(end, TurnDone) and not _is_recorded_cut(end):
                yield turn.end(end)
                return
            cut, stream = (
                self._cut_again(turn, end) if isinstance(end, TurnDone) else self._cut(turn, end)
            )
            turn.cuts.append(cut)
            yield cut
        problem = prompts.STILL_THINKING.format(why=turn.cuts[-1].detail)
        yield turn.end(TurnDone(turn.message, turn.usage, "cut", problem))

    def _look(self, turn: _Turn, event: Event) -> Decision | None:
        match event:
            case ReasoningDelta(text) if self._model.watched and not turn.acts:
                return turn.watch.feed(text)
            case TextDelta(text):
                turn.said.append(text)
            case CallStarted():
                turn.acts = True
            case Retrying():
                turn.said, turn.acts = [], False
                turn.watch = self._monitor.watch(len(turn.cuts))
        return None

    def _cut(
        self, turn: _Turn, decision: Decision
    ) -> tuple[ReasoningCut, AsyncGenerator[Event, None] | None]:
        """What the cut was, and how the turn goes on; no stream where it does not."""
        loop, tokens = decision.reason == "loop", turn.watch.tokens
        self._loops += loop
        turn.thought.append(decision.kept)
        turn.spent += tokens
        cut = ReasoningCut(
            decision.reason,
            decision.detail,
            tokens=tokens,
            kept=min(tokens, estimate_tokens(decision.kept)),
            saved=self._saved(turn) if loop else None,
            way="closed",
        )
        if len(turn.cuts) >= _CUTS_A_TURN or self._loops > _LOOPS_AN_ATTEMPT:
            return replace(cut, way="ended"), None
        turn.watch = self._monitor.watch(len(turn.cuts) + 1)
        if not decision.say:
            kept = len(decision.kept)
            on = self._model.answer(turn.messages, turn.tools, turn.sampling, kept)
            if on is not None:
                return cut, on
        steering = decision.say or prompts.STOP_THINKING.format(why=decision.detail)
        return self._ask(turn, replace(cut, way="asked", thought=turn.message, steering=steering))

    def _cut_again(
        self, turn: _Turn, done: TurnDone
    ) -> tuple[ReasoningCut, AsyncGenerator[Event, None]]:
        """A recorded cut, played again."""
        turn.spent = done.usage.output_tokens
        return self._ask(turn, done.cuts[0])

    def _ask(
        self, turn: _Turn, cut: ReasoningCut
    ) -> tuple[ReasoningCut, AsyncGenerator[Event, None]]:
        turn.lost += turn.usage.total_tokens
        turn.said, turn.thought, turn.spent = [], [], 0
        turn.before += [cut.thought or AssistantMessage(), UserMessage(cut.steering, "steering")]
        return cut, self._model.generate(turn.messages, turn.tools, turn.sampling)

    def _saved(self, turn: _Turn) -> int | None:
        """What the request could still have taken, by its limit and by the window."""
        bounds = [turn.sampling.max_output_tokens or self._model.output_bound]
        window = self._model.info.context_window
        bounds.append(window and window - turn.usage.input_tokens)
        known = [bound for bound in bounds if bound is not None]
        return max(0, min(known) - turn.spent) if known else None

    def branches(
        self,
        conversation: Conversation,
        tools: Sequence[ToolSpec],
        sampling: Sampling,
        count: int,
        give_up: GiveUp = lambda _number, _text: "",
    ) -> AsyncGenerator[TurnDone, None] | None:
        """As the model's own; one whose reasoning is to be cut is given up: there are others."""
        watches = [self._monitor.watch() for _ in range(count)]

        def judge(number: int, text: str) -> str:
            decision = watches[number].feed(text) if self._model.watched else None
            return decision.detail if decision else give_up(number, text)

        return self._model.branches(conversation, tools, sampling, count, judge)


@asynccontextmanager
async def watched(
    model: Model,
    bounds: Bounds,
    recorder: Recorder,
    history: History | None = None,
    judge: Judge | None = None,
) -> AsyncIterator[WatchedModel]:
    """`model` under a monitor for one attempt, which goes on from `history` where there is one."""
    cuts = history.cuts if history else ()
    spent = int(history.usage.get("reasoning_tokens", 0)) if history else 0
    # What was cut off, and what was asked again, is in no count of the model's.
    spent += sum(
        cut["tokens"] - (cut["way"] == "closed" and cut["kept"])
        for cut in cuts
        if cut["way"] != "ended"
    )
    monitor = Monitor(bounds, judge, spent=spent, say=lambda text: recorder.emit("note", text=text))
    try:
        yield WatchedModel(model, monitor, loops=sum(cut["reason"] == "loop" for cut in cuts))
    finally:
        monitor.close()


def _is_recorded_cut(done: TurnDone) -> bool:
    return done.finish == "cut" and bool(done.cuts) and done.cuts[0].way == "asked"
