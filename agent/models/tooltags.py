"""A turn of a model that marks its tool calls with tags in its text.

Understood are `<tool_call>` with JSON (Hermes, Qwen) or with `<function=...>` (Qwen's coders),
`[TOOL_CALLS]` (Mistral), `<|python_tag|>` and bare JSON (Llama), and a block fenced as JSON, which
is the protocol for templates that know no tools. `<think>` and `<thought>` hold reasoning.
"""

from collections.abc import Callable, Mapping, Sequence

from agent.conversation import ToolCall, ToolSpec
from agent.models.base import CallStarted, Event, ReasoningDelta, TextDelta
from agent.models.dialect import CallIds, Parsed, TextStream
from agent.models.written_calls import WrittenCall, is_whole, read_calls

#: What opens a part of a turn, and what closes it; nothing closes what goes on to the end.
TAGS: Mapping[str, str | None] = {
    "<think>": "</think>",
    "<thought>": "</thought>",
    "<tool_call>": "</tool_call>",
    "[TOOL_CALLS]": None,
    "<|python_tag|>": None,
    "```json\n": "\n```",
}
THOUGHTS = frozenset({"<think>", "<thought>"})
_FENCE = "```json\n"
#: Bare JSON, which is a call only where it names a tool.
_BARE = "{"

_UNREADABLE = (
    "Your tool call could not be read. Write it again as one JSON object with the tool's name and"
    " its arguments."
)
_CUT = "Your tool call was cut off before its end. Make a smaller call, or several."


class TagParser:
    """Reads one turn. `decode` has to keep special tokens: some tags are ones; `stop_ids` only end
    the turn. `thinking`: the prompt has opened the reasoning already."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        stop_ids: frozenset[int],
        tools: Sequence[ToolSpec],
        ids: CallIds,
        *,
        thinking: bool = False,
    ) -> None:
        self._stream = TextStream(decode)
        self._stop_ids = stop_ids
        self._tools = {spec.name: spec for spec in tools}
        self._ids = ids
        self._tag = "<think>" if thinking else ""
        self._buffer = ""
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[WrittenCall] = []
        self._problem = ""
        self._reasoning_tokens = 0
        self._ended = False

    def feed(self, token: int) -> list[Event]:
        if token in self._stop_ids:
            self._ended = True
            return []
        self._reasoning_tokens += self._tag in THOUGHTS
        return self.feed_text(self._stream.feed(token))

    def feed_text(self, text: str) -> list[Event]:
        """As `feed`, where text comes and no tokens."""
        self._buffer += text
        return self._advance()

    def close(self) -> list[Event]:
        self._buffer += self._stream.close()
        events = self._advance()
        rest, self._buffer = self._buffer, ""
        tag, self._tag = self._tag, ""
        if tag in THOUGHTS or not tag:
            return events + self._show(rest, thought=bool(tag))
        sure = tag not in {_BARE, _FENCE}
        if sure and not self._ended and not is_whole(rest):
            self._problem = _CUT
            return events
        return events + self._settle(tag, rest)

    def answer_now(self) -> str:
        return f"\n{TAGS[self._tag]}\n\n" if self._tag in THOUGHTS else ""

    def parsed(self) -> Parsed:
        return Parsed(
            text="".join(self._text).strip(),
            reasoning="".join(self._reasoning).strip(),
            calls=tuple(ToolCall(self._ids.next(), c.name, c.arguments) for c in self._calls),
            problem="" if self._calls else self._problem,
            reasoning_tokens=self._reasoning_tokens,
        )

    def _advance(self) -> list[Event]:
        """Takes from the buffer all that is certain."""
        events: list[Event] = []
        moved = True
        while moved and self._buffer:
            moved = self._inside(events) if self._tag else self._outside(events)
        return events

    def _outside(self, events: list[Event]) -> bool:
        """Shows text up to the next tag; whether there was one."""
        begun = self._calls or "".join(self._text).strip()
        if not begun and self._buffer.lstrip().startswith(_BARE):
            self._tag = _BARE
            return True
        found = [(self._buffer.find(tag), tag) for tag in TAGS if tag in self._buffer]
        if not found:
            self._show_safe(events, tuple(TAGS), thought=False)
            return False
        place, self._tag = min(found)
        events += self._show(self._buffer[:place], thought=False)
        self._buffer = self._buffer[place + len(self._tag) :]
        return True

    def _inside(self, events: list[Event]) -> bool:
        """Goes on in an open part; whether it was closed."""
        closing = TAGS.get(self._tag)
        if closing is None:
            return False
        before, found, after = self._buffer.partition(closing)
        if not found:
            if self._tag in THOUGHTS:
                self._show_safe(events, (closing,), thought=True)
            return False
        tag, self._tag, self._buffer = self._tag, "", after
        if tag in THOUGHTS:
            events += self._show(before, thought=True)
        else:
            events += self._settle(tag, before, closing)
        return True

    def _show_safe(self, events: list[Event], tags: Sequence[str], *, thought: bool) -> None:
        """Shows what cannot be the beginning of a tag."""
        safe = len(self._buffer) - _partial(self._buffer, tags)
        events += self._show(self._buffer[:safe], thought=thought)
        self._buffer = self._buffer[safe:]

    def _show(self, text: str, *, thought: bool) -> list[Event]:
        if not text:
            return []
        (self._reasoning if thought else self._text).append(text)
        return [ReasoningDelta(text) if thought else TextDelta(text)]

    def _settle(self, tag: str, content: str, closing: str = "") -> list[Event]:
        """Makes calls of what stood within a tag; what only looked like one is text after all."""
        found = read_calls(content, self._tools)
        if tag in {_BARE, _FENCE} and not self._are_known(found):
            return self._show(("" if tag == _BARE else tag) + content + closing, thought=False)
        if not found:
            self._problem = _UNREADABLE
            return []
        first = len(self._calls)
        self._calls += found
        return [CallStarted(first + place, call.name) for place, call in enumerate(found)]

    def _are_known(self, calls: Sequence[WrittenCall]) -> bool:
        return bool(calls) and all(call.name in self._tools for call in calls)


def _partial(text: str, tags: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a tag."""
    longest = min(len(text), max(map(len, tags)) - 1)
    for length in range(longest, 0, -1):
        if any(tag.startswith(text[-length:]) for tag in tags):
            return length
    return 0
