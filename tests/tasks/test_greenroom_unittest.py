import os
import subprocess
import sys
from pathlib import Path

from tasks.formats.events import parse_events
from tasks.formats.parsed import Parsed

PLUGINS = Path(__file__).parents[2] / "tasks" / "plugins"

FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "tests/__init__.py": "",
    "tests/test_calc.py": """
import unittest
from calc import add

class Calc(unittest.TestCase):
    def test_fails(self): self.assertEqual(add(1, 2), 3)
    def test_passes(self): self.assertEqual(add(1, 0), 1)
    def test_breaks(self): {}["key"]
    @unittest.skip("later")
    def test_skipped(self): pass
    @unittest.expectedFailure
    def test_known(self): self.fail()
    @unittest.expectedFailure
    def test_surprise(self): pass
    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)

class NoSetup(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError("no database")
    def test_never(self): pass
""",
    "tests/test_broken.py": "import nowhere_to_be_found\n",
}


def run(folder: Path, files: dict[str, str], *arguments: str, **extra: str) -> tuple[Parsed, int]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    reader, writer = os.pipe()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        "PYTHONPATH": str(PLUGINS),
        "GREENROOM_EVENTS_FD": str(writer),
        "GREENROOM_WORKSPACE": str(folder),
        **extra,
    }
    process = subprocess.run(
        [sys.executable, "-m", "greenroom_unittest", *arguments],
        cwd=folder,
        env=environment,
        pass_fds=(writer,),
        check=False,
        capture_output=True,
        timeout=60,
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        return parse_events(pipe.read()), process.returncode


def test_every_outcome_has_its_status(tmp_path: Path) -> None:
    parsed, code = run(tmp_path, FILES)
    prefix = "tests.test_calc.Calc."
    assert {id: result.status for id, result in parsed.results.items()} == {
        prefix + "test_breaks": "failed",
        prefix + "test_fails": "failed",
        prefix + "test_known": "xfailed",
        prefix + "test_parts": "failed",
        prefix + "test_passes": "passed",
        prefix + "test_skipped": "skipped",
        prefix + "test_surprise": "failed",
        "tests.test_calc.NoSetup.test_never": "error",
        "tests.test_broken": "error",
    }
    assert code == 1
    assert parsed.sessions == (1,)
    failed = parsed.results[prefix + "test_fails"]
    assert failed.message == "AssertionError: -1 != 3"
    assert failed.file == "tests/test_calc.py"
    assert [(frame.path, frame.function) for frame in failed.frames] == [
        ("tests/test_calc.py", "test_fails")
    ]
    assert "nowhere_to_be_found" in parsed.errors[0]


def test_the_tests_of_a_class_that_cannot_be_set_up_are_errors(tmp_path: Path) -> None:
    parsed, _ = run(tmp_path, FILES, "tests.test_calc")
    assert parsed.ended
    assert parsed.results["tests.test_calc.NoSetup.test_never"].message == (
        "RuntimeError: no database"
    )


def test_a_clean_run_ends(tmp_path: Path) -> None:
    parsed, code = run(tmp_path, FILES, "tests.test_calc.Calc.test_passes")
    assert (parsed.ended, parsed.sessions, code) == (True, (0,), 0)


def test_only_the_selected_tests_run(tmp_path: Path) -> None:
    selected = '["tests.test_calc.Calc.test_fails"]'
    parsed, _ = run(tmp_path, FILES, GREENROOM_ONLY_000=selected)
    assert list(parsed.results) == ["tests.test_calc.Calc.test_fails"]


def test_a_trace_names_the_lines_that_each_test_ran(tmp_path: Path) -> None:
    parsed, _ = run(tmp_path, FILES, "tests.test_calc.Calc.test_fails", GREENROOM_TRACE="1")
    rows = parsed.executed["tests.test_calc.Calc.test_fails"]
    assert [(row.path, row.function, row.lines) for row in rows] == [("calc.py", "add", (2,))]


def test_an_exit_in_the_middle_leaves_the_session_unended(tmp_path: Path) -> None:
    body = "import os, unittest\nclass T(unittest.TestCase):\n    def test_a(self): os._exit(0)\n"
    parsed, code = run(tmp_path, {"test_exit.py": body})
    assert code == 0
    assert not parsed.ended
    assert parsed.results["test_exit.T.test_a"].status == "error"


def test_subprocesses_of_tests_report_nothing(tmp_path: Path) -> None:
    body = """
import os, subprocess, sys, unittest
class T(unittest.TestCase):
    def test_a(self):
        self.assertFalse([k for k in os.environ if k.startswith("GREENROOM")])
        self.assertFalse([p for p in sys.path if p.endswith("plugins")])
"""
    parsed, code = run(tmp_path, {"test_env.py": body})
    assert code == 0, parsed
    assert parsed.ended
