"""The header of one message of gpt-oss: who speaks, on which channel, to which tool.

The canonical forms are `assistant<|channel|>commentary to=TOOL <|constrain|>json` and the same with
`to=TOOL` before the channel. What gpt-oss writes beside them is read as far as it makes sense.
"""

import re
from dataclasses import dataclass
from typing import Literal

Channel = Literal["", "analysis", "commentary", "final"]

_MARK = "<|channel|>"
#: Recipients that are no tools.
_NOBODY = frozenset({"assistant", "user", "all"})
_RECIPIENT = re.compile(r"\bto=([^\s<{]+)")
_CHANNEL = re.compile(rf"{re.escape(_MARK)}\s*(analysis|commentary|final)")
#: A channel where its mark was left out.
_UNMARKED = re.compile(r"\A\s*(?:assistant\s*)?(analysis|commentary|final)")
_TYPE = re.compile(r"(?:<\|constrain\|>\s*)?\b(?:json|code|text)\b|<\|constrain\|>")


@dataclass(frozen=True)
class Header:
    """What a header says. `recipient` is a tool as it was written, `author` who speaks where that
    is not the assistant. `sound` is false where words mean nothing or a mark is missing."""

    channel: Channel = ""
    recipient: str = ""
    author: str = ""
    sound: bool = True


def read_header(text: str, *, started: bool) -> Header:
    """Reads a header, its marks written as text. `started`: it follows a `<|start|>`, so that it
    begins with who speaks."""
    named = [found[1] for found in _RECIPIENT.finditer(text)]
    recipient = next((name for name in named if name not in _NOBODY), "")
    rest = _RECIPIENT.sub(" ", text)
    marked = _CHANNEL.search(rest)
    found = marked or _UNMARKED.search(rest)
    rest = _CHANNEL.sub(" ", rest) if marked else _UNMARKED.sub(" ", rest)
    words = _TYPE.sub(" ", rest).replace(_MARK, " ").split()
    speaks = bool(text.partition(_MARK)[0].split()) if _MARK in text else not found
    if started and speaks and words and words[0] != "assistant":
        return Header(recipient=recipient, author=words[0], sound=False)
    strange = words[words[:1] == ["assistant"] :]
    sound = marked is not None and not strange and len(named) < 2
    return Header(_known(found), recipient, sound=sound)


def split_header(text: str) -> tuple[str, str]:
    """Header and content of a message whose `<|message|>` was left out; no content where it cannot
    be told where that begins."""
    if _RECIPIENT.search(text):
        start = text.find("{")
    else:
        found = _CHANNEL.search(text)
        start = found.end() if found else -1
    return (text, "") if start < 0 else (text[:start], text[start:])


def _known(found: re.Match[str] | None) -> Channel:
    match found[1] if found else "":
        case "analysis" | "commentary" | "final" as channel:
            return channel
    return ""
