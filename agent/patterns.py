"""Patterns of the user's, tried on text by a process of their own.

A regular expression can take longer than the world lasts, and Python's cannot be stopped. So a
child process tries them, each within a time limit; one that is too slow is given up.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Seconds that one pattern may take for one text, and that the process may take to start.
_PATIENCE = 0.25
_START = 10.0

_CHILD = """
import json, re, sys
patterns = [re.compile(pattern) for pattern in json.loads(sys.stdin.readline())]
print(json.dumps(True), flush=True)
for line in sys.stdin:
    number, text = json.loads(line)
    found = patterns[number].search(text)
    print(json.dumps(found and found.span()), flush=True)
"""


@dataclass(frozen=True)
class Match:
    """Where in the text the pattern was found."""

    pattern: str
    start: int


class Patterns:
    """Looks for patterns, which have to be valid. One that takes too long is given up, and `say` is
    told."""

    def __init__(
        self, patterns: Sequence[str], say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._patterns = tuple(patterns)
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._given_up: set[str] = set()

    def search(self, text: str) -> Match | None:
        """The first pattern that is found in the text."""
        for number, pattern in enumerate(self._patterns):
            if pattern in self._given_up:
                continue
            try:
                found = self._ask([number, text], _PATIENCE)
            except (TimeoutError, OSError):
                self._given_up.add(pattern)
                self._say(f"the pattern {pattern!r} takes too long and is not tried any more")
                self.close()
                continue
            if isinstance(found, list):
                return Match(pattern, int(found[0]))
        return None

    def close(self) -> None:
        """Ends the process. Safe to call twice; a later search starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def _ask(self, question: object, patience: float) -> object:
        child = self._child or self._start()
        assert child.stdin is not None  # noqa: S101 - opened as a pipe
        child.stdin.write(json.dumps(question).encode() + b"\n")
        child.stdin.flush()
        return _answer(child, patience)

    def _start(self) -> "subprocess.Popen[bytes]":
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._ask(self._patterns, _START)
        return self._child


def _answer(child: "subprocess.Popen[bytes]", patience: float) -> object:
    """Raises TimeoutError, or OSError where the process has ended."""
    assert child.stdout is not None  # noqa: S101 - opened as a pipe
    end, line = time.monotonic() + patience, b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            piece = os.read(child.stdout.fileno(), 4096)
            if not piece:
                raise OSError("the process that tries patterns has ended")
            line += piece
    return json.loads(line)
