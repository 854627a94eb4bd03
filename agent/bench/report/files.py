"""Files that are whole or not there: a report is read while the next one is written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replaced(path: Path) -> Iterator[IO[str]]:
    """A new file that takes the place of `path` once it is written. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Odd bytes of a path or an output must not end a report.
        with draft.open("w", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
