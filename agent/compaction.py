"""New epochs: a conversation that fills its model's window is made shorter, and goes on.

Old texts are cut first. Where that is not enough, the model writes down what it needs, and the next
epoch has the task, these notes, the change, the latest report and the newest turns. A conversation
changes in no other way, so what a backend has cached of it stays good within an epoch.
"""

from collections.abc import Awaitable, Callable, Sequence

from agent.budget import Ledger, Plan
from agent.checkpoint import NoteTaker, Work, note, notes_in, request
from agent.context import Gauge, Marks
from agent.conversation import Message, ToolSpec
from agent.dialogue import Dialogue
from agent.models.base import ContextOverflow, Model, TurnDone
from agent.shrinking import Shorter, beginning, latest_report, newest, renewed, shrink
from agent.trajectory import Recorder
from sandbox.errors import SetupError

#: How often a turn that a backend finds too long is asked for again, the conversation made shorter.
_AGAIN = 2
#: From this share of the high mark on it is worth the time to count exactly.
_NEAR = 0.8
#: Of the low mark: newest turns whose texts are left alone, the notes, the diff.
_UNTOUCHED, _NOTES, _DIFF = 0.33, 0.2, 0.25
_LONGEST_NOTES = 1500
#: Tokens of a report of the tests, and the part of a small window that it may have.
_REPORT, _REPORT_PART = 2500, 8
#: Strengths at which texts are cut before turns are left out.
_MILD = (0, 1)
_CHARACTERS_A_TOKEN = 4

_REASON = (
    "The conversation grew too long for your context, so its older turns were left out. Go on from"
    " where you were."
)


