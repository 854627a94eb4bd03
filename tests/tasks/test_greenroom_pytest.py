import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.formats.events import parse_events
from tasks.formats.parsed import Parsed

PLUGINS = Path(__file__).parents[2] / "tasks" / "plugins"


@dataclass(frozen=True)
class Run:
    parsed: Parsed
    exit_code: int
    output: str
    events: bytes

    def statuses(self) -> dict[str, str]:
        return {id: result.status for id, result in self.parsed.results.items()}


def run(
    folder: Path,
    files: Mapping[str, str],
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    command: tuple[str, ...] = ("-m", "pytest", "-p", "no:cacheprovider"),
) -> Run:
    """Run a test program on `files` as the sandbox would, with a pipe for its events."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    reader, writer = os.pipe()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHON"))}
    process = subprocess.Popen(
        [sys.executable, *command, *arguments],
        cwd=folder,
        env={
            **clean,
            "PYTHONPATH": str(PLUGINS),
            "PYTEST_ADDOPTS": "-p greenroom_pytest",
            "GREENROOM_EVENTS_FD": str(writer),
            "GREENROOM_WORKSPACE": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **(environment or {}),
        },
        pass_fds=(writer,),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        events = pipe.read()  # the tests here say far less than a pipe holds
    output, _ = process.communicate(timeout=60)
    return Run(parse_events(events), process.returncode, output.decode(), events)


MIXED = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef twice(n):\n    return add(n, n)\n",
    "tests/test_calc.py": """
import pytest
from calc import add, twice

def test_zero():
    assert add(0, 0) == 0

def test_one_and_two():
    assert add(1, 2) == 3

def test_raises_inside():
    def broken(n):
        return {}[twice(n)]
    broken(4)

@pytest.mark.skip(reason="later")
def test_later(): pass

@pytest.mark.xfail(reason="known")
def test_known(): assert add(1, 1) == 2

@pytest.mark.xfail
def test_better_than_thought(): assert True

@pytest.mark.xfail(strict=True)
def test_strict(): assert True

@pytest.fixture
def broken_setup(): raise RuntimeError("no database")

def test_without_setup(broken_setup): pass

@pytest.fixture
def broken_teardown():
    yield
    raise RuntimeError("cannot close")

def test_passes_then_breaks(broken_teardown): pass

def test_fails_then_breaks(broken_teardown): assert 0, "the failure"

@pytest.mark.parametrize("text", ["a::b", "x/y.py", "z[0]"])
def test_odd_parameters(text): assert text
""",
}


def test_every_outcome_has_its_status(tmp_path: Path) -> None:
    found = run(tmp_path, MIXED)
    prefix = "tests/test_calc.py::"
    assert found.statuses() == {
        prefix + "test_zero": "passed",
        prefix + "test_one_and_two": "failed",
        prefix + "test_raises_inside": "failed",
        prefix + "test_later": "skipped",
        prefix + "test_known": "xfailed",
        prefix + "test_better_than_thought": "xpassed",
        prefix + "test_strict": "failed",
        prefix + "test_without_setup": "error",
        prefix + "test_passes_then_breaks": "error",
        prefix + "test_fails_then_breaks": "failed",
        prefix + "test_odd_parameters[a::b]": "passed",
        prefix + "test_odd_parameters[x/y.py]": "passed",
        prefix + "test_odd_parameters[z[0]]": "passed",
    }
    assert found.parsed.ended
    assert found.parsed.sessions == (1,)
    assert {result.file for result in found.parsed.results.values()} == {"tests/test_calc.py"}


def test_a_failure_tells_the_assertion_with_its_values_and_the_frames(tmp_path: Path) -> None:
    results = run(tmp_path, MIXED).parsed.results
    failed = results["tests/test_calc.py::test_one_and_two"]
    assert "assert -1 == 3" in failed.message
    assert "add(1, 2)" in failed.message
    assert "def test_one_and_two" in failed.detail
    inside = results["tests/test_calc.py::test_raises_inside"]
    assert inside.message == "KeyError: 0"
    assert [(f.path, f.function, f.code) for f in inside.frames] == [
        ("tests/test_calc.py", "test_raises_inside", "broken(4)"),
        ("tests/test_calc.py", "broken", "return {}[twice(n)]"),
    ]
    assert "the failure" in results["tests/test_calc.py::test_fails_then_breaks"].message
    assert results["tests/test_calc.py::test_later"].message == "later"
    assert results["tests/test_calc.py::test_without_setup"].message == "RuntimeError: no database"


@pytest.mark.parametrize("style", ["short", "native", "line", "no"])
def test_other_traceback_styles_keep_message_and_frames(tmp_path: Path, style: str) -> None:
    result = run(tmp_path, MIXED, f"--tb={style}").parsed.results[
        "tests/test_calc.py::test_one_and_two"
    ]
    assert "assert -1 == 3" in result.message
    assert [frame.line for frame in result.frames] == [9]


def test_output_and_exit_code_are_those_of_a_run_without_the_plugin(tmp_path: Path) -> None:
    watched = run(tmp_path, MIXED, "-v", "-rA")
    plain = run(tmp_path, MIXED, "-v", "-rA", environment={"PYTEST_ADDOPTS": "", "PYTHONPATH": ""})
    assert plain.events == b""

    def steady(text: str) -> list[str]:
        return [line for line in text.splitlines() if " in 0." not in line]

    assert steady(watched.output) == steady(plain.output)
    assert watched.exit_code == plain.exit_code


def test_files_that_cannot_be_collected_are_named_with_the_error(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        {
            "test_good.py": "def test_a(): pass\n",
            "test_import.py": "import nowhere_to_be_found\n",
            "test_syntax.py": "def test_b(:\n",
            "test_skipped.py": "import pytest\npytest.skip('not here', allow_module_level=True)\n",
        },
    )
    assert found.exit_code == 2
    assert found.parsed.ended
    assert found.parsed.results["test_import.py"].status == "error"
    assert found.parsed.results["test_import.py"].frames[-1].line == 1
    assert found.parsed.results["test_skipped.py"].status == "skipped"
    assert found.parsed.results["test_skipped.py"].message.endswith("not here")
    joined = "\n".join(found.parsed.errors)
    assert "test_import.py could not be collected: ModuleNotFoundError" in joined
    assert "test_syntax.py could not be collected: " in joined
    assert "SyntaxError" in joined or "invalid syntax" in joined


def test_an_exit_in_the_middle_leaves_the_session_unended(tmp_path: Path) -> None:
    body = "import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\ndef test_c(): pass\n"
    found = run(tmp_path, {"test_a.py": body})
    assert found.exit_code == 0
    assert not found.parsed.ended
    assert found.parsed.reason == (
        "the test process ended while test_a.py::test_b was running without finishing its session"
    )
    assert found.statuses() == {"test_a.py::test_a": "passed", "test_a.py::test_b": "error"}


def test_stopping_at_the_first_failure_is_no_complete_run(tmp_path: Path) -> None:
    files = {"test_a.py": "def test_a(): assert 0\ndef test_b(): pass\n"}
    found = run(tmp_path, files, "-x")
    assert not found.parsed.ended
    assert found.parsed.reason == ("1 of 2 collected tests did not run (stopping after 1 failures)")


def test_hostile_tests_do_not_silence_or_break_the_report(tmp_path: Path) -> None:
    body = """
