import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.agent.bench import FINISH, FIX, call, edit
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker

FIXED = "def add(a, b):\n    return a + b\n"


def code(user: User) -> str:
    return (user.checkout / "calc.py").read_text()


def test_a_solved_task_is_shown_and_nothing_is_applied_without_a_terminal(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FIX))
    assert done.returncode == 0, done.stderr
    assert "1 test failed without the patch and passes with it" in done.stdout
    assert "\nsolved (proved)\n" in done.stdout
    assert "no model was run: the turns came from a script" in done.stdout
    assert "+    return a + b" in done.stdout
    assert "Nothing was applied." in done.stdout
    assert "\x1b" not in done.stdout
    assert user.git("status", "--short") == ""


def test_apply_writes_the_checkout_and_quiet_leaves_the_result_with_its_reason(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FIX), "--apply", "-q")
    assert done.returncode == 0
    assert done.stdout.startswith("solved (proved): 1 test failed without the patch and passes")
    assert code(user).startswith(FIXED)
    assert user.git("status", "--short") == " M calc.py\n"


def test_a_branch_holds_one_commit_that_names_model_and_run(user: User) -> None:
    user.git("config", "user.name", "U")
    user.git("config", "user.email", "u@example.org")
    done = user.greenroom("solve", "mend add", "-m", user.script(FIX), "--branch", "fix/add")
    assert done.returncode == 0, done.stderr
    message = user.git("log", "-1", "--format=%B", "fix/add")
    assert message.startswith("mend add\n\nGreenroom-Model: ")
    assert "Greenroom-Run: " in message
    assert user.git("diff", "--name-only", "main", "fix/add") == "calc.py\n"
    assert user.git("status", "--short") == ""


@pytest.mark.nightly
def test_a_patch_on_standard_output_is_fit_for_git_apply(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FIX), "-q", "--patch", "fix.patch")
    assert done.returncode == 0
    user.git("apply", "fix.patch")
    assert code(user).startswith(FIXED)


def test_the_json_document_is_all_there_is_on_standard_output(user: User) -> None:
    done = user.greenroom("solve", "-", "-m", user.script(FIX), "--json", stdin="mend add\n")
    document = json.loads(done.stdout)
    assert document["task"]["instruction"] == "mend add"
    assert (document["status"], document["grade"]) == ("solved", "proved")
    assert document["failing_before"] == ["test_calc.py::test_add"]
    assert document["failing"] == []
    assert document["model"]["real"] is False
    assert "+    return a + b" in document["diff"]
    assert "turn 1" in done.stderr


def test_events_are_lines_of_json(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FIX), "--events", "--apply")
    assert done.returncode == 0
    assert "Applied to " in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    types = [event["type"] for event in events]
    assert types[0] == "run.started"
    assert types[-1] == "run.ended"
    [opened] = [event for event in events if event["type"] == "sandbox"]
    assert opened["policy"]["network"] == []


def test_what_is_seen_is_what_the_user_has_now(user: User) -> None:
    user.write(
        {
            "helper.py": "SIGN = -1\n",
            "calc.py": "from helper import SIGN\n\n\n"
            "def add(a, b):\n    return a + SIGN * b\n\n\ndef double(a):\n    return a * 2\n",
        }
    )
    fix = edit("SIGN = -1", "SIGN = 1", "helper.py")
    done = user.greenroom("solve", "-m", user.script(fix))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Untracked files are taken too: helper.py." in done.stdout


