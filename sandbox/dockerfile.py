"""The text of a Dockerfile: its instructions and stages, and lines added to each stage."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

# What the engine takes for white space, which is less than Python does.
_SPACE = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\x1c\x1d\x1e\x1f")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word in capitals, the rest on one line, and the number of the line that
    follows it, from 0."""

    word: str
    rest: str
    end: int


@dataclass(frozen=True)
class Stage:
    """What a FROM begins: the image that it names, and all instructions that follow."""

    base: str
    end: int
    instructions: tuple[Instruction, ...]


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions in their order, lines that go on joined, comments left out."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    escape = re.escape(_escape(text))
    goes_on = re.compile(rf"(?<!{escape}){escape}[ \t]*\Z")  # two of them are none
    parts: list[str] = []
    for number, whole in enumerate(text.split("\n")):
        line = whole.removesuffix("\r")
        bare = line.strip(_SPACE)
        if not bare or bare.startswith("#"):
            continue
        continued = goes_on.search(line)
        parts.append(line[: continued.start()] if continued else line)
        if not continued:
            yield _instruction(parts, number + 1)
            parts = []
    if parts:
        yield _instruction(parts, text.count("\n") + 1)


def stages(text: str) -> list[Stage]:
    """The stages in their order; what stands before the first FROM belongs to none."""
    found: list[Stage] = []
    for each in instructions(text):
        if each.word == "FROM":
            named = [word for word in each.rest.split() if not word.startswith("--")]
            found.append(Stage(named[0] if named else "", each.end, ()))
        elif found:
            last = found[-1]
            found[-1] = Stage(last.base, last.end, (*last.instructions, each))
    return found


def with_lines(text: str, added: Callable[[Stage], Sequence[str]]) -> str:
    """The text with lines of our own right after each FROM."""
    lines = text.split("\n")
    for stage in reversed(stages(text)):
        lines[stage.end : stage.end] = added(stage)
    return "\n".join(lines)


def arguments(text: str) -> set[str]:
    """The names that its ARG instructions declare."""
    return {
        word.partition("=")[0]
        for each in instructions(text)
        if each.word == "ARG"
        for word in each.rest.split()
    }


def _instruction(parts: Sequence[str], end: int) -> Instruction:
    word, _, rest = " ".join("".join(parts).split()).partition(" ")
    return Instruction(word.upper(), rest, end)


def _escape(text: str) -> str:
    """The mark of a line that goes on: a directive at the very top may name another."""
    for line in text.split("\n"):
        directive = re.fullmatch(r"\s*#\s*(\w+)\s*=\s*(\S+)\s*", line)
        if directive is None:
            break
        if directive[1].lower() == "escape":
            return directive[2]
    return "\\"
