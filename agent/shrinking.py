"""A conversation made shorter: old texts cut to their ends, or old turns left out as a whole.

All is a function of messages and gives new ones. A call never loses its result, nor a result its
call; the system's word, the task, the user's guidance and the latest report of the tests stay as
they are. What is cut here is whole in the trajectory.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.conversation import (
    AssistantMessage,
    Conversation,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)

#: Characters that stay of a result, of an old report and of an argument, from mild to hard.
_RESULTS = (1500, 500, 160)
_REPORTS = (300, 200, 120)
_ARGUMENTS = (400, 200, 100)
STRENGTHS = len(_RESULTS)
#: A text is cut only where more than this is left out: the mark takes room, too.
_SLACK = 240
#: As it is written here; a file may hold anything that looks like it, but no larger number counts.
_LEFT_OUT = re.compile(
    r"\[([0-9]{1,3}(?:,[0-9]{3}){0,4}) characters left out to save room[^\]\n]{0,200}\]"
)

#: Tokens that messages take in a prompt.
Size = Callable[[Conversation], int]


@dataclass(frozen=True)
class Shorter:
    """A conversation made shorter, its tokens by the measure, and how much was cut of what."""

    messages: tuple[Message, ...]
    tokens: int
    cut: Mapping[str, int]


def beginning(messages: Conversation) -> list[Message]:
    """What every epoch begins with: the system's messages, the task, and what the user said since.

    ValueError where there is no task.
    """
    for place, message in enumerate(messages):
        if isinstance(message, UserMessage):
            said = (m for m in messages[place + 1 :] if _is_user(m, "guidance"))
            return [*messages[: place + 1], *said]
        if not isinstance(message, SystemMessage):
            break
    raise ValueError("a conversation without a task")


def latest_report(messages: Conversation) -> int:
    """The place of the latest report of the tests; -1 where the task's own is the latest."""
    places = [n for n, message in enumerate(messages) if _is_user(message, "reflection")]
    return places[-1] if places else -1


def turn_starts(messages: Conversation) -> list[int]:
    """The places before which a conversation can be cut: those of the model's turns."""
    return [n for n, message in enumerate(messages) if isinstance(message, AssistantMessage)]


def shrink(
    messages: Conversation, tokens: int, target: int, size: Size, end: int, strength: int = 0
) -> Shorter:
    """Cuts texts before `end`, kind by kind and the oldest first, until about `target` of the
    conversation's `tokens` are left, or nothing is left to cut.

    Results of calls come first, then reports of tests that a later one supersedes, the reasoning of
    old turns, and long arguments of their calls. `strength` is below `STRENGTHS`.
    """
    made, cut = list(messages), Counter[str]()
    report = latest_report(messages)
    for kind, shortened in _KINDS:
        for place in range(min(end, len(made))):
            if tokens <= target:
                return Shorter(tuple(made), tokens, dict(cut))
            if place == report:
                continue
            old = made[place]
            new = shortened(old, strength)
            gain = size([old]) - size([new])
            if new is not old and gain > 0:
                made[place] = new
                tokens -= gain
                cut[kind] += 1
    return Shorter(tuple(made), tokens, dict(cut))


def newest(messages: Conversation, room: int, size: Size) -> list[Message]:
    """The newest turns that fit into `room` tokens, as they are; where not even one does, the
    latest one with its texts cut; nothing where that is too long as well."""
    kept: Sequence[Message] = ()
    for start in reversed(turn_starts(messages)):
        if size(messages[start:]) > room:
            break
        kept = messages[start:]
    if kept or not turn_starts(messages):
        return list(kept)
    last = messages[turn_starts(messages)[-1] :]
    for strength in range(STRENGTHS):
        found = shrink(last, size(last), room, size, len(last), strength)
        if size(found.messages) <= room:
            return list(found.messages)
    return []


def renewed(messages: Conversation, note: UserMessage, room: int, size: Size) -> Shorter:
    """The beginning, the note on what is left out, the latest report of the tests, and as many of
    the newest turns as fit into `room` tokens with these."""
    opening, place = beginning(messages), latest_report(messages)
    report = [] if place < 0 else [messages[place]]
    tail = newest(messages, room - size([*opening, note, *report]), size)
    held = {id(message) for message in tail}
    made = [
        *(message for message in opening if id(message) not in held),
        note,
        *(message for message in report if id(message) not in held),
        *tail,
    ]
    gone = len(turn_starts(messages)) - len(turn_starts(made))
    return Shorter(tuple(made), size(made), {"turns": gone} if gone else {})


def shorten(text: str, limit: int, advice: str = "") -> str:
    """A text's beginning and end, whole lines where it has them, and between them a line that says
    how much is left out. A text that is hardly longer than `limit` characters stays as it is."""
    if len(text) <= limit + _SLACK:
        return text
    head, tail = text[: limit * 2 // 3], text[len(text) - limit // 3 :]
    if "\n" in head[len(head) // 2 :]:
        head = head[: head.rindex("\n") + 1]
    if "\n" in tail[: len(tail) // 2]:
        tail = tail[tail.index("\n") :]
    gone = text[len(head) : len(text) - len(tail)]
    # What was cut here before counts as well.
    earlier = [(len(m[0]), int(m[1].replace(",", ""))) for m in _LEFT_OUT.finditer(gone)]
    count = len(gone) + sum(number - length for length, number in earlier)
    return f"{head}[{count:,} characters left out to save room{advice}]{tail}"


def _is_user(message: Message, origin: str) -> bool:
    return isinstance(message, UserMessage) and message.origin == origin


def _result(message: Message, strength: int) -> Message:
    if not isinstance(message, ToolMessage):
        return message
    name = " ".join(message.name.split()).replace("]", "")[:60]
    advice = f"; call {name} again to see them"
    text = shorten(message.text, _RESULTS[strength], advice)
    return message if text == message.text else replace(message, text=text)


def _report(message: Message, strength: int) -> Message:
    if not isinstance(message, UserMessage) or message.origin != "reflection":
        return message
    text = shorten(message.text, _REPORTS[strength], "; a newer report follows")
    return message if text == message.text else replace(message, text=text)


def _reasoning(message: Message, strength: int) -> Message:
    if not isinstance(message, AssistantMessage) or not message.reasoning:
        return message
    if not message.text and not message.calls:  # nothing would be left of the turn
        return message
    return replace(message, reasoning="", token_ids=(), log_probabilities=())


def _arguments(message: Message, strength: int) -> Message:
    if not isinstance(message, AssistantMessage):
        return message
    calls = tuple(_call(call, _ARGUMENTS[strength]) for call in message.calls)
    if calls == message.calls:
        return message
    return replace(message, calls=calls, token_ids=(), log_probabilities=())


def _call(call: ToolCall, limit: int) -> ToolCall:
    """The call with its long strings cut; as it is where its arguments are no JSON object."""
    if len(call.arguments) <= limit + _SLACK:
        return call
    try:
        values = json.loads(call.arguments)
        if not isinstance(values, dict):
            return call
        short = _strings(values, limit)
        written = json.dumps(short, ensure_ascii=False)
    except (ValueError, RecursionError):
        return call
    return call if short == values else replace(call, arguments=written)


def _strings(value: Any, limit: int) -> Any:
    match value:
        case str():
            return shorten(value, limit)
        case dict():
            return {name: _strings(item, limit) for name, item in value.items()}
        case list():
            return [_strings(item, limit) for item in value]
    return value


_KINDS: Sequence[tuple[str, Callable[[Message, int], Message]]] = (
    ("results", _result),
    ("reports", _report),
    ("reasoning", _reasoning),
    ("arguments", _arguments),
)