class Compactor:
    """Takes the turns of an attempt, and makes its conversation shorter where that is due."""

    def __init__(
        self,
        model: Model,
        tools: Sequence[ToolSpec],
        plan: Plan,
        ledger: Ledger,
        recorder: Recorder,
    ) -> None:
        self._model = model
        self._tools = tools
        self._plan = plan
        self._ledger = ledger
        self._recorder = recorder
        self._gauge = Gauge(model, tools)
        self._notes = NoteTaker(model, plan.sampling, ledger, recorder)
        self._found_full: int | None = None
        self._after = 0

    @property
    def report_limit(self) -> int:
        """Tokens that a report of the tests may have."""
        window = self._model.info.context_window
        return min(_REPORT, window // _REPORT_PART) if window else _REPORT

    async def turn(
        self, dialogue: Dialogue, ask: Callable[[], Awaitable[TurnDone]], work: Callable[[], Work]
    ) -> TurnDone:
        """A turn of the model, asked for with `ask`, which reads `dialogue`; `work` tells where
        the work stands.

        Raises SetupError, shown to the user, where the window does not even hold the task, and
        ContextOverflow where the backend says so of the shortest conversation.
        """
        marks = self._marks()
        if marks and not dialogue.grown:
            self._check(dialogue, marks)
        if marks and self._is_full(dialogue, marks):
            await self._compact(dialogue, work(), "context")
        again = 0
        while True:
            try:
                done = await ask()
            except ContextOverflow:
                again += 1
                if again > _AGAIN or not dialogue.grown:
                    raise
                # What the backend counts is not what we count: this much is too much.
                self._found_full = self._gauge.best(dialogue.messages)
                if not await self._compact(dialogue, work(), "overflow"):
                    raise
                continue
            self._gauge.taken(dialogue.messages, done)
            return done

    def _marks(self) -> Marks | None:
        """The marks for the window as far as it is known by now."""
        windows = (self._model.info.context_window, self._found_full)
        window = min((w for w in windows if w), default=None)
        if window is None:
            return None
        wanted, bound = self._plan.sampling.max_output_tokens, self._model.output_bound
        if self._found_full is not None:
            # It was found full with the room for the answer, so this is part of it.
            wanted = None
        return Marks.of(window, self._plan.context, wanted, bound)

    def _check(self, dialogue: Dialogue, marks: Marks) -> None:
        exact = self._gauge.exact(dialogue.messages)
        tokens = self._gauge.tokens(dialogue.messages) if exact is None else exact
        # An estimate may be wrong, and the backend will say so if it is not.
        if tokens <= marks.window - (0 if exact is None else marks.answer):
            return
        about = "about " if exact is None else ""
        raise SetupError(
            f"the task and the tools take {about}{tokens:,} tokens, and the context window of"
            f" {self._model.info.name} has {marks.window:,}, {marks.answer:,} of them kept for"
            " the answer",
            "Take a model with a larger window, or give it a larger one where it is served;"
            " --context-window says how large it is, --max-output-tokens what an answer may take.",
        )

    def _is_full(self, dialogue: Dialogue, marks: Marks) -> bool:
        if not dialogue.grown:
            return False
        tokens = self._gauge.tokens(dialogue.messages)
        if tokens > marks.high * _NEAR:
            tokens = self._gauge.best(dialogue.messages)
        # Where little could be cut, the next epoch is not begun at once.
        return tokens > max(marks.high, self._after + (marks.high - marks.low) // 4)

    async def _compact(self, dialogue: Dialogue, work: Work, reason: str) -> bool:
        """Begins an epoch that is shorter. False, and nothing is done, where none would be."""
        marks = self._marks()
        if marks is None:
            return False
        messages = tuple(dialogue.messages)
        before = self._gauge.best(messages)
        report = latest_report(messages)
        stays = [*beginning(messages), *([messages[report]] if report >= 0 else [])]
        target = marks.target(self._gauge.tokens(stays))
        notes, made = "", self._cut(messages, before, target)
        if made is None:
            notes = await self._ask_for_notes(messages, before, work, target, marks)
            made = self._renewed(messages, notes or notes_in(messages), work, target)
        after = self._gauge.best(made.messages)
        if after > max(
            target, marks.high
        ):  # the estimate that the parts were chosen by was too low
            target = int(target * target / after)
            made = self._renewed(messages, notes or notes_in(messages), work, target)
            after = self._gauge.best(made.messages)
        if after >= before:
            return False
        more = {"checkpoint": notes} if notes else {}
        dialogue.begin(
            reason, made.messages, before=before, after=after, shrunk=dict(made.cut), **more
        )
        self._after = after
        return True

    def _cut(self, messages: Sequence[Message], before: int, target: int) -> Shorter | None:
        """The conversation with its old texts cut; None where that is not short enough."""
        alone = len(newest(messages, int(target * _UNTOUCHED), self._gauge.of))
        for strength in _MILD:
            end = len(messages) - max(1, alone)
            made = shrink(messages, before, target, self._gauge.of, end, strength)
            if made.tokens <= target:
                return made
        return None

    async def _ask_for_notes(
        self, messages: Sequence[Message], before: int, work: Work, target: int, marks: Marks
    ) -> str:
        """The model's notes; empty where it makes none, or where they cannot be paid for."""
        limit = min(_LONGEST_NOTES, int(target * _NOTES))
        asking = self._gauge.of([request(limit)])
        self._recorder.emit("progress", text="the model notes where it stands")
        # First with the very prompt of the turns, tools included, since that is cached. A model
        # that calls one, and a conversation that leaves no room, get a shorter one without.
        for number, tools in enumerate((self._tools, ())):
            told, tokens = messages, before
            if number:
                told = self._short(messages, before, work, marks.high)
                tokens = self._gauge.tokens(told)
            room = marks.window - tokens - asking
            left = self._ledger.limits.tokens - self._ledger.tokens
            if room < 2 * limit or left < tokens + asking + 2 * limit:
                continue
            if notes := await self._notes.ask(told, tools, limit, room):
                return notes
        return ""

    def _short(
        self, messages: Sequence[Message], before: int, work: Work, target: int
    ) -> Sequence[Message]:
        """The conversation as far as it can be told in `target` tokens."""
        cut = shrink(messages, before, target, self._gauge.of, len(messages), _MILD[-1])
        if cut.tokens <= target:
            return cut.messages
        return self._renewed(cut.messages, notes_in(messages), work, target).messages

    def _renewed(self, messages: Sequence[Message], notes: str, work: Work, target: int) -> Shorter:
        characters = int(target * _DIFF) * _CHARACTERS_A_TOKEN
        first = note(_REASON, work, notes=notes, limit=characters)
        room = target - self._gauge.tokens(())  # what the tools take
        return renewed(messages, first, room, self._gauge.of)
