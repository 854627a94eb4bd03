"""Gitignore rules as plain data, and the question whether they ignore a path.

The rules are those of a base tree, read once. What a model writes into a `.gitignore` later
changes nothing about what counts as part of its patch. Patterns match as git's own matcher does,
byte by byte; libraries that translate a pattern for whole trees decide some negations differently.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from sandbox.folders import Inherited
from sandbox.patch import encode_path

Rules = tuple[tuple[str, tuple[str, ...]], ...]

# The named classes of bracket expressions, as members of a regular expression's class.
NAMED_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
NEVER = "(?!)"
STAR, FOLDERS = "*", "**/"  # parts of a pattern; all others are regular expressions


@dataclass(frozen=True)
class IgnoreRules:
    """Rules by folder ("" is the root) in rising priority within a folder, as git orders them."""

    rules: Rules

    def ignores(self, path: str, *, folder: bool = False) -> bool:
        """Whether git would ignore an untracked file (or `folder`) at `path`. Nothing can be
        included again below an ignored folder."""
        ignored, places = self._folders(path.rpartition("/")[0])
        return ignored or self._decision(path, places, is_folder=folder)

    def _decision(self, path: str, places: Sequence[str], *, is_folder: bool) -> bool:
        for place in places:
            inner = path[len(place) + 1 :] if place else path
            for pattern in self._patterns[place]:
                if pattern.matches(inner, is_folder=is_folder):
                    return not pattern.negative
        return False

    @cached_property
    def _folders(self) -> Inherited[tuple[bool, tuple[str, ...]]]:
        """Whether a folder is ignored, and which folders above what is in it have rules, the inner
        ones first."""
        root = ("",) if "" in self._patterns else ()
        return Inherited((False, root), self._entered)

    def _entered(
        self, path: str, above: tuple[bool, tuple[str, ...]]
    ) -> tuple[bool, tuple[str, ...]]:
        ignored, places = above
        ignored = ignored or self._decision(path, places, is_folder=True)
        return ignored, (path, *places) if path in self._patterns else places

    @cached_property
    def _patterns(self) -> dict[str, list["Pattern"]]:
        """By folder, the patterns with the deciding ones first."""
        found: dict[str, list[Pattern]] = {}
        for folder, lines in self.rules:
            found.setdefault(folder, []).extend(Pattern.parse(line) for line in lines)
        return {folder: patterns[::-1] for folder, patterns in found.items()}


@dataclass(frozen=True)
class Pattern:
    """One gitignore line: what it matches, and whether it includes again (`negative`)."""

    expression: re.Pattern[str]
    negative: bool
    folders_only: bool
    by_name: bool

    @classmethod
    @lru_cache(maxsize=4096)
    def parse(cls, line: str) -> "Pattern":
        negative = line.startswith("!")
        text = _bytewise(line[1:] if negative else line)
        folders_only = text.endswith("/")
        text = text.removesuffix("/")
        by_name = "/" not in text
        expression = re.compile(_translated(text.removeprefix("/")) + r"\Z", re.DOTALL)
        return cls(expression, negative, folders_only, by_name)

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Whether the pattern matches this path itself, given relative to the rule's folder."""
        if self.folders_only and not is_folder:
            return False
        name = path.rpartition("/")[2] if self.by_name else path
        return self.expression.match(_bytewise(name)) is not None


def readable_lines(text: bytes) -> tuple[str, ...]:
    """The rules in a gitignore file, without its comments, blank lines and trailing blanks.

    A byte order mark and CR LF endings are taken as git takes them.
    """
    decoded = text.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return tuple(_rules_in(decoded.split("\n")))


def _rules_in(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        rule = line.removesuffix("\r")
        if rule.startswith("#"):
            continue
        kept = rule.rstrip(" ")
        # Of blanks at the end, one that a backslash precedes counts.
        if kept != rule and (len(kept) - len(kept.rstrip("\\"))) % 2:
            kept += " "
        if kept:
            yield kept


def _bytewise(text: str) -> str:
    """A text with one character per byte, so that a wildcard stands for a byte."""
    return encode_path(text).decode("latin-1")


def _translated(pattern: str) -> str:
    """A regular expression for a whole path.

    What stands between two stars is taken where it comes first and tried nowhere else, for the
    second star takes whatever lies between. So a pattern of many stars, which a stranger's
    repository may hold, does not take time without end.
    """
    chunks: list[list[list[str]]] = [[[]]]  # cut at each `**/`, and these at each star
    at = 0
    while at < len(pattern):
        part, at = _part(pattern, at)
        if part == FOLDERS:
            chunks.append([[]])
        elif part == STAR:
            chunks[-1].append([])
        else:
            chunks[-1][-1].append(part)
    *above, last = [["".join(parts) for parts in chunk] for chunk in chunks]
    final = _names(last[:-1]) + ("[^/]*" if len(last) > 1 else "") + last[-1]
    if not above:
        return final
    between = (f"(?>(?:.*?/)??{_names(chunk)})" for chunk in above[1:])
    return "".join((_names(above[0]), *between, "(?:.*/)?", final))


def _names(pieces: list[str]) -> str:
    """An expression for pieces with a star between each two."""
    return "".join(f"(?>[^/]*?{piece})" if number else piece for number, piece in enumerate(pieces))


def _part(pattern: str, at: int) -> tuple[str, int]:
    """The part of a pattern at a place, as STAR, FOLDERS or an expression, and where it ends."""
    char = pattern[at]
    if char == "*":
        return _stars(pattern, at)
    if char == "[":
        return _bracket(pattern, at)
    if char == "\\":
        return (re.escape(pattern[at + 1]) if at + 1 < len(pattern) else NEVER), at + 2
    return ("[^/]" if char == "?" else re.escape(char)), at + 1


def _stars(pattern: str, at: int) -> tuple[str, int]:
    """Stars: any part of a name; two or more as a whole name: any number of folders."""
    end = at
    while pattern[end : end + 1] == "*":
        end += 1
    starts = at == 0 or pattern[at - 1] == "/"
    if end - at > 1 and starts:
        if end == len(pattern):
            return ".*", end
        if pattern[end] == "/":
            return FOLDERS, end + 1
    return STAR, end


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """A bracket expression; one without an end matches nothing, as in git."""
    found = re.compile(
        r"\[(?P<negative>[!^]?)(?P<members>(?:\]|\\.|\[:\w+:\]|[^\]\\])(?:\\.|\[:\w+:\]|[^\]\\])*)\]",
        re.DOTALL,
    ).match(pattern, at)
    if found is None:
        return NEVER, len(pattern)
    members = "".join(_members(found["members"]))
    if members:
        # A slash is never matched by a bracket expression.
        return f"(?!/)[{'^' if found['negative'] else ''}{members}]", found.end()
    return ("[^/]" if found["negative"] else NEVER), found.end()


def _members(text: str) -> Iterator[str]:
    token = re.compile(r"\[:(\w+):\]|\\?(.)(?:-\\?(.))?", re.DOTALL)
    for named, low, high in token.findall(text):
        if named:
            yield NAMED_CLASSES.get(named, "")
        elif not high:
            yield f"\\x{ord(low):02x}"
        elif low <= high:
            yield f"\\x{ord(low):02x}-\\x{ord(high):02x}"
