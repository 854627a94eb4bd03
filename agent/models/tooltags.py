"""A turn of a model that marks its tool calls with tags in its text.

Understood are `<tool_call>` with JSON (Hermes, Qwen) or with `<function=...>` (Qwen's coders),
`[TOOL_CALLS]` (Mistral), `<|python_tag|>` and bare JSON (Llama), and a block fenced as JSON, which
is the protocol for templates that know no tools. `<think>` and `<thought>` hold reasoning.
"""

import re
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
_OPENING = re.compile("|".join(map(re.escape, TAGS)))
_BARE_START = re.compile(r"\s*\{")
#: The form of a call whose texts may hold what closes it.
_JSON_START = re.compile(r"\s*[\[{]")
_ESCAPED = re.compile(r"\\.", re.DOTALL)

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
        # What of the buffer was read, and up to where it holds nothing that closes the open part;
        # up to where quotes were counted, and whether one is open there.
        self._place = self._looked = self._counted = 0
        self._quoted = False
        self._begun = False
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[WrittenCall] = []
        self._problem = ""
        self._reasoning_tokens = 0
        self._ended = False
        self._strings = True

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
        if self._ended and self._tag:
            # A text that never ends was none: what looked like its part did close the call.
            self._looked, self._strings = 0, False
            events += self._advance()
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
        while moved and self._place < len(self._buffer):
            moved = self._inside(events) if self._tag else self._outside(events)
        self._buffer = self._buffer[self._place :]
        self._looked = max(0, self._looked - self._place)
        self._counted = max(0, self._counted - self._place)
        self._place = 0
        return events

    def _outside(self, events: list[Event]) -> bool:
        """Shows text up to the next tag; whether there was one."""
        begun = self._calls or self._begun
        if not begun and _BARE_START.match(self._buffer, self._place):
            self._tag = _BARE
            return True
        found = _OPENING.search(self._buffer, self._place)
        if not found:
            self._show_safe(events, tuple(TAGS), thought=False)
            return False
        self._tag = found[0]
        events += self._show(self._buffer[self._place : found.start()], thought=False)
        self._place = self._looked = self._counted = found.end()
        self._quoted = False
        return True

    def _inside(self, events: list[Event]) -> bool:
        """Goes on in an open part; whether it was closed."""
        closing = TAGS.get(self._tag)
        if closing is None:
            return False
        end = self._end_of_part(closing)
        if end < 0:
            if self._tag in THOUGHTS:
                self._show_safe(events, (closing,), thought=True)
            return False
        before, tag = self._buffer[self._place : end], self._tag
        self._tag, self._place = "", end + len(closing)
        if tag in THOUGHTS:
            events += self._show(before, thought=True)
        else:
            events += self._settle(tag, before, closing)
        return True

    def _end_of_part(self, closing: str) -> int:
        """Where in the buffer the open part ends, -1 where it does not yet. What closes it may
        stand within a text of a call's arguments, and closes nothing there."""
        while (end := self._buffer.find(closing, max(self._looked, self._place))) >= 0:
            if self._tag in THOUGHTS or not self._strings or not self._in_text(end):
                return end
            self._looked = end + 1
        self._looked = max(self._looked, self._place, len(self._buffer) - len(closing) + 1)
        return -1

    def _in_text(self, end: int) -> bool:
        """Whether a call's JSON is amid a text there."""
        if not _JSON_START.match(self._buffer, self._place):
            return False
        more = _ESCAPED.sub("", self._buffer[self._counted : end])
        self._quoted ^= more.count('"') % 2 == 1
        self._counted = end
        return self._quoted

    def _show_safe(self, events: list[Event], tags: Sequence[str], *, thought: bool) -> None:
        """Shows what cannot be the beginning of a tag."""
        rest = self._buffer[self._place :]
        safe = len(rest) - partial_tag(rest, tags)
        events += self._show(rest[:safe], thought=thought)
        self._place += safe

    def _show(self, text: str, *, thought: bool) -> list[Event]:
        if not text:
            return []
        (self._reasoning if thought else self._text).append(text)
        self._begun = self._begun or (not thought and bool(text.strip()))
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


def partial_tag(text: str, tags: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a tag."""
    longest = min(len(text), max(map(len, tags)) - 1)
    for length in range(longest, 0, -1):
        if any(tag.startswith(text[-length:]) for tag in tags):
            return length
    return 0
