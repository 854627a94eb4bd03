import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.suites.pytestids import UntoldError, told_ids

VALUES = [
    *([[1], 1], [[2], -2.5], [["x"], "a b"], [[{}], {}], [[3], None], [[4], True]),
    *([[5], "ünder [x]"], [[6], ""], [[7], "a\nb\t\x7f\\"], [[8], "x::y/z"], [[9], 1e300]),
]
SOURCE = """
import json, unittest
import pytest

CASES = [json.loads(line) for line in open("cases.json")]

@pytest.mark.parametrize("given, wanted", CASES)
def test_cases(given, wanted): pass

@pytest.mark.parametrize("one", ["a", "a", "b"])
@pytest.mark.parametrize("two", [1, [2]])
def test_both(one, two): pass

@pytest.mark.parametrize("one", ["a", "b"])
def test_skips_one(one):
    if one == "b":
        pytest.skip("not now")

def test_plain(): pass
def helper(): pass

@pytest.mark.skip
def test_later(): pass

def test_skips_itself():
    pytest.skip("never")

class TestAll:
    def test_inside(self): pass
    class TestDeeper:
        def test_inside(self): pass

class Old(unittest.TestCase):
    def test_old(self): pass
    def test_old(self): pass
    @unittest.expectedFailure
    def test_fails(self): self.fail()
    def setUp(self): pass
"""


def test_ids_are_those_of_the_tests_that_pass(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text("".join(f"{json.dumps(row)}\n" for row in VALUES))
    (tmp_path / "test_it.py").write_text(SOURCE)
    (tmp_path / "conftest.py").write_text(
        "def pytest_runtest_logreport(report):\n"
        "    if report.when == 'call' and report.passed:\n"
        "        open('passed', 'a').write(repr(report.nodeid) + '\\n')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    lines = (tmp_path / "passed").read_text().splitlines()
    found = told_ids("test_it.py", SOURCE, lambda name: VALUES if name == "CASES" else None)
    assert sorted(map(repr, found)) == sorted(lines)


def test_what_only_a_run_tells_is_said() -> None:
    for argument in ("range(3)", "[pytest.param(1, id='x')]", "CASES"):
        source = f"@pytest.mark.parametrize('n', {argument})\ndef test_it(n): pass\n"
        with pytest.raises(UntoldError, match="cases of test_it"):
            told_ids("test_it.py", source)
    with pytest.raises(UntoldError, match="no Python"):
        told_ids("test_it.py", "def test_it(:")


@given(st.text(), st.lists(st.one_of(st.integers(), st.text(), st.lists(st.none()))))
def test_any_text_gives_ids_or_says_why_not(text: str, cases: list[object]) -> None:
    for source in (text, f"class Test:\n    def test_{text}(): {text}\n"):
        try:
            ids = told_ids("t.py", source)
        except UntoldError:
            continue
        assert len(set(ids)) == len(ids)
    marked = "@pytest.mark.parametrize('n', CASES)\ndef test_it(n): pass\n"
    assert len(told_ids("t.py", marked, lambda _: cases)) == len(cases)
