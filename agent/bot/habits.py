"""A repository's own habits: its template for pull requests, and whether commits are signed off."""

import re
from collections.abc import Callable, Mapping, Sequence

TEMPLATES = (
    ".github/pull_request_template.md",
    ".github/PULL_REQUEST_TEMPLATE.md",
    "pull_request_template.md",
    "PULL_REQUEST_TEMPLATE.md",
    "docs/pull_request_template.md",
    "docs/PULL_REQUEST_TEMPLATE.md",
    ".gitlab/merge_request_templates/Default.md",
)
#: A template larger than this is no template; forges take bodies up to 65,536 characters.
_MOST_CHARS = 20_000
_HEADING = re.compile(r"#{1,6}\s+(?P<name>.+?)\s*#*\s*")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_SIGNED = re.compile(r"^Signed-off-by: .+ <.+>$", re.MULTILINE)
#: Words of a template's headings, and the part of ours that belongs below such a one.
_BELONGS = (
    ("wrong", r"\b(problem|issue|bug|motivation|context|background|why|related|ticket)\b"),
    ("proof", r"\b(test|tests|testing|tested|verif\w*|proof|qa|checks)\b"),
    ("change", r"\b(description|summary|what|change|changes|solution|overview|details)\b"),
)


def template(read: Callable[[str], bytes | None]) -> str:
    """The repository's template for pull requests, empty where it has none. `read` gives the files
    of the default branch."""
    for path in TEMPLATES:
        content = read(path)
        if content is not None:
            return content.decode("utf-8", "replace")[:_MOST_CHARS]
    return ""


def signed_off(messages: Sequence[str]) -> bool:
    """Whether most of a branch's last commits end with a sign-off."""
    signed = sum(1 for message in messages if _SIGNED.search(message))
    return bool(messages) and 2 * signed > len(messages)


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with each of `parts` below the heading that it belongs to, and what belongs
    nowhere at the end. The template's own words stay, its boxes stay open, its comments, which
    tell a writer what to write, go."""
    left = dict(parts)
    lines: list[str] = []
    for line in _COMMENT.sub("", template).splitlines():
        lines.append(line)
        found = _HEADING.fullmatch(line)
        name = _part(found["name"], left) if found else ""
        if name:
            lines += ["", left.pop(name), ""]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return "\n\n".join(filter(None, [text, *left.values()]))


def _part(heading: str, left: Mapping[str, str]) -> str:
    for name, words in _BELONGS:
        if name in left and re.search(words, heading, re.IGNORECASE):
            return name
    return ""
