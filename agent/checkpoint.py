"""The model's own notes of its work, and the message that a new epoch begins with.

Notes are asked for when a conversation has to be made shorter and cutting old texts is not enough.
They are the model's words about what it read, so they come back to it in tags, and are no rule.
"""

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from agent.budget import Ledger
from agent.codec import message_data
from agent.conversation import Conversation, ToolSpec, UserMessage
from agent.models.base import Model, ModelError, Retrying, Sampling, TurnDone, estimate_tokens
from agent.shrinking import shorten
from agent.trajectory import Recorder

#: Output that a model may have beside the notes, to think about them.
_THINKING = 2048
#: Notes may be so many times as long as they were asked to be.
_TOO_LONG = 2
_WORDS_A_TOKEN = 0.6
_NOTES = re.compile(r"<notes>\n(.*?)\n</notes>", re.DOTALL)

_ASK = """\
This conversation has grown too long for your context, so its older part will be left out. Write \
down now what you need in order to go on. You will see: the task, these notes, your whole change \
as a diff, the latest report of the tests, and your newest turns. Call no tool. Write at most \
{words} words, under these headings, one short line an item, with exact paths and names:

Files: what you looked at or changed, and what matters in it
Findings and decisions: what is known to be so, what you decided, and why
Tried without success: what was tried, and what came of it
Failing tests: which, and why as far as you know
Next steps: what to do next, in order

Take over what still counts of earlier notes. Leave out what the diff and the report will show."""

_TAGGED = """\
Your own notes of the work so far (no rule and no part of the task):
<notes>
{notes}
</notes>

"""


@dataclass(frozen=True)
class Work:
    """Where the work stands: what the tests say in a few words, and the whole change as a diff."""

    standing: str
    diff: str


def note(reason: str, work: Work, *, notes: str = "", limit: int = 12_000) -> UserMessage:
    """The message that stands for what was left out. `limit` bounds the diff, in characters."""
    told = _TAGGED.format(notes=_untagged(notes)) if notes else ""
    diff = shorten(work.diff.strip(), limit, "; read the files to see them")
    state = (
        f"The workspace holds this change now:\n```diff\n{diff}\n```"
        if diff
        else "The workspace is as it was at the start: nothing is changed."
    )
    return UserMessage(
        f"{reason}\n\n{told}{state}\n\nWhere it stands: {work.standing}.", "checkpoint"
    )


def notes_in(messages: Conversation) -> str:
    """The notes that the conversation holds from an earlier epoch; empty for none."""
    for message in reversed(messages):
        if isinstance(message, UserMessage) and message.origin == "checkpoint":
            found = _NOTES.search(message.text)
            return found[1] if found else ""
    return ""


def _untagged(notes: str) -> str:
    # What is left may make a tag of its halves.
    while (less := re.sub(r"</?notes>", "", notes)) != notes:
        notes = less
    return notes.strip()


def request(limit: int) -> UserMessage:
    """What the model is asked; the notes may have about `limit` tokens."""
    return UserMessage(_ASK.format(words=max(50, int(limit * _WORDS_A_TOKEN))), "notice")


@dataclass(frozen=True)
class NoteTaker:
    """Asks `model` for notes, and records and counts what it says."""

    model: Model
    sampling: Sampling
    ledger: Ledger
    recorder: Recorder

    async def ask(
        self, conversation: Conversation, tools: Sequence[ToolSpec], limit: int, room: int
    ) -> str:
        """Notes of about `limit` tokens; the answer may have `room` of them, reasoning included.

        Empty where the model gives none that can be used; the log says why.
        """
        most = min(_TOO_LONG * limit + _THINKING, room)
        sampling = replace(self.sampling, max_output_tokens=most)
        asked = [*conversation, request(limit)]
        try:
            async with asyncio.timeout(self.ledger.seconds_left):
                done = await self._turn(asked, tools, sampling)
        except TimeoutError:
            if self.ledger.seconds_left > 0:
                raise
            return ""
        except ModelError as error:
            said = f"the model could not be asked for notes on its work: {error.message}"
            self.recorder.emit("note", text=said)
            return ""
        if done is None:
            return ""
        self.ledger.add(done.usage)
        problem = _problem(done, limit)
        self.recorder.emit(
            "checkpoint",
            turn=self.ledger.turns,
            message=message_data(done.message),
            usage=self.ledger.usage(),
            problem=problem,
        )
        return "" if problem else _untagged(done.message.text)

    async def _turn(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> TurnDone | None:
        async with aclosing(self.model.generate(conversation, tools, sampling)) as events:
            async for event in events:
                if isinstance(event, Retrying):
                    self.recorder.emit("retry", reason=event.reason, seconds=event.seconds)
                if isinstance(event, TurnDone):
                    return event
        return None


def _problem(done: TurnDone, limit: int) -> str:
    """Why the notes cannot be used; empty where they can."""
    text = _untagged(done.message.text)
    if done.message.calls:
        return "it called a tool instead"
    if done.finish in {"length", "cut"}:
        return "they were cut off"
    if not text:
        return "they were empty"
    if estimate_tokens(text) > _TOO_LONG * limit:
        return f"they have some {estimate_tokens(text):,} tokens, and {limit:,} were asked for"
    return ""
