"""Where a proved patch goes, and what else is on standard output: nothing."""

import json
import os
import pty
import select
import subprocess
import time

import pytest

from tests.agent.bench import FIX, edit
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker
QUESTION = b"or a sentence for the model] "


def at_a_terminal(user: User, answers: list[bytes], *words: str) -> tuple[int, str]:
    """The exit code and all that a terminal shows, when the user types these answers."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(user.checkout)
        os.execvpe(user.command()[0], user.command(*words), user.environment | {"TERM": "xterm"})
    shown, asked, deadline = b"", 0, time.monotonic() + 90
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if shown.count(QUESTION) > asked:
            os.write(terminal, answers[asked])
            asked += 1
    status = os.waitpid(process, 0)[1]
    os.close(terminal)  # not before: it would hang up on what is still ending
    return os.waitstatus_to_exitcode(status), shown.decode()


def test_a_patch_is_all_there_is_on_standard_output(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FIX), "--patch", "-")
    assert done.returncode == 0
    assert done.stdout.startswith("diff --git a/calc.py b/calc.py\n")
    subprocess.run(["git", "apply"], input=done.stdout, text=True, check=True, cwd=user.checkout)
    assert "turn 1" in done.stderr


def test_events_stay_alone_on_standard_output_when_a_patch_is_delivered(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FIX), "--events", "--apply")
    assert done.returncode == 0
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()][-1] == "run.ended"
    assert "Applied to " in done.stderr


@pytest.mark.parametrize(
    ("key", "code"), [(b"\x04", 0), (b"\x03", 130)], ids=["end of input", "Ctrl-C"]
)
def test_no_answer_applies_nothing_and_says_where_the_patch_is(
    user: User, key: bytes, code: int
) -> None:
    ended, shown = at_a_terminal(user, [key], "solve", "-m", user.script(FIX), "-q")
    assert ended == code
    assert "Nothing was applied. The patch stays with the run: greenroom show " in shown
    assert user.git("status", "--short") == ""


def test_a_sentence_goes_back_to_the_model_and_yes_applies(user: User) -> None:
    script = user.script(FIX, edit("a + b", "b + a"))
    answers = [b"swap the operands\n", b"y\n"]
    ended, shown = at_a_terminal(user, answers, "solve", "-m", script)
    assert ended == 0
    assert "guidance: swap the operands" in shown
    assert "Applied to " in shown
    assert "return b + a" in (user.checkout / "calc.py").read_text()


def test_a_branch_that_cannot_be_made_leaves_the_patch_with_the_run(user: User) -> None:
    user.script(FIX)
    started = user.greenroom("solve", "-m", f"script:{user.home}/script.json", "--branch", "new")
    assert started.returncode == 2  # there is no name and address to commit with
    assert "git does not know who you are" in started.stderr
    assert "The patch stays with the run: greenroom show " in started.stderr
