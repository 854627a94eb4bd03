"""Finds the place in a file that a text was probably meant for, and says how the two differ."""

import difflib
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from tools.bounds import clip_line

_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f", '"'),
        **dict.fromkeys("\u00a0\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a", " "),
        **dict.fromkeys("\u202f\u205f\u3000", " "),
    }
)
_MOST_LINES_COMPARED = 20_000
_SHOWN_LINES = 12
_SHOWN_CHARACTERS = 200
_LEAST_LIKENESS = 0.55


def plain_punctuation(line: str) -> str:
    """The line with typographic dashes, quotes and spaces as their ASCII forms."""
    return line.translate(_PUNCTUATION)


# From strict to loose: what a comparison of lines looks past.
LOOKING_PAST: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("trailing whitespace", str.rstrip),
    ("indentation", str.strip),
    ("typographic characters", lambda line: plain_punctuation(line).strip()),
    ("spacing", lambda line: "".join(plain_punctuation(line).split())),
    ("capital letters", lambda line: "".join(plain_punctuation(line).split()).casefold()),
)


@dataclass(frozen=True)
class Place:
    """Lines of a file, `first` counted from 1. `differs_in` names what kept them from matching
    (one of LOOKING_PAST), or is empty when they are only alike."""

    first: int
    lines: tuple[str, ...]
    differs_in: str = ""


def matches(
    lines: Sequence[str], wanted: Sequence[str], form: Callable[[str], str]
) -> Iterator[int]:
    """Indices in `lines` where all of `wanted` stands, compared through `form`."""
    formed = [form(line) for line in lines]
    if not wanted or len(wanted) > len(formed):
        return
    starts = [0, *accumulate(len(line) + 1 for line in formed)]
    # One search in one string stays linear, whatever lines a file and a call repeat.
    text = "\n" + "\n".join(formed) + "\n"
    sought = "\n" + "\n".join(form(line) for line in wanted) + "\n"
    place = text.find(sought)
    while place >= 0:
        yield bisect_left(starts, place)
        place = text.find(sought, place + 1)


def nearest_place(lines: Sequence[str], wanted: Sequence[str]) -> Place | None:
    """Where `wanted` was probably meant to be found among `lines` (both without line ends).

    None when nothing in the file is much alike.
    """
    core = _without_blank_ends(wanted)
    if not core:
        return None
    for name, form in LOOKING_PAST:
        index = next(matches(lines, core, form), None)
        if index is not None:
            return Place(index + 1, tuple(lines[index : index + len(core)]), name)
    alike = _alike(lines[:_MOST_LINES_COMPARED], core)
    if alike is None:
        return None
    return Place(alike + 1, tuple(lines[alike : alike + len(core)]))


def _alike(lines: Sequence[str], core: Sequence[str]) -> int | None:
    """The index at which most lines of `core` agree with the file; else that of the line most
    like its longest line."""
    stripped = [line.strip() for line in lines]
    where: dict[str, list[int]] = {}
    for index, line in enumerate(stripped):
        where.setdefault(line, []).append(index)
    votes: Counter[int] = Counter()
    for offset, line in enumerate(core):
        places = where.get(line.strip(), [])
        if len(line.strip()) > 2 and len(places) <= 50:
            for index in places:
                votes[max(0, index - offset)] += 1
    if votes:
        best = max(votes.values())
        return min(index for index, number in votes.items() if number == best)
    offset = max(range(len(core)), key=lambda i: len(core[i].strip()))
    place = _most_alike(stripped, core[offset].strip())
    return None if place is None else max(0, place - offset)


def _most_alike(stripped: Sequence[str], line: str) -> int | None:
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(line[:_SHOWN_CHARACTERS])
    best, place = _LEAST_LIKENESS, None
    for index, candidate in enumerate(stripped):
        matcher.set_seq1(candidate[:_SHOWN_CHARACTERS])
        if matcher.real_quick_ratio() <= best or matcher.quick_ratio() <= best:
            continue
        ratio = matcher.ratio()
        if ratio > best:
            best, place = ratio, index
    return place


def describe(place: Place, wanted: Sequence[str], wanted_name: str) -> str:
    """The place with its line numbers, and the first differences from `wanted`, line by line."""
    last = place.first + len(place.lines) - 1
    span = f"line {place.first}" if last == place.first else f"lines {place.first} to {last}"
    if place.differs_in:
        head = f"It is like {span}, but for {place.differs_in}:"
    else:
        head = f"The nearest text is at {span}:"
    said = [head, numbered(place.lines[:_SHOWN_LINES], place.first, last)]
    if len(place.lines) > _SHOWN_LINES:
        said.append(f"[... {len(place.lines) - _SHOWN_LINES} more lines]")
    said += _differences(place, _without_blank_ends(wanted), wanted_name)
    return "\n".join(said)


def numbered(lines: Sequence[str], first: int, last: int, clip: int = _SHOWN_CHARACTERS) -> str:
    """Lines with their numbers, `12| text`, aligned for numbers up to `last`."""
    width = len(str(last))
    return "\n".join(
        f"{number:>{width}}| {clip_line(line, clip)}" for number, line in enumerate(lines, first)
    )


def _without_blank_ends(lines: Sequence[str]) -> list[str]:
    kept = list(lines)
    while kept and not kept[0].strip():
        kept.pop(0)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept


def _differences(place: Place, wanted: Sequence[str], wanted_name: str) -> list[str]:
    said: list[str] = []
    for number, (there, yours) in enumerate(
        zip(place.lines, wanted, strict=False), start=place.first
    ):
        if there != yours:
            said.append(_difference(number, there, yours, wanted_name))
        if len(said) == 3:
            break
    return said


def _difference(number: int, there: str, yours: str, wanted_name: str) -> str:
    if there.rstrip() == yours.rstrip():
        return (
            f"Line {number} ends with {_blanks(there[len(there.rstrip()) :])}; "
            f"that of {wanted_name} ends with {_blanks(yours[len(yours.rstrip()) :])}."
        )
    if there.strip() == yours.strip():
        return (
            f"Line {number} is indented with {_blanks(_indentation(there))}; "
            f"that of {wanted_name} with {_blanks(_indentation(yours))}."
        )
    position = next(
        (i for i, (a, b) in enumerate(zip(there, yours, strict=False)) if a != b),
        min(len(there), len(yours)),
    )
    return (
        f"Line {number}, from column {position + 1}: the file has "
        f"{_excerpt(there, position)}; {wanted_name} has {_excerpt(yours, position)}."
    )


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _blanks(text: str) -> str:
    """Whitespace in words: `4 spaces`, `1 tab and 2 spaces`."""
    names = {" ": "space", "\t": "tab", "\r": "carriage return"}
    parts: list[tuple[str, int]] = []
    for char in text:
        name = names.get(char, unicodedata.name(char, f"U+{ord(char):04X}"))
        if parts and parts[-1][0] == name:
            parts[-1] = (name, parts[-1][1] + 1)
        else:
            parts.append((name, 1))
    words = [f"{number} {name}{'' if number == 1 else 's'}" for name, number in parts[:4]]
    return " and ".join(words) if words else "no whitespace"


def _excerpt(line: str, position: int) -> str:
    text = line[position : position + 40]
    if not text:
        return "nothing more"
    odd = [char for char in text[:1] if not char.isascii()]
    name = f" ({unicodedata.name(odd[0], f'U+{ord(odd[0]):04X}')})" if odd else ""
    return repr(text) + name
