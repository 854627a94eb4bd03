"""What a conversation says to the embedded model: the task, what fails, where, and the code."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.conversation import AssistantMessage, Conversation, ToolMessage, UserMessage, object_in
from agent.suspects import Suspect, parse_suspects

#: Files that are read at most, the most suspicious first.
_FILES = 6
#: Characters of the task and of the failure.
_TOLD = 600
#: The head of a page and its lines, as read_file writes them.
_PAGE = re.compile(r"(?P<path>.+): lines \d+ to \d+ of (?P<total>\d+)")
_NUMBERED = re.compile(r"(?m)^ *(\d+)\| (.*)$")


@dataclass(frozen=True)
class Briefing:
    """The last state of a conversation.

    `task` are the first words of the task, `failure` the first failure that the last message with
    one tells. `files` are the suspect Python files, as far as they were read whole since anything
    may have changed; `unread` are the others: path, and the first line to read.
    """

    task: str
    failure: str
    suspects: Sequence[Suspect]
    files: Mapping[str, str]
    unread: Sequence[tuple[str, int]]

    @classmethod
    def of(cls, conversation: Conversation) -> "Briefing":
        texts = [message.text for message in conversation if isinstance(message, UserMessage)]
        suspects = next((found for text in reversed(texts) if (found := parse_suspects(text))), [])
        read = _read(conversation)
        named = dict.fromkeys(each.path for each in suspects if each.path.endswith(".py"))
        wanted = [path for path in named if path not in read.refused][:_FILES]
        shown = {path: read.files.get(path, _File()) for path in wanted}
        return cls(
            task=texts[0].partition("\n\n")[0][:_TOLD] if texts else "",
            failure=_failure(texts),
            suspects=suspects,
            files={path: file.text for path, file in shown.items() if file.missing is None},
            unread=[
                (path, file.missing) for path, file in shown.items() if file.missing is not None
            ],
        )


def _failure(texts: Sequence[str]) -> str:
    for text in reversed(texts):
        start = text.find("FAILED ")
        if start >= 0:
            return text[start:].partition("\n\n")[0][:_TOLD]
    return ""


@dataclass
class _File:
    """What was read of a file so far, by line."""

    total: int = 1
    lines: dict[int, str] = field(default_factory=dict)

    @property
    def missing(self) -> int | None:
        """The first line not read yet; None when all are."""
        return next((n for n in range(1, self.total + 1) if n not in self.lines), None)

    @property
    def text(self) -> str:
        return "".join(self.lines[n] + "\n" for n in range(1, self.total + 1))


@dataclass
class _Read:
    """The files as read_file showed them; `refused` are those that it did not show, for whatever
    reason: to ask again would not help."""

    files: dict[str, _File] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


def _read(conversation: Conversation) -> _Read:
    """What was read since the last call of another tool, which may have changed a file."""
    read = _Read()
    asked: dict[str, str] = {}
    for message in conversation:
        if isinstance(message, AssistantMessage):
            asked = {call.id: call.arguments for call in message.calls if call.name == "read_file"}
        elif isinstance(message, ToolMessage) and message.name != "read_file":
            read = _Read()
        elif isinstance(message, ToolMessage):
            head = _PAGE.match(message.text)
            if head is None:
                read.refused.add(_path(asked.get(message.call_id, "")))
                continue
            file = read.files.setdefault(head["path"], _File())
            file.total = int(head["total"])
            for number, line in _NUMBERED.findall(message.text):
                file.lines[int(number)] = line
    return read


def _path(arguments: str) -> str:
    """The path in the arguments of a call; empty where there is none."""
    return str((object_in(arguments) or {}).get("path", ""))
