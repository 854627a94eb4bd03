"""One turn of gpt-oss, read token by token; whatever comes, it is read as far as it makes sense.

The library's own parser ends with an error where a `<|start|>` is missing or a header has a word
too many, and loses the recipient where `<|message|>` is missing. gpt-oss writes all of these now
and then. On well-formed turns both read the same.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.conversation import ToolCall
from agent.models.base import CallStarted, Event, ReasoningDelta, TextDelta
from agent.models.dialect import CallIds, Parsed, TextStream

END_OF_TEXT, RETURN, CONSTRAIN, CHANNEL = 199999, 200002, 200003, 200005
START, END, MESSAGE, CALL = 200006, 200007, 200008, 200012

_CHANNELS = ("analysis", "commentary", "final")
#: Recipients that are no tools.
_NOBODY = frozenset({"assistant", "user", "all"})
_RECIPIENT = re.compile(r"\bto=([^\s<{]+)")
_CHANNEL_WORD = re.compile(r"<\|channel\|>\s*([a-z]+)")

_NO_CHANNEL = (
    "Your message could not be read: its header names neither a channel (analysis, commentary,"
    " final) nor a tool. Write the message again."
)


@dataclass
class _Part:
    """One message of the turn. `whole`: a token ended it, rather than the end of the stream."""

    kind: Literal["reasoning", "text", "call"]
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    tokens: int = 0
    whole: bool = False

    @property
    def content(self) -> str:
        return "".join(self.pieces)


class HarmonyParser:
    """Reads what follows `<|start|>assistant`."""

    def __init__(self, decode: Callable[[Sequence[int]], str], ids: CallIds) -> None:
        self._decode = decode
        self._ids = ids
        self._parts: list[_Part] = []
        self._header: list[int] = []
        self._part: _Part | None = None
        self._stream = TextStream(decode)
        self._calls = 0
        self._over = False
        self._problem = ""

    def feed(self, token: int) -> list[Event]:
        if self._over:
            return []
        if token in {END, RETURN, CALL, END_OF_TEXT, START}:
            events = self._finish(whole=True)
            # What comes after a call can only be an invented result.
            self._over = token in {RETURN, CALL, END_OF_TEXT}
            return events
        if self._part is None and token == MESSAGE:
            return self._open(self._header_text())
        if self._part is None or token == CHANNEL:
            # A channel amid a message: its end and the next one's start were left out.
            events = [] if self._part is None else self._finish(whole=True)
            self._header.append(token)
            return events
        self._part.tokens += 1
        return [] if token in {MESSAGE, CONSTRAIN} else self._add(self._stream.feed(token))

    def close(self) -> list[Event]:
        if self._over:
            return []
        self._over = True
        return self._finish(whole=False)

    def answer_now(self) -> str:
        """The header of what follows is the model's to write; the second time it may not think."""
        if self._part is None or self._part.kind != "reasoning":
            return ""
        again = any(part.kind == "reasoning" for part in self._parts[:-1])
        return "<|end|><|start|>assistant" + ("<|channel|>commentary" if again else "")

    def parsed(self) -> Parsed:
        calls, problem = self._read_calls()
        return Parsed(
            text="\n\n".join(part.content for part in self._parts if part.kind == "text"),
            reasoning="\n\n".join(p.content for p in self._parts if p.kind == "reasoning"),
            calls=calls,
            problem=problem or self._problem,
            reasoning_tokens=sum(p.tokens for p in self._parts if p.kind == "reasoning"),
        )

    def _read_calls(self) -> tuple[tuple[ToolCall, ...], str]:
        """The calls, without one that was cut off: its arguments would be taken for an error."""
        calls, problem = [], ""
        for part in self._parts:
            if part.kind != "call":
                continue
            if part.whole or _is_object(part.content):
                calls.append(ToolCall(self._ids.next(), part.name, part.content.strip()))
            else:
                problem = (
                    f"Your call of {part.name} was cut off before its end."
                    " Make a smaller call, or several."
                )
        return tuple(calls), problem

    def _header_text(self) -> str:
        text, self._header = self._decode(self._header), []
        return text

    def _open(self, header: str) -> list[Event]:
        """Begins the message that the header announces."""
        self._stream = TextStream(self._decode)
        recipient = _RECIPIENT.search(header)
        name = recipient[1].removeprefix("functions.") if recipient else ""
        found = _CHANNEL_WORD.search(header)
        channel = next((c for c in _CHANNELS if found and found[1].startswith(c)), "")
        if name and name not in _NOBODY:
            self._part = _Part("call", name)
            self._parts.append(self._part)
            self._calls += 1
            return [CallStarted(self._calls - 1, name)]
        if not channel and "<|channel|>" in header:
            self._problem = self._problem or _NO_CHANNEL
        self._part = _Part("reasoning" if channel == "analysis" else "text")
        self._parts.append(self._part)
        return []

    def _add(self, text: str) -> list[Event]:
        part = self._part
        if part is None or not text:
            return []
        part.pieces.append(text)
        if part.kind == "call":
            return []
        return [ReasoningDelta(text) if part.kind == "reasoning" else TextDelta(text)]

    def _finish(self, *, whole: bool) -> list[Event]:
        """Ends the message that is open, or makes one of a header that has none."""
        events: list[Event] = []
        if self._part is None:
            header = self._header_text()
            start = header.find("{")
            if _RECIPIENT.search(header) and start >= 0:
                events = self._open(header[:start]) + self._add(header[start:])
            elif header.strip() not in {"", "assistant"}:
                self._problem = self._problem or _NO_CHANNEL
        else:
            events = self._add(self._stream.close())
        if self._part is not None:
            self._part.whole = whole
        self._part = None
        return events


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