import builtins, io, json, os, sys
import pytest

def test_fork():
    if os.fork() == 0:
        raise ValueError("the child goes on with the whole session")
    os.wait()

def test_chdir(tmp_path): os.chdir(tmp_path); os.rmdir(tmp_path)
def test_close_some(): os.closerange(100, 1000)
def test_replaced_streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())


def no(*_, **__): raise RuntimeError("replaced")
KEPT = [(o, n, getattr(o, n)) for o, n in (
    (os, "write"), (os, "fstat"), (os, "getpid"), (json, "dumps"), (builtins, "open"))]

def test_replaced_library():
    for owner, name, _ in KEPT: setattr(owner, name, no)
    assert 1 == 2
def test_still_replaced(): pass
def test_last():
    for kept in KEPT: setattr(*kept)
"""
    found = run(tmp_path, {"test_a.py": body}, "-s")
    assert found.statuses() == {
        "test_a.py::test_fork": "passed",
        "test_a.py::test_chdir": "passed",
        "test_a.py::test_close_some": "passed",
        "test_a.py::test_replaced_streams": "passed",
        "test_a.py::test_replaced_library": "failed",
        "test_a.py::test_still_replaced": "passed",
        "test_a.py::test_last": "passed",
    }
    assert found.parsed.ended
    assert (
        found.parsed.results["test_a.py::test_replaced_library"].frames[0].code == "assert 1 == 2"
    )


def test_a_test_that_closes_every_descriptor_leaves_an_unended_run(tmp_path: Path) -> None:
    body = "import os\ndef test_a():\n    os.closerange(3, 1024)\ndef test_b(): pass\n"
    assert not run(tmp_path, {"test_a.py": body}, "-s").parsed.ended


def test_a_reused_descriptor_is_never_written_to(tmp_path: Path) -> None:
    body = """
import os
def test_a(tmp_path):
    os.closerange(3, 1024)
    mine = os.open("mine.txt", os.O_CREAT | os.O_RDWR)
    for number in range(3, 400):
        if number != mine:
            os.dup2(mine, number)
def test_b(): assert os.path.getsize("mine.txt") == 0
"""
    found = run(tmp_path, {"test_a.py": body}, "-s")
    assert found.exit_code == 0
    assert (tmp_path / "mine.txt").read_text() == ""


def test_nested_sessions_and_subprocesses_report_nothing(tmp_path: Path) -> None:
    body = """
import os, subprocess, sys
pytest_plugins = ["pytester"]
def test_environment():
    left = [k for k in os.environ if k.startswith("GREENROOM")]
    assert not left and "PYTEST_ADDOPTS" not in os.environ and "PYTHONPATH" not in os.environ
    assert not any("plugins" in p for p in sys.path)
