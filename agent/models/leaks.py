"""Turns that a chat server handed on without reading them: their marks stand in the text.

mlx-lm does so with harmony, any server without a parser for its model with `<think>` and
`<tool_call>`, and a model that knows no tools is asked to write calls as text. What the marks mean
is read here, once the answer has ended; a text without any stays a text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.conversation import ToolSpec
from agent.models.dialect import CallIds
from agent.models.tooltags import TAGS, THOUGHTS, TagParser, partial_tag

#: Ends a call in harmony: whatever follows is an invented result.
CALL_MARK = "<|call|>"
_MESSAGE = "<|message|>"
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w*)")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_END = re.compile(r"<\|(?:end|return|call|start)\|>")
#: What stands for no tool after `to=`.
_PEOPLE = frozenset({"assistant", "user", "all"})


@dataclass(frozen=True)
class Leaked:
    """What a text held: names and arguments of calls, as they were written."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str], ...]
    problem: str = ""


class ThoughtInText:
    """Tells the reasoning that a server leaves in the text from the answer, while it comes, so that
    it is shown and watched as what it is: it stands first, in tags."""

    def __init__(self) -> None:
        self._held = ""
        self._closing: str | None = None
        self._past = False

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Pieces of the text without the tags, each with whether it is reasoning."""
        if self._past:
            return [(False, text)]
        self._held += text
        if self._closing is None and not self._opened():
            return self._shown()
        before, found, after = self._held.partition(self._closing or "")
        if found:
            self._held, self._past = "", True
            return [(True, before), (False, after)]
        kept = partial_tag(before, (self._closing or "",))
        self._held = before[len(before) - kept :]
        return [(True, before[: len(before) - kept])]

    def rest(self) -> list[tuple[bool, str]]:
        """What was held back, once nothing follows."""
        held, self._held = self._held, ""
        return [(self._closing is not None and not self._past, held)]

    def _opened(self) -> bool:
        start = self._held.lstrip()
        tag = next((tag for tag in THOUGHTS if start.startswith(tag)), None)
        if tag is not None:
            self._closing, self._held = TAGS[tag], start[len(tag) :]
        return tag is not None

    def _shown(self) -> list[tuple[bool, str]]:
        """What is no reasoning, as far as that is certain."""
        start = self._held.lstrip()
        if start and any(tag.startswith(start) for tag in THOUGHTS):
            return []
        self._past = bool(start)
        held, self._held = self._held, ""
        return [(False, held)]


def read_leaked(text: str, tools: Sequence[ToolSpec]) -> Leaked | None:
    """The turn within `text`, None where nothing in it needs reading. Never raises."""
    if _MESSAGE in text and "<|channel|>" in text:
        return _harmony(text)
    # A thought stands first; what an answer says of such tags further on is its text.
    begins = text.lstrip().startswith(("{", *THOUGHTS))
    if not (begins or any(tag in text for tag in TAGS.keys() - THOUGHTS)):
        return None
    parser = TagParser(_characters, frozenset(), tools, CallIds(()))
    parser.feed_text(text)
    parser.close()
    parsed = parser.parsed()
    calls = tuple((call.name, call.arguments) for call in parsed.calls)
    if not (calls or parsed.reasoning or parsed.problem):
        return None
    return Leaked(parsed.text, parsed.reasoning, calls, parsed.problem)


def _characters(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def _harmony(text: str) -> Leaked:
    """The messages up to the first call; what another role says after them is invented."""
    said: list[str] = []
    thought: list[str] = []
    for number, part in enumerate(text.split("<|start|>")):
        header, found, body = part.partition(_MESSAGE)
        role, marked, _ = header.partition("<|channel|>")
        if not found or (number > 0 and role.split()[:1] != ["assistant"]):
            if number > 0:
                break
            said.append(_before_end(part))
            continue
        if number == 0 and marked:
            said.append(_RECIPIENT.sub("", role).removeprefix("assistant"))
        recipient = _RECIPIENT.search(header)
        content = _before_end(body)
        if recipient and recipient[1] not in _PEOPLE:
            return Leaked(_joined(said), _joined(thought), ((recipient[1], content.strip()),))
        channel = _CHANNEL.search(header)
        analysis = channel is not None and channel[1] == "analysis"
        (thought if analysis else said).append(content)
    return Leaked(_joined(said), _joined(thought), ())


def _before_end(body: str) -> str:
    return _END.split(body, maxsplit=1)[0]


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part.strip() for part in parts if part.strip())
