"""Where a command prints: results on standard output, progress and errors on standard error."""

import json
import os
import select
import shutil
import signal
import sys
import termios
from collections.abc import Mapping, Sequence
from typing import IO, Any

from agent.cli.text import visible
from sandbox.errors import GreenroomError

_STYLES = {"dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def flush_typed() -> None:
    """Forgets what was typed before a question was asked: it was no answer to it."""
    try:
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    except (OSError, termios.error, ValueError):
        return  # no terminal


def await_typing() -> None:
    """Returns when a line was typed, or the input has ended. Ctrl-C is noticed whenever it comes:
    `input` alone would miss one that comes just before it begins to read."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    before = signal.set_wakeup_fd(wakes)
    try:
        select.select([sys.stdin, woken], [], [])
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wakes)


class Console:
    """The terminal, or what stands for it.

    With `json` (one last document), `lines` (a line per event) or `raw` (a patch) that data is the
    only thing on standard output, and all else goes to standard error. Colour is used on a terminal
    only, and never with NO_COLOR.
    """

    def __init__(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        json: bool = False,
        lines: bool = False,
        raw: bool = False,
    ) -> None:
        self.quiet = quiet
        self.verbose = verbose
        self.json = json
        self.lines = lines
        #: The run that is being worked on: what stops the program says how to go on with it.
        self.run = ""
        self._out: IO[str] = sys.stderr if json or lines or raw else sys.stdout
        self.terminal = self._out.isatty()
        dumb = os.environ.get("TERM") == "dumb"
        self._colour = self.terminal and not os.environ.get("NO_COLOR") and not dumb
        self.live = self.terminal and not dumb
        self._lines = 0  # at the bottom, that the next output replaces
        # Odd bytes in a path or an output must not end the program.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    @property
    def width(self) -> int:
        return shutil.get_terminal_size((100, 24)).columns

    def style(self, text: str, *styles: str) -> str:
        codes = ";".join(_STYLES[style] for style in styles if style)
        return f"\x1b[{codes}m{text}\x1b[0m" if self._colour and text and codes else text

    def say(self, text: str = "", *styles: str) -> None:
        """Prints a result; control characters in it are shown escaped."""
        self.write(self.style(visible(text), *styles) + "\n")

    def note(self, text: str, *styles: str) -> None:
        """Prints something on the way, unless quiet."""
        if not self.quiet:
            self.say(text, *styles)

    def warn(self, text: str) -> None:
        """Prints what has to be known, on standard error, also when quiet."""
        self._wipe()
        self._out.flush()
        sys.stderr.write(f"{visible(text)}\n")
        sys.stderr.flush()

    def write(self, text: str) -> None:
        """Writes text that is already safe; a status line gives way to it."""
        self._wipe()
        self._out.write(text)
        self._out.flush()

    def status(self, text: str) -> None:
        """Shows one line at the bottom that the next output replaces; terminals only."""
        self.block([(text, "dim")])

    def block(self, lines: Sequence[tuple[str, str]]) -> None:
        """Shows lines, each with a style, at the bottom that the next output replaces; terminals
        only."""
        if not self.live or self.quiet:
            return
        self._wipe()
        shown = [self.style(visible(text)[: self.width - 1], style) for text, style in lines]
        self._out.write("\n".join(shown))
        self._out.flush()
        self._lines = len(shown)

    def _wipe(self) -> None:
        if self._lines:
            up = f"\x1b[{self._lines - 1}A" if self._lines > 1 else ""
            self._out.write(f"\r{up}\x1b[J" if up else "\r\x1b[K")
            self._lines = 0

    def error(self, error: GreenroomError) -> None:
        """Prints an error as the user shall see it: what happened, then what to do."""
        self._failure(error.message, error.hint, error.exit_code, error.cause)
        self._wipe()
        sys.stdout.flush()
        sys.stderr.write(f"greenroom: {visible(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"  {visible(error.hint)}\n")
        sys.stderr.flush()

    def stopped(self, exit_code: int) -> None:
        """Says that a signal ended the work."""
        later = f"Go on with: greenroom resume {self.run}" if self.run else ""
        self._failure("stopped by a signal", later, exit_code)
        self.say(f"\nstopped{f'. {later}' if later else ''}", "yellow")

    def _failure(self, message: str, hint: str, exit_code: int, cause: str = "") -> None:
        """For programs, the document of an error (docs/json.md)."""
        data = {
            "error": message,
            "hint": hint,
            "cause": cause,
            "exit_code": exit_code,
            "run": self.run or None,
        }
        if self.json:
            self.document({"schema": "greenroom.error/1", **data})
        elif self.lines:
            self.line({"type": "error", **data})

    def bytes(self, data: bytes) -> None:
        """Prints a patch on standard output: byte by byte, but for a terminal, which must not act
        on what stands in it."""
        self._wipe()
        sys.stdout.flush()
        if sys.stdout.isatty():
            sys.stdout.write(visible(data.decode("utf-8", "surrogateescape")))
        else:
            sys.stdout.buffer.write(data)
        sys.stdout.flush()

    def document(self, data: Mapping[str, Any]) -> None:
        """Prints the JSON document, the last and only thing on standard output."""
        self._wipe()
        sys.stdout.write(json.dumps(data, ensure_ascii=True, indent=2) + "\n")
        sys.stdout.flush()

    def line(self, data: Mapping[str, Any]) -> None:
        """Prints one event as a line of JSON on standard output."""
        sys.stdout.write(json.dumps(data, ensure_ascii=True) + "\n")
        sys.stdout.flush()
