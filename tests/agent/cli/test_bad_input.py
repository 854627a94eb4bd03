"""What the user gives that cannot work: each time the answer is one or two lines and a code."""

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.cli import config
from agent.cli.main import main
from tests.agent.bench import FILES, FIX
from tests.agent.cli.conftest import User
from tests.faults.server import (
    FaultServer,
    Reply,
    answer,
    call,
    delta,
    error,
    in_thread,
    page,
    sse,
    stream,
)

EDIT = {"path": "calc.py", "old_text": "a - b", "new_text": "a + b"}
KEY = "sk-not-to-be-shown"
SMALL_DIFF = (
    "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"
)


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Here = Callable[..., Said]


@pytest.fixture
def here(user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command in this process, which saves its start; no test here needs a process of its own
    but those that say so."""
    monkeypatch.chdir(user.checkout)
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def run(*words: str, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(words)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(code, said.out, said.err)

    return run


def usage(said: Said, *texts: str) -> None:
    """A usage error: what is wrong on one line, what to do on at most one more."""
    assert said.code == 2, said
    assert said.err.startswith("greenroom: ")
    assert len(said.err.splitlines()) <= 2
    for text in texts:
        assert text in said.err


# The checkout.


def test_a_folder_that_is_not_there(here: Here) -> None:
    usage(here("solve", "-C", "nowhere"), "nowhere is not a folder", "-C PATH")


@pytest.mark.parametrize(("words", "text"), [(("check",), "has no files"), (("init",), "no files")])
def test_an_empty_repository(here: Here, user: User, words: tuple[str, ...], text: str) -> None:
    empty = user.home / "empty"
    subprocess.run(["git", "init", "-q", empty], check=True)
    usage(here(*words, "-C", str(empty)), text)


def test_a_patch_on_a_repository_without_a_commit(here: Here, user: User) -> None:
    empty = user.home / "empty"
    subprocess.run(["git", "init", "-q", empty], check=True)
    said = here("verify", "-", "-C", str(empty), stdin=SMALL_DIFF.format("x").encode())
    usage(said, "has no commits yet")


def test_no_test_command_can_be_given_to_init(here: Here, user: User) -> None:
    user.git("rm", "-q", "-r", ".")
    user.write({"readme.txt": "nothing"})
    usage(here("init"), "No test command was found", "--test-cmd")
    assert here("init", "--test-cmd", "make it").code == 0
    assert 'test_cmd = "make it"' in (user.checkout / "greenroom.toml").read_text()


def test_a_python_that_exists_is_proposed(here: Here, user: User) -> None:
    project = '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.13"\n'
    user.write({"pyproject.toml": project})
    usage(here("check"), "asks for Python >=3.13", "--python 3.14")


@pytest.mark.docker
def test_a_test_command_that_is_not_there_ends_it_before_the_model(here: Here, user: User) -> None:
    said = here("solve", "-m", user.script(FIX), "--test-cmd", "nonsense --all")
    assert said.code == 3
    assert "nonsense: command not found" in said.err
    assert "--test-cmd" in said.err
    assert "turn 1" not in said.out


@pytest.mark.docker
def test_tests_that_cannot_be_collected_say_what_the_sandbox_lacks(here: Here, user: User) -> None:
    user.write({"test_calc.py": "import no_such_package\n\n\ndef test_it():\n    pass\n"})
    said = here("solve", "-m", user.script(FIX))
    assert "test_calc.py could not be collected: ModuleNotFoundError" in said.out
    assert "missing: the Python module no_such_package. Clean rooms have no network" in said.out


@pytest.mark.docker
def test_a_broken_conftest_is_no_run_of_the_tests(here: Here, user: User) -> None:
    user.write({"conftest.py": "raise RuntimeError('boom')\n"})
    said = here("check")
    assert said.code == 3
    assert "RuntimeError: boom" in said.out
    assert "the tests could not be run" in said.out


@pytest.mark.docker
def test_with_nothing_to_do_it_says_how_to_have_something_done(here: Here, user: User) -> None:
    user.write({"calc.py": FILES["calc.py"].replace("a - b", "a + b")})
    said = here("solve", "-m", user.script())
    assert said.code == 0
    assert 'say it in words: greenroom solve "..."' in said.out


# The settings.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"turn_limit = = 3", "is not valid TOML: Invalid value (at line 1, column 14)"),
        (b"# fine\nseed = \xff", "is not valid TOML: not UTF-8 text (at line 2)"),
        (b"a = " + b"[" * 100_000, "is not valid TOML: nested too deeply"),
        (b"test_comd = 'x'", "unknown key 'test_comd'; did you mean 'test_cmd'?"),
        (b"turn_limit = true", "turn_limit: expected a whole number, got True"),
        (b"workspace_size = 12", "workspace_size: expected at least 1M, got 12"),
        (b"# " + b"x" * (5 << 20), "is larger than any settings file"),
    ],
)
def test_a_malformed_settings_file(here: Here, user: User, text: bytes, said: str) -> None:
    (user.checkout / "greenroom.toml").write_bytes(text)
    for command in ("solve", "check", "config"):
        usage(here(command), "greenroom.toml", said)


def test_a_settings_table_that_is_none(here: Here, user: User) -> None:
    user.write({"pyproject.toml": "[tool]\ngreenroom = 'x'\n"})
    usage(here("config"), "tool.greenroom: expected a table, got 'x'")


def test_an_untrusted_file_is_named_once_with_all_that_it_asks_for(here: Here, user: User) -> None:
    user.write({"greenroom.toml": "memory = '64G'\nsetup = ['x']\nseed = 1\n"})
    said = here("config")
    assert "is not trusted (see `greenroom trust`), so not set: memory above 2G, setup" in said.out
    usage(here("trust"), "standard input is not a terminal", "--yes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id = 'x'", "the field 'instruction' is missing"),
        ("instructoin = 'x'", "there is no field 'instructoin'; did you mean 'instruction'?"),
        ("instruction = 'x'\nrepository = 'gone'", "repository: there is no folder"),
        ("a = " + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_task_file_that_lacks_something(here: Here, user: User, text: str, said: str) -> None:
    (user.home / "task.toml").write_text(text)
    usage(here("solve", "--task-file", str(user.home / "task.toml")), "task.toml", said)


# The command line.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--apply --branch x", "--apply and --branch were both given"),
        ("--json --events", "--json and --events both want standard output"),
        ("--json --patch -", "--patch - and --json both want standard output"),
        ("--events --patch -", "--patch - and --events both want standard output"),
        ("--patch gone/x.patch", "--patch 'gone/x.patch': there is no such folder"),
        ("--patch .", "--patch '.': it is no file's name"),
        ("--branch main", "There is a branch main already."),
        ("--branch a..b", "'a..b' cannot be a branch's name."),
        ("--task starter/line-wrap --apply", "--apply needs a checkout"),
        ("--task starter/line-wrap -C /tmp", "-C and --task were both given"),
        ("--task starter/line-wrap --task-file x", "--task and --task-file were both given"),
        ("--task starter/line-wrap --test-cmd x", "--test-cmd cannot be given with --task"),
        ("--task starter/nope", "no task in the starter suite called 'nope'"),
        ("--cost-limit nan", "--cost-limit: expected a finite number"),
        ("--workspace-size 12", "--workspace-size: expected at least 1M, got 12"),
        ("--memory 100M", "but memory is 100."),
        ("--price-input 1", "a price has two parts"),
        ("mend the add", 'Put it in quotes: greenroom solve "mend the add"'),
        ("--tset-cmd x", "unrecognized arguments: --tset-cmd"),
        ("-m bogus", "unknown model 'bogus'"),
        ("-m script:gone.json", "cannot read the script gone.json"),
    ],
)
def test_flags_that_cannot_work_are_refused_before_any_work(
    here: Here, user: User, words: str, said: str
) -> None:
    script = () if "-m" in words.split() else ("-m", user.script(FIX))
    usage(here("solve", *script, *words.split()), said)
    assert not list((user.home / ".local").rglob("trajectory.jsonl"))


def test_a_patch_from_standard_input_is_read_to_a_bound(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.proving.MOST_DIFF_BYTES", 1 << 20)
    usage(here("verify", "-", stdin=bytes((1 << 20) + 1)), "larger than any: over 1 MiB")


@pytest.mark.parametrize(
    ("stdin", "said"), [(b"", "which is empty"), (b"caf\xe9", "the task is not UTF-8 text")]
)
def test_a_task_from_standard_input_that_is_none(
    here: Here, user: User, stdin: bytes, said: str
) -> None:
    usage(here("solve", "-", "-m", user.script(FIX), stdin=stdin), said)


def test_a_state_folder_that_cannot_be_is_the_environment(
    here: Here, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    said = here("solve", "-m", user.script(FIX))
    assert said.code == 3
    assert said.err.startswith("greenroom: the system says: Not a directory: /dev/null")


def test_a_fault_of_ours_is_never_taken_for_an_unsolved_task(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(config, "main", fail)
    said = here("config")
    assert said.code == 3
    assert "an error inside of greenroom: RuntimeError: out of cheese" in said.err


# The engine. (tests/sandbox/test_engine.py has what can be told of one without the command.)


def test_an_engine_that_may_not_be_used(user: User, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can own a socket that is another's")
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "s"))
        closed.listen()
        os.chmod(tmp_path / "s", 0o600)
        os.chown(tmp_path / "s", 65534, 65534)
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        done = subprocess.run(
            [*command, *user.command("check", "-C", str(user.checkout))],
            env=user.environment | {"DOCKER_HOST": f"unix://{tmp_path}/s"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert "You may not use the Docker engine at unix://" in done.stderr
    assert "usermod -aG docker" in done.stderr


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("tcp://127.0.0.1:1", "does not answer: [Errno 111] Connection refused"),
        ("ssh://me@host", "an address of a kind that is not supported"),
    ],
)
def test_an_engine_at_a_wrong_address(user: User, host: str, said: str) -> None:
    for words in (("check",), ("solve", "-m", user.script(FIX))):
        done = user.greenroom(*words, DOCKER_HOST=host)
        assert done.returncode == 3
        assert said in done.stderr


# The patch.


@pytest.mark.parametrize(
    ("diff", "said"),
    [
        (SMALL_DIFF.format(".git/hooks/pre-commit"), "No patch may hold the path '.git/hooks/"),
        (SMALL_DIFF.format("../x"), "No patch may hold the path '../x'"),
        (SMALL_DIFF.format("calc.py"), "Here that is HEAD; --base names another commit"),
    ],
)
def test_a_patch_that_cannot_be_applied(here: Here, diff: str, said: str) -> None:
    usage(here("verify", "-", stdin=diff.encode()), said)


def test_the_first_commit_has_none_to_be_judged_on(here: Here) -> None:
    usage(here("verify", "HEAD"), "HEAD is the first commit", "A..B")


@pytest.mark.docker
def test_a_patch_that_changes_tests_only_is_not_used(here: Here, user: User) -> None:
    tests = user.checkout / "test_calc.py"
    tests.write_text(tests.read_text().replace("== 5", "== -1"))
    said = here("verify", "-", stdin=user.git("diff").encode())
    assert said.code == 1
    assert "The patch changes nothing but protected files." in said.out


# The model's server.


def solve_with(here: Here, *replies: Reply, words: tuple[str, ...] = ()) -> Said:
    with in_thread(FaultServer(*replies)) as server:
        said = here("solve", "-m", "openai:m", "--base-url", server.base_url, *words)
    assert KEY not in said.out + said.err
    return said


def test_a_server_that_is_down(here: Here) -> None:
    said = here("solve", "-m", "openai:m", "--base-url", "http://127.0.0.1:1/v1")
    assert said.code == 3
    assert "nothing answers at http://127.0.0.1:1/v1" in said.err


def test_a_cost_limit_needs_a_price(here: Here) -> None:
    usage(here("solve", "-m", "openai:m", "--cost-limit", "1"), "price")


@pytest.mark.docker
@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (page(), "answers with a web page"),
        (error(401, f"bad key {KEY}"), "refuses the key in OPENAI_API_KEY"),
    ],
)
def test_a_server_that_cannot_answer(here: Here, reply: Reply, said: str) -> None:
    done = solve_with(here, reply)
    assert done.code == 3
    assert said in done.err
    assert "Go on later with: greenroom resume " in done.err


@pytest.mark.docker
def test_slips_of_the_model_and_its_server_cost_a_turn_and_no_more(here: Here) -> None:
    said = solve_with(
        here,
        stream(sse(delta(role="assistant"), delta(content="I wi")), "close"),
        stream(sse(delta(role="assistant")), 0.5, sse(delta(content="Hm.")), 0.5, sse("[DONE]")),
        answer("", call("edit_file", '{"path": "calc.py", ')),
        answer("", call("edit_fiel", EDIT)),
        answer("", delta(reasoning="\x1b]0;title\x07 \x9b31m \u202e"), call("edit_file", EDIT)),
    )
    assert said.code == 0, said
    assert "the connection broke" in said.out
    assert "edit_file" in said.out
    assert "solved (proved)" in said.out
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(said.out)


@pytest.mark.docker
@pytest.mark.parametrize(
    ("reply", "words", "reason"),
    [
        (
            stream(sse(delta(content="bla ")), "forever"),
            ("--token-limit", "3000"),
            "token limit of 3,000 reached, in the middle of a turn",
        ),
        pytest.param(
            stream(sse(delta(content="hm")), "hang"),
            ("--time-limit", "10"),
            "time limit of 10 s reached, in the middle of a turn",
            marks=pytest.mark.nightly,
        ),
    ],
)
def test_a_model_that_never_finishes_is_held_by_the_limits(
    here: Here, reply: Reply, words: tuple[str, ...], reason: str
) -> None:
    said = solve_with(here, reply, words=words)
    assert said.code == 1
    assert f"not solved: {reason}" in said.out


@pytest.mark.model
@pytest.mark.nightly
def test_a_model_that_needs_failing_tests_says_so_where_none_fails(user: User) -> None:
    user.write(
        {"calc.py": "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n"}
    )
    done = user.greenroom("solve", "-m", "embedded", "add a function that halves")
    assert done.returncode == 1
    assert "the model proposed no change; no test fails that would show it where" in done.stdout


def test_an_empty_task_is_a_slip(here: Here) -> None:
    usage(here("solve", "", "-m", "embedded"), "the task is an empty text")


def test_a_test_that_may_be_in_a_submodule_is_looked_for_there(here: Here, user: User) -> None:
    head = user.git("rev-parse", "HEAD").strip()
    user.git("rm", "-q", "-r", ".")
    user.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    user.write({"readme.txt": "see vendor/lib"})
    usage(here("check"), "No test command was found", "Submodules are left out", "vendor/lib")


@pytest.mark.docker
def test_a_run_that_cannot_count_is_said_by_check(here: Here) -> None:
    said = here("check", "--test-cmd", "python3 -m pytest -q; true")
    assert said.code == 1
    assert "no patch can be proved by such a run" in said.out


@pytest.mark.parametrize("words", [("check", "--json"), ("verify", "nowhere.patch", "--json")])
def test_an_error_is_a_document_where_one_is_asked_for(
    here: Here, user: User, words: tuple[str, ...]
) -> None:
    said = here(*words, "-C", str(user.home))
    document = json.loads(said.out)
    assert document["schema"] == "greenroom.error/1"
    assert document["exit_code"] == said.code == 2
    assert document["error"] in said.err
