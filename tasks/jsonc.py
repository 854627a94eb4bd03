"""JSON with comments and trailing commas, as editors' own files are written."""

import json
import re
from typing import Any

# What has no end goes to the end of the text, so that no text takes more than one look.
_STRING = r'"(?:[^"\\]|\\(?:.|\Z))*(?:"|\Z)'
_COMMENTS = re.compile(rf"({_STRING})|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_COMMAS = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)


def loads(text: str) -> Any:
    """The value that `text` stands for. Raises ValueError that names the line where it stands for
    none.
    """
    plain = _COMMAS.sub(lambda found: found[1] or " ", _COMMENTS.sub(_blank, text))
    try:
        return json.loads(plain)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _blank(found: re.Match[str]) -> str:
    """A string as it stands; of a comment, its line breaks, so that lines keep their numbers."""
    comment = found[0]
    if found[1] is None and comment.startswith("/*") and not re.search(r"(?s)^/\*.*\*/$", comment):
        line = found.string.count("\n", 0, found.start()) + 1
        raise ValueError(f"the comment has no end: line {line}")
    return found[1] or re.sub(r"[^\n]", " ", comment)
