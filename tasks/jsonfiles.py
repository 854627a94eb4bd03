"""Files of JSON, and of a JSON value a line, from outside: what is wrong is told with its place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.errors import UsageError


def read_text(path: Path) -> str:
    """The text of a file, without the mark that some editors begin it with. Raises UsageError where
    it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path} is not UTF-8 text: {problem}") from None


def parsed(text: str, where: str, hint: str = "") -> Any:
    """The JSON value that `text` is. Raises UsageError, which names `where`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise UsageError(f"{where}: this is not JSON: {problem}", hint) from None


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The value of each line that is not blank, and where it stands. Raises UsageError."""
    # Not splitlines: it cuts at characters that stand unescaped in JSON's strings.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            yield where, parsed(line, where)
