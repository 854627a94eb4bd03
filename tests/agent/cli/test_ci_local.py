import json
from pathlib import Path

import pytest

from tests.agent.bench import FIX, call, edit
from tests.agent.cli.conftest import Done, User

ISSUE = "add is wrong @all\n\nadd(1, 1) gives 0. Closes #3.\n"
DONE = {"calls": [*FIX["calls"], call("finish", summary="It took away, closes #9 for @dev.")]}


def local(user: User, *words: str, **more: str) -> Done:
    out = str(user.home / "out")
    return user.greenroom("ci", "local", "-o", out, *words, **more)


@pytest.mark.docker
def test_the_pull_request_that_would_be_opened_is_printed(user: User) -> None:
    done = local(user, "--issue", "-", "-m", user.script(DONE), stdin=ISSUE)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "solved (proved)" in done.stdout
    assert "add is wrong" in done.stdout
    assert " into main, a draft" in done.stdout
    assert "failing without this change and passing with it" in done.stdout
    assert "+    return a + b" in done.stdout
    assert "@dev" not in done.stdout
    found = json.loads((user.home / "out" / "proposal.json").read_text())
    assert (found["status"], found["branch"]) == ("solved", "main")
    assert found["commit"] == user.git("rev-parse", "HEAD").strip()
    assert "greenroom-proposal" not in user.git("status", "--short")
    assert "It took away" in (user.home / "out" / "report.html").read_text()


@pytest.mark.docker
@pytest.mark.nightly
def test_what_the_rules_refuse_is_named_and_is_no_success(user: User) -> None:
    user.write({"greenroom.toml": '[ci]\nrequire = "proved"\nmax_files = 1\n'})
    user.commit()
    more = call("write_file", path="tox.lock", content="x\n")
    turn = {"calls": [more, *FIX["calls"], call("finish", summary="done")]}
    done = local(user, "-m", user.script(turn))
    assert done.returncode == 1, done.stderr + done.stdout
    assert "The bot would not publish it:" in done.stdout
    assert "It changes 2 files; at most 1 are allowed." in done.stdout


@pytest.mark.docker
@pytest.mark.nightly
def test_what_is_not_solved_ends_with_one(user: User) -> None:
    change = edit("a - b", "b - a")
    done = local(user, "-m", user.script(change), "--turn-limit", "1")
    assert done.returncode == 1
    assert "not solved" in done.stdout


def test_a_settings_file_of_the_checkout_is_not_trusted_by_this(user: User) -> None:
    user.write({"greenroom.toml": 'model = "script:/nowhere"\n'})
    user.commit()
    done = local(user)
    assert done.returncode in (2, 3)
    assert "greenroom.toml is not trusted" in done.stdout
    assert "/nowhere" not in done.stderr
    assert json.loads((user.home / "out" / "proposal.json").read_text())["status"] == "broken"


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (("--issue", "-"), "", "the issue in standard input is empty"),
        (("--issue", "-"), " \n\n", "the issue in standard input is empty"),
        (("--issue", "/nowhere/x"), "", "cannot read the issue /nowhere/x: No such file"),
        (("--issue", "/"), "", "cannot read the issue /: Is a directory"),
        (("--issue", "-"), "x" * ((1 << 20) + 1), "larger than any"),
        (("--issu", "-"), "", "unrecognized arguments"),
        (("--guidance",), "", "expected one argument"),
        (("-C", "/nowhere"), "", "/nowhere does not exist"),
        (("-C", "/"), "", "not in a git repository"),
        (("-o", "/proc/x"), "", "cannot write to /proc/x"),
        (("-m", "script:/nowhere"), "", "/nowhere"),
        (("--turn-limit", "none"), "", "--turn-limit"),
    ],
)
def test_bad_input_is_told_in_a_line(
    user: User, words: tuple[str, ...], stdin: str, said: str
) -> None:
    done = user.greenroom("ci", "local", "-o", str(user.home / "out"), *words, stdin=stdin)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_text_that_is_not_utf8_and_a_wrong_configuration_are_told(
    user: User, tmp_path: Path
) -> None:
    bad = tmp_path / "issue"
    bad.write_bytes(b"title\n\xff\n")
    assert "not UTF-8 text" in local(user, "--issue", str(bad)).stderr
    user.write({"greenroom.toml": "[ci]\nmax_filez = 1\n"})
    user.commit()
    done = local(user)
    assert (done.returncode, "Did you mean 'max_files'?" in done.stderr) == (2, True)


def test_a_checkout_without_a_commit_is_told_so(user: User, tmp_path: Path) -> None:
    user.git("update-ref", "-d", "HEAD")
    done = local(user)
    assert (done.returncode, "has no commits yet" in done.stderr) == (2, True)