def test_a_checkout_that_changed_meanwhile_is_not_overwritten(user: User) -> None:
    started = subprocess.Popen(
        user.command("solve", "-m", user.script(FIX), "--apply"),
        cwd=user.checkout,
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout
    for line in started.stdout:
        if line.startswith("turn 1"):
            user.write({"calc.py": "mine\n"})
    errors = started.communicate()[1]
    assert started.returncode == 2
    assert "calc.py" in errors
    assert code(user) == "mine\n"


def test_tests_that_pass_leave_nothing_to_do(user: User) -> None:
    user.write({"calc.py": FIXED + "\n\ndef double(a):\n    return a * 2\n"})
    done = user.greenroom("solve", "-m", user.script())
    assert done.returncode == 0
    assert "nothing to do: all tests pass already" in done.stdout


def test_the_unsolved_exits_with_1_and_says_what_fails(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script(FINISH, FINISH))
    assert done.returncode == 1
    assert "not solved: the model gave up without a change: done" in done.stdout
    assert "still failing: test_calc.py::test_add" in done.stdout


def test_what_was_thought_is_in_the_printed_run(user: User) -> None:
    turn = {"reasoning": "it subtracts", "text": "I mend it.", **edit("a - b", "a * b")}
    user.greenroom("solve", "-m", user.script(turn), "--turn-limit", "1")
    assert "turn 1\nit subtracts\nI mend it.\n> edit_file" in user.greenroom("show").stdout


def test_a_task_file_says_what_is_to_be_done(user: User) -> None:
    (user.checkout / "task.toml").write_text(
        'instruction = "mend add"\nexpected = ["test_calc.py::test_add"]\n'
    )
    script = user.script(FINISH, FINISH)
    done = user.greenroom("solve", "--task-file", "task.toml", "-m", script, "--json")
    assert json.loads(done.stdout)["task"] == {"id": "task", "instruction": "mend add"}


@pytest.mark.parametrize(
    "more", ['include = [".env"]', 'setup = ["true"]', 'memory = "9G"', 'repository = "/tmp"']
)
def test_a_task_file_of_a_checkout_may_not_widen_anything(user: User, more: str) -> None:
    (user.checkout / "task.toml").write_text(f'instruction = "mend add"\n{more}\n')
    done = user.greenroom("solve", "--task-file", "task.toml", "-m", user.script(FIX))
    assert done.returncode == 2
    assert f"lies in a checkout, so it may not set: {more.split(maxsplit=1)[0]}" in done.stderr


def test_a_task_file_from_elsewhere_may_widen(user: User) -> None:
    outside = user.home / "task.toml"
    outside.write_text(f'instruction = "x"\nrepository = "{user.checkout}"\ninclude = [".env"]\n')
    done = user.greenroom("solve", "--task-file", str(outside), "-m", user.script(FIX))
    assert done.returncode == 0, done.stderr


def test_advice_of_the_project_reaches_the_model(user: User) -> None:
    user.write({"AGENTS.md": "Use plus signs.\n"})
    user.greenroom("solve", "-m", user.script(FINISH, FINISH), "-q")
    shown = json.loads(user.greenroom("show", "--json").stdout)
    [epoch] = [event for event in shown["events"] if event["type"] == "epoch"]
    assert "<advice>\nUse plus signs.\n</advice>" in epoch["messages"][1]["text"]


def test_control_characters_are_shown_and_do_not_act(user: User) -> None:
    evil = {
        "text": "\x1b]52;c;ZXZpbA==\x07",
        "calls": [call("shell", command="printf '\\033[2Jgone\\rover'")],
    }
    done = user.greenroom("solve", "-m", user.script(evil), "--turn-limit", "1")
    assert "\x1b" not in done.stdout
    assert "\\e]52;c;ZXZpbA==\\a" in done.stdout


def _interrupted(user: User, number: signal.Signals) -> subprocess.Popen[str]:
    slow = {"calls": [call("shell", command="sleep 60")]}
    process = subprocess.Popen(
        user.command("solve", "-m", user.script(edit("a - b", "a * b"), slow)),
        cwd=user.checkout,
        env=user.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "sleep 60" in line:
            process.send_signal(number)
            break
    return process


def _containers() -> str:
    listed = ["docker", "ps", "-aq", "--filter", "label=greenroom.owner"]
    return subprocess.run(listed, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly)],
)
def test_a_signal_stops_at_once_and_the_run_goes_on_later(
    user: User, number: signal.Signals, code: int
) -> None:
    process = _interrupted(user, number)
    start = time.monotonic()
    out, _ = process.communicate(timeout=20)
    assert time.monotonic() - start < 10
    assert process.returncode == code
    assert "stopped. Go on with: greenroom resume " in out
    assert "interrupted" in user.greenroom("runs").stdout
    user.script({}, edit("a * b", "a + b"))
    done = user.greenroom("resume", "-m", "Use plus.")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nturn 2\n" in done.stdout
    assert "\nturn 1\n" not in done.stdout


