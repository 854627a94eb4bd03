import subprocess
import sys
from pathlib import Path

from tasks.formats.unittest_text import parse_unittest

TESTS = '''
import unittest

class Calc(unittest.TestCase):
    def test_passes(self):
        """A first line that unittest prints instead of the name."""
    def test_fails(self):
        print("noise on standard output")
        self.assertEqual(1 + 1, 3)
    def test_breaks(self): {}["key"]
    @unittest.skip("it's later")
    def test_skipped(self): pass
    @unittest.expectedFailure
    def test_known(self): self.fail()
    @unittest.expectedFailure
    def test_surprise(self): pass
'''


def run(folder: Path, *arguments: str) -> bytes:
    (folder / "test_calc.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "unittest", *arguments],
        cwd=folder,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout


def test_a_verbose_run(tmp_path: Path) -> None:
    parsed = parse_unittest(run(tmp_path, "-v"))
    assert parsed.ended
    assert {id: (r.status, r.message) for id, r in parsed.results.items()} == {
        "test_calc.Calc.test_breaks": ("error", "KeyError: 'key'"),
        "test_calc.Calc.test_fails": ("failed", "AssertionError: 2 != 3"),
        "test_calc.Calc.test_known": ("xfailed", ""),
        "test_calc.Calc.test_passes": ("passed", ""),
        "test_calc.Calc.test_skipped": ("skipped", "it's later"),
        "test_calc.Calc.test_surprise": ("failed", ""),
    }


def test_frames_are_those_of_the_workspace(tmp_path: Path) -> None:
    text = run(tmp_path, "-v").replace(str(tmp_path).encode(), b"/workspace")
    frames = parse_unittest(text).results["test_calc.Calc.test_fails"].frames
    assert [(f.path, f.line, f.function, f.code) for f in frames] == [
        ("test_calc.py", 9, "test_fails", "self.assertEqual(1 + 1, 3)")
    ]


def test_a_run_that_prints_dots_only_is_not_complete(tmp_path: Path) -> None:
    parsed = parse_unittest(run(tmp_path))
    assert not parsed.ended
    assert not parsed.results


def test_a_module_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nowhere_to_be_found\n")
    parsed = parse_unittest(run(tmp_path, "-v"))
    assert parsed.results["unittest.loader._FailedTest.test_broken"].status == "error"
    assert "nowhere_to_be_found" in (
        parsed.results["unittest.loader._FailedTest.test_broken"].message
    )


def test_names_without_the_test_as_before_python_3_11() -> None:
    text = b"test_a (m.T) ... ok\n\n" + b"-" * 70 + b"\nRan 1 test in 0.001s\n\nOK\n"
    assert list(parse_unittest(text).results) == ["m.T.test_a"]
