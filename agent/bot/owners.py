"""Whom CODEOWNERS names for a patch: the patterns are gitignore's, the last that matches decides.

A line is a pattern followed by owners (`@user`, `@organisation/team`, an address). GitLab's
sections (`[Name]`, `^[Name][2] @owner`) may have owners of their own, which hold for the section's
lines that name none.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from sandbox.ignore import IgnoreRules

#: Where forges look, in this order.
PLACES = (".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
_SECTION = re.compile(r"\^?\[[^\]]*\](?:\[\d+\])?\s*(?P<owners>.*)")
_MOST_BYTES = 3 << 20


def owners(read: Callable[[str], bytes | None], paths: Iterable[str]) -> tuple[str, ...]:
    """The owners of `paths`, without the `@`, each once, in the order of the file; addresses are
    left out: a forge cannot be asked for them. `read` gives the files of the default branch."""
    found = next((text for text in map(read, PLACES) if text is not None), b"")
    sections = _sections(found[:_MOST_BYTES].decode("utf-8", "replace"))
    named: dict[str, None] = {}
    for path in paths:
        for lines in sections:
            named |= dict.fromkeys(_of(path, lines))
    return tuple(name.removeprefix("@") for name in named if name.startswith("@"))


def _of(path: str, lines: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    for pattern, names in reversed(lines):
        if IgnoreRules((("", (pattern,)),)).ignores(path):
            return names
    return ()


def _sections(text: str) -> list[list[tuple[str, tuple[str, ...]]]]:
    sections: list[list[tuple[str, tuple[str, ...]]]] = [[]]
    common: tuple[str, ...] = ()
    for raw in text.splitlines():
        line = raw.split(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        if found := _SECTION.fullmatch(line):
            common = tuple(found["owners"].split())
            sections.append([])
            continue
        pattern, *names = re.split(r"(?<!\\)\s+", line)
        sections[-1].append((pattern, tuple(names) or common))
    return sections
