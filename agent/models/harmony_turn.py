"""One turn of gpt-oss, read token by token; whatever comes, it is read as far as it makes sense.

The library's own parser ends with an error where a `<|start|>` is missing or a header has a word
too many, and loses the recipient where `<|message|>` is missing. gpt-oss writes all of these now
and then. On well-formed turns both read the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.conversation import ToolCall, ToolSpec, object_in
from agent.models.base import CallStarted, Event, MalformedKind, ReasoningDelta, TextDelta
from agent.models.dialect import CallIds, Parsed, TextStream
from agent.models.harmony_header import Header, read_header, split_header
from agent.models.meant import tool_fitted_by

END_OF_TEXT, RETURN, CONSTRAIN, CHANNEL = 199999, 200002, 200003, 200005
START, END, MESSAGE, CALL = 200006, 200007, 200008, 200012

_STOPS = frozenset({RETURN, CALL, END_OF_TEXT})
_ENDS = _STOPS | {START, END}

_NO_CHANNEL = (
    "Your message could not be read: its header names neither a channel (analysis, commentary,"
    " final) nor a tool. Write the message again."
)
_NO_TOOL = "Your call named no tool. Write it again, to one of the tools."
_NEITHER = "You neither answered nor called a tool. Call one tool now, or answer."
_CUT = "Your call of {name} was cut off before its end. Make a smaller call, or several."


@dataclass
class _Part:
    """One message of the turn. `whole`: a token ended it, rather than the end of the stream."""

    kind: Literal["reasoning", "preamble", "final", "nameless", "call"]
    header: Header
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    tokens: int = 0
    whole: bool = False

    @property
    def content(self) -> str:
        return "".join(self.pieces)

    @property
    def is_cut(self) -> bool:
        return self.kind == "call" and not self.whole and object_in(self.content) is None

    @property
    def is_text(self) -> bool:
        return self.kind in ("preamble", "final", "nameless")


class HarmonyParser:
    """Reads what follows `<|start|>assistant`. `tools` are those that a call without a name may be
    meant for. `sound` is false once something had to be mended or guessed."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        ids: CallIds,
        tools: Sequence[ToolSpec] = (),
    ) -> None:
        self._decode = decode
        self._ids = ids
        self._tools = tools
        self._parts: list[_Part] = []
        self._header: list[int] = []
        self._started = self._ended = False
        self._part: _Part | None = None
        self._stream = TextStream(decode)
        self._calls = 0
        self._over = self._stopped = False
        self._fault: tuple[MalformedKind, str] | None = None
        self._lost: list[str] = []
        self._after: list[int] = []
        self.sound = True

    @property
    def dropped(self) -> str:
        """What is in no message of the turn: headers that mean nothing, calls that were cut off,
        what follows the end, and what was written in somebody else's name."""
        cut = [part.name + part.content for part in self._parts if part.is_cut]
        return "".join([*self._lost, *cut]) + self._decode(self._after)

    @property
    def headers(self) -> list[Header]:
        """Those of the turn's calls."""
        return [part.header for part in self._parts if part.kind == "call"]

    def feed(self, token: int) -> list[Event]:
        if self._over:
            self.sound = False
            self._after.append(token)
            return []
        if token in _ENDS:
            events = self._finish(token)
            # What comes after a call can only be an invented result.
            self._stopped = token in _STOPS
            self._over = self._over or self._stopped
            self._started, self._ended = token == START, token == END
            return events
        if self._part is None and token == MESSAGE:
            return self._open(self._header_text())
        if self._part is None or token == CHANNEL:
            # A channel amid a message: its end and the next one's start were left out.
            self.sound = self.sound and self._part is None
            events = [] if self._part is None else self._finish(END)
            self._header.append(token)
            return events
        self._part.tokens += 1
        return [] if token in {MESSAGE, CONSTRAIN} else self._add(self._stream.feed(token))

    def close(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return self._finish(None)

    def answer_now(self) -> str:
        """The header of what follows is the model's to write; the second time it may not think."""
        if self._part is None or self._part.kind != "reasoning":
            return ""
        again = any(part.kind == "reasoning" for part in self._parts[:-1])
        return "<|end|><|start|>assistant" + ("<|channel|>commentary" if again else "")

    def parsed(self) -> Parsed:
        calls, cut = self._read_calls()
        kind, problem = self._kind(calls)
        return Parsed(
            text="\n\n".join(part.content for part in self._parts if part.is_text),
            reasoning="\n\n".join(p.content for p in self._parts if p.kind == "reasoning"),
            calls=calls,
            problem=cut or ("" if calls else problem),
            kind="cut" if cut else kind,
            reasoning_tokens=sum(p.tokens for p in self._parts if p.kind == "reasoning"),
        )

    def _read_calls(self) -> tuple[tuple[ToolCall, ...], str]:
        """The calls, without one that was cut off: its arguments would be taken for an error."""
        calls, problem = [], ""
        for part in self._parts:
            if part.is_cut:
                problem = _CUT.format(name=part.name)
            elif part.kind == "call":
                calls.append(ToolCall(self._ids.next(), part.name, part.content.strip()))
        return tuple(calls), problem

    def _kind(self, calls: Sequence[ToolCall]) -> tuple[MalformedKind | None, str]:
        """What is wrong with the turn, and in words for the model. A turn is one call or one
        answer."""
        if self._fault:
            return self._fault
        answered = any(part.kind == "final" and part.content.strip() for part in self._parts)
        if calls and (answered or len(calls) > 1):
            return ("both" if answered else "several"), ""
        if calls or answered:
            return None, ""
        said = self._stopped and any(part.content.strip() for part in self._parts)
        return ("neither", _NEITHER) if said else (None, "")

    def _header_text(self) -> str:
        text, self._header = self._decode(self._header), []
        return text

    def _open(self, header: str) -> list[Event]:
        """Begins the message that the header announces."""
        self._stream = TextStream(self._decode)
        read = read_header(header, started=self._started)
        self.sound = self.sound and read.sound and not self._ended
        if not read.sound:
            self._lost.append(header)
        if read.author:
            # Nobody else speaks within a turn, so all that follows is invented.
            self._over = True
            return []
        if read.recipient:
            return self._call(read, read.recipient.removeprefix("functions."))
        kind: Literal["reasoning", "preamble", "final", "nameless"]
        match read.channel:
            case "analysis":
                kind = "reasoning"
            case "commentary":
                kind = "preamble"
            case "final":
                kind = "final"
            case "":
                kind = "nameless"
                self._fault = self._fault or ("channel", _NO_CHANNEL)
        self._begin(_Part(kind, read))
        return []

    def _call(self, header: Header, name: str) -> list[Event]:
        self._begin(_Part("call", header, name))
        return self._started_call(name)

    def _started_call(self, name: str) -> list[Event]:
        self._calls += 1
        return [CallStarted(self._calls - 1, name)]

    def _begin(self, part: _Part) -> None:
        self._part = part
        self._parts.append(part)

    def _add(self, text: str) -> list[Event]:
        part = self._part
        if part is None or not text:
            return []
        part.pieces.append(text)
        if part.kind == "call":
            return []
        return [ReasoningDelta(text) if part.kind == "reasoning" else TextDelta(text)]

    def _finish(self, token: int | None) -> list[Event]:
        """Ends the message that is open, or makes one of a header that has none."""
        events = self._headless() if self._part is None else self._add(self._stream.close())
        part, self._part = self._part, None
        if part is not None:
            part.whole = token is not None
            if token == CALL and part.kind != "call":
                events += self._nameless_call(part)
        return events

    def _headless(self) -> list[Event]:
        """The message of a header that no `<|message|>` followed, where there is one in it."""
        header = self._header_text()
        if header.strip() in {"", "assistant"}:
            return []
        self.sound = False
        head, content = split_header(header)
        if not content:
            self._lost.append(header)
            self._fault = self._fault or ("channel", _NO_CHANNEL)
            return []
        events = self._open(head)
        if self._part is None:
            self._lost.append(content)
        return events + self._add(content)

    def _nameless_call(self, part: _Part) -> list[Event]:
        """A call whose header names no tool: meant is the one tool that its arguments fit."""
        self.sound = False
        if part.kind == "final" and object_in(part.content) is None:
            return []
        meant = tool_fitted_by(part.content, self._tools)
        if not meant:
            self._fault = self._fault or ("tool", _NO_TOOL)
            return []
        part.kind, part.name = "call", meant
        return self._started_call(part.name)