def test_in_process(pytester):
    pytester.makepyfile("def test_inner(): assert 0")
    pytester.inline_run().assertoutcome(failed=1)
def test_subprocess(pytester):
    pytester.makepyfile("def test_inner(): assert 0")
    assert pytester.runpytest_subprocess().ret == 1
"""
    found = run(tmp_path, {"test_a.py": body})
    assert found.statuses() == {
        "test_a.py::test_environment": "passed",
        "test_a.py::test_in_process": "passed",
        "test_a.py::test_subprocess": "passed",
    }


def test_only_the_selected_tests_run_and_other_files_are_not_imported(tmp_path: Path) -> None:
    files = {
        "tests/test_a.py": (
            "import pytest\n@pytest.mark.parametrize('n', ['x', 'y::z'])\ndef test_a(n): pass\n"
        ),
        "tests/test_b.py": "raise SystemExit('imported')\n",
        "tests/conftest.py": "import pytest\n",
    }
    selected = '["tests/test_a.py::test_a[y::z]", "tests/test_gone.py::test_x"]'
    environment = {"GREENROOM_ONLY_000": selected[:20], "GREENROOM_ONLY_001": selected[20:]}
    found = run(tmp_path, files, "tests", environment=environment)
    assert found.statuses() == {"tests/test_a.py::test_a[y::z]": "passed"}
    assert found.parsed.ended


def test_a_trace_names_the_lines_that_each_test_ran(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/core.py": (
            "def sign(n):\n    if n < 0:\n        return -1\n    return 1\n\n\n"
            "def other():\n    return sign(3)\n"
        ),
        "tests/test_core.py": (
            "from pkg.core import other, sign\n"
            "def test_sign(): assert sign(-2) == -1\n"
            "def test_other(): assert other() == 2\n"
        ),
    }
    found = run(tmp_path, files, environment={"GREENROOM_TRACE": "1"})
    executed = found.parsed.executed
    rows = executed["tests/test_core.py::test_sign"]
    assert [(r.path, r.function, r.first_line, r.last_line, r.lines) for r in rows] == [
        ("pkg/core.py", "sign", 1, 4, (2, 3))
    ]
    rows = executed["tests/test_core.py::test_other"]
    assert [(r.function, r.lines) for r in rows] == [("other", (8,)), ("sign", (2, 4))]


def test_nothing_is_reported_without_a_pipe(tmp_path: Path) -> None:
    found = run(tmp_path, MIXED, environment={"GREENROOM_EVENTS_FD": ""})
    assert found.events == b""
    assert found.exit_code == 1


def test_a_conftest_that_breaks_leaves_a_run_without_a_session(tmp_path: Path) -> None:
    found = run(tmp_path, {"conftest.py": "import nowhere\n", "test_a.py": "def test_a(): pass\n"})
    assert found.exit_code == 4
    assert found.parsed.reason == "no test session started"


@pytest.mark.parametrize("name", sorted(path.name for path in PLUGINS.glob("greenroom_*.py")))
def test_the_modules_parse_on_python_3_7(name: str) -> None:
    ast.parse((PLUGINS / name).read_text(), feature_version=(3, 7))


ENDLESS = {
    "test_loops.py": """
def test_turns():
    while True:
        pass

def test_catches_all_but_an_end():
    while True:
        try:
            sum(range(1000))
        except Exception:
            pass

def test_after(): pass
"""
}


def test_a_test_that_never_ends_fails_and_the_others_run(tmp_path: Path) -> None:
    found = run(tmp_path, ENDLESS, environment={"GREENROOM_TEST_SECONDS": "0.2"})
    assert found.statuses() == {
        "test_loops.py::test_turns": "failed",
        "test_loops.py::test_catches_all_but_an_end": "failed",
        "test_loops.py::test_after": "passed",
    }
    assert found.parsed.ended
    told = found.parsed.results["test_loops.py::test_turns"].message
    assert "more than 0.2 seconds of processor time" in told


def test_the_limit_of_a_test_does_not_reach_what_the_tests_start(tmp_path: Path) -> None:
    source = "import os\ndef test_it(): assert 'GREENROOM_TEST_SECONDS' not in os.environ\n"
    found = run(tmp_path, {"test_it.py": source}, environment={"GREENROOM_TEST_SECONDS": "5"})
    assert found.statuses() == {"test_it.py::test_it": "passed"}


COMPARED = {
    "test_it.py": """
import os

def test_large():
    rows = [[n, n + 1, n + 2, n + 3, n + 4] for n in range(120)]
    assert rows == [rows, 1]

def test_small():
    assert [1, 2] == [1, 3]

def test_environment():
    assert os.environ["CI"] == "1"
"""
}


def test_no_full_diff_is_made_of_large_values(tmp_path: Path) -> None:
    results = run(tmp_path, COMPARED, environment={"CI": "1"}).parsed.results
    large, small, environment = results.values()
    assert (large.status, small.status, environment.status) == ("failed", "failed", "passed")
    assert "Full diff" not in large.detail
    assert "Full diff" in small.detail
