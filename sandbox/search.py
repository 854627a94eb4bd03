"""Searching the files of a sandbox for a pattern."""

import re
import warnings

from sandbox.policy import MIB
from sandbox.results import FileProblem, SearchResult, search_result
from sandbox.wire import Wire

SEARCH_SECONDS = 30.0
SEARCH_BYTES = 4 * MIB
LINE_BYTES = 500


async def search(
    wire: Wire, pattern: str, *, path: str, glob: str | None, literal: bool, limit: int
) -> SearchResult:
    """As `Sandbox.search`."""
    _check_pattern(pattern, literal=literal)
    op = {
        "op": "search",
        "pattern": pattern,
        "path": path,
        "glob": glob,
        "literal": literal,
        "limit": limit,
        "line_bytes": LINE_BYTES,
    }
    result = await wire.run([], op=op, seconds=SEARCH_SECONDS, output_limit=2 * SEARCH_BYTES)
    if result.reason == "timeout":
        raise FileProblem(pattern, f"took longer than {SEARCH_SECONDS:g} seconds to search for")
    if not result.ok:
        raise FileProblem(path, "cannot be searched: " + result.output.text.strip()[-200:])
    return wire.understand(lambda: search_result(result.output, limit))


def _check_pattern(pattern: str, *, literal: bool) -> None:
    """Raise FileProblem for a pattern that cannot be searched for. Lines are searched as bytes."""
    wrong = "cannot be searched for" if literal else "is not a regular expression"
    try:
        encoded = pattern.encode("utf-8", "surrogateescape")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(re.escape(encoded) if literal else encoded)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise FileProblem(pattern, f"{wrong}: {error}") from error
