"""A row's evaluation script taken apart: what prepares, what builds, what tests.

The script (swebench, harness) goes to the checkout, activates its environment, prints the state of
the repository, installs, puts the tests in place by git, and runs them between two markers. The
clean room puts the tests in place itself, and has no history, so those lines are left out.
"""

import re
import shlex
from dataclasses import dataclass

from sandbox.errors import UsageError

START = ">>>>> Start Test Output"
END = ">>>>> End Test Output"
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_INSTALL = re.compile(
    r"(^|\s|/)(pip3?|uv)\s+(.*\s)?(install|sync)\b|\bsetup\.py\s+(build|develop|install)"
    r"|^(npm|yarn|pnpm)\s+(ci|install)\b|^make\b|^cargo\s+build\b|^go\s+build\b"
    r"|^(\./)?mvnw?\b.*\b(install|compile)\b|^bundle\s+install\b|^composer\s+install\b"
)
#: What those prints are for is the log.
_LEFT_OUT = re.compile(r"^(#!|set -|git\s|\: '>>>>>)")


@dataclass(frozen=True)
class Script:
    """`prepare` are the lines before the tests that need no build, `install` those that build, and
    `tests` those between the markers."""

    prepare: tuple[str, ...]
    install: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def test_command(self) -> str:
        """The tests with what prepares them, as one command; as in the script, a line that fails
        does not stop it, and the last one's exit code is its own."""
        return "\n".join((*self.prepare, *self.tests))

    @property
    def rebuild_command(self) -> str:
        """What builds, with what prepares it; empty where nothing does."""
        return "\n".join((*self.prepare, *self.install)) if self.install else ""


def take_apart(text: str) -> Script:
    """The parts of an evaluation script. Raises UsageError for one without its markers."""
    lines = _without_heredocs(text.splitlines())
    starts = [n for n, line in enumerate(lines) if START in line]
    ends = [n for n, line in enumerate(lines) if END in line]
    if not starts or not ends or ends[0] < starts[0]:
        raise UsageError(
            "The eval_script does not say where its tests begin and end.",
            f"It needs lines with {START!r} and {END!r}.",
        )
    before = [line for line in lines[: starts[0]] if line and not _LEFT_OUT.match(line)]
    return Script(
        prepare=tuple(line for line in before if not _INSTALL.search(line)),
        install=tuple(line for line in before if _INSTALL.search(line)),
        tests=tuple(line for line in lines[starts[0] + 1 : ends[0]] if line),
    )


def _without_heredocs(lines: list[str]) -> list[str]:
    """The lines without the bodies of here-documents of git, whose words are gone with it."""
    kept: list[str] = []
    end = ""
    for raw in lines:
        line = raw.strip()
        if end:
            end = "" if line == end else end
            continue
        found = _HEREDOC.search(line)
        if found and line.startswith("git"):
            end = found[2]
        kept.append(line)
    return kept


def of_test_command(command: str, files: list[str], environment: str) -> Script:
    """The script of a row that has a test command only, run on the files of its test patch."""
    prepare = (environment,) if environment else ()
    words = " ".join(shlex.quote(path) for path in files)
    return Script(prepare, (), (f"{command} {words}".strip(),))
