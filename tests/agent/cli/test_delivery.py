"""Where a proved patch goes, and what else is on standard output: nothing."""

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

import pytest

from tests.agent.bench import FINISH, FIX, edit
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker
QUESTION = b"or a sentence for the model] "


Answer = bytes | Callable[[], bytes]


def at_a_terminal(
    user: User, answers: Sequence[Answer], *words: str, typed: dict[str, bytes] | None = None
) -> tuple[int, str]:
    """The exit code and all that a terminal shows, when the user types these answers. `typed` is a
    text typed as soon as something is shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(user.checkout)
        os.execvpe(user.command()[0], user.command(*words), user.environment | {"TERM": "xterm"})
    shown, asked, deadline = b"", 0, time.monotonic() + 90
    while True:
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            pytest.fail(f"it still waits: {shown.decode()}")
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if typed and typed["after"] in shown:
            os.write(terminal, typed["text"])
            typed = None
        if shown.count(QUESTION) > asked:
            answer = answers[asked]
            os.write(terminal, answer if isinstance(answer, bytes) else answer())
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


@pytest.mark.parametrize(
    ("key", "code"),
    [
        pytest.param(b"\x04", 0, id="end of input"),
        pytest.param(b"\x03", 130, id="Ctrl-C", marks=pytest.mark.nightly),
    ],
)
def test_no_answer_applies_nothing_and_says_where_the_patch_is(
    user: User, key: bytes, code: int
) -> None:
    ended, shown = at_a_terminal(user, [key], "solve", "-m", user.script(FIX), "-q")
    assert ended == code
    assert "Nothing was applied. The patch stays with the run: greenroom show " in shown
    assert user.git("status", "--short") == ""


@pytest.mark.nightly
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


def test_a_proved_patch_is_not_lost_when_the_model_goes_on_and_fails(user: User) -> None:
    script = user.script(FIX, edit("a + b", "a * b"), FINISH, FINISH)
    ended, shown = at_a_terminal(user, [b"use another operator\n"], "solve", "-m", script)
    assert ended == 1
    assert "guidance: use another operator" in shown
    assert " --proved" in shown
    proved = user.greenroom("show", "--proved").stdout
    assert "+    return a + b" in proved
    assert "+    return a * b" in user.greenroom("show", "--diff").stdout
    assert "An earlier change was proved: greenroom show" in user.greenroom("show").stdout


def test_one_word_is_asked_about_again(user: User) -> None:
    answers = [b"yse\n", b"y\n"]
    ended, shown = at_a_terminal(user, answers, "solve", "-m", user.script(FIX), "-q")
    assert ended == 0
    assert "Type y or n, or a sentence of more than one word" in shown
    assert "Applied to " in shown


def test_a_run_that_waits_for_an_answer_is_not_removed(user: User) -> None:
    def prune_and_agree() -> bytes:
        assert "removed 0 runs" in user.prune("--runs", "--older-than", "0d").stdout
        return b"y\n"

    ended, shown = at_a_terminal(user, [prune_and_agree], "solve", "-m", user.script(FIX), "-q")
    assert ended == 0, shown
    assert "Applied to " in shown


def test_what_was_typed_before_the_question_is_no_answer(user: User) -> None:
    slow = {"calls": [{"name": "shell", "arguments": {"command": "sleep 3"}}, *FIX["calls"]]}
    typed = {"text": b"y\n", "after": b"turn 1"}
    ended, shown = at_a_terminal(user, [b"n\n"], "solve", "-m", user.script(slow), typed=typed)
    assert ended == 0
    assert "Nothing was applied." in shown
    assert user.git("status", "--short") == ""


def test_a_terminal_acts_on_nothing_in_a_patch(user: User) -> None:
    script = user.script(edit("a - b", "a * b  # \x1b[2J\u2028evil()"))
    user.greenroom("solve", "-m", script, "--turn-limit", "1")
    piped = user.greenroom("show", "--diff").stdout
    assert "\x1b[2J" in piped
    _, shown = at_a_terminal(user, [], "show", "--diff")
    assert "\x1b[2J" not in shown
    assert "# \\e[2J\\u{2028}evil()" in shown