def test_a_killed_process_leaves_no_container_and_a_run_to_resume(user: User) -> None:
    before = set(_containers().split())
    process = _interrupted(user, signal.SIGKILL)
    process.communicate(timeout=20)
    [log] = (user.home / ".local/state/greenroom/runs").glob("*/trajectory.jsonl")
    with log.open("a") as stream:
        stream.write('{"v":1,"seq":99,"ty')
    deadline = time.monotonic() + 5
    while set(_containers().split()) - before and time.monotonic() < deadline:
        time.sleep(0.2)
    user.script({}, edit("a * b", "a + b"))
    done = user.greenroom("resume")
    assert done.returncode == 0, done.stdout + done.stderr
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_a_run_being_worked_on_cannot_be_resumed_at_once(user: User) -> None:
    process = _interrupted(user, signal.SIGCONT)
    done = user.greenroom("resume")
    assert done.returncode == 2
    assert "is being worked on by another process" in done.stderr
    assert "running" in user.greenroom("runs").stdout
    process.terminate()
    process.communicate(timeout=20)


def test_a_solved_run_is_shown_and_pruned(user: User) -> None:
    user.greenroom("solve", "-m", user.script(FIX), "-q")
    shown = user.greenroom("show").stdout
    assert "task: make the failing tests pass" in shown
    assert "clean room: solved, proved" in shown
    assert "(a script: no model was run)" in shown
    diff = user.greenroom("show", "--diff").stdout
    subprocess.run(["git", "apply"], input=diff, text=True, check=True, cwd=user.checkout)
    again = user.greenroom("resume")
    assert again.returncode == 2
    assert "is solved already" in again.stderr
    assert "removed 1 run" in user.prune("--runs", "--older-than", "0d").stdout
    assert "no runs yet" in user.greenroom("runs").stdout


def test_a_hostile_settings_file_sets_nothing_and_is_said(user: User) -> None:
    user.write({"greenroom.toml": 'base_url = "http://192.0.2.1/v1"\nimage = "evil"\n'})
    done = user.greenroom("solve", "-m", user.script(FIX))
    assert done.returncode == 0, done.stderr
    assert "(see `greenroom trust`), so not set: base_url, image\n" in done.stdout
    user.greenroom("trust", "--yes")
    assert "evil" in user.greenroom("config").stdout


def test_without_a_model_the_choices_are_named(user: User) -> None:
    done = user.greenroom("solve", OPENAI_API_KEY="", OLLAMA_HOST="http://127.0.0.1:1")
    if "no model was named; using" in done.stdout:
        pytest.skip("a model server runs on this machine")
    assert done.returncode == 2
    assert "-m embedded" in done.stderr


def test_runs_are_private_and_never_in_the_checkout(user: User) -> None:
    os.umask(0o022)
    user.greenroom("solve", "-m", user.script(FINISH, FINISH), "-q")
    runs = user.home / ".local/state/greenroom/runs"
    assert runs.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in user.checkout.iterdir()} == {".git", "calc.py", "test_calc.py"}
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in runs.iterdir())


def test_an_error_on_the_way_names_the_run_for_programs(user: User) -> None:
    done = user.greenroom("solve", "-m", user.script({"text": "I think."}), "--json")
    document = json.loads(done.stdout)
    assert done.returncode == document["exit_code"] == 3
    assert user.greenroom("show", document["run"]).returncode == 0
    done = user.greenroom("solve", "-m", user.script({"text": "I think."}), "--events")
    assert json.loads(done.stdout.splitlines()[-1])["type"] == "error"
    assert done.stderr.count("greenroom resume") == 1
