import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.runner import run_tests, support_files
from tasks.tally import TestProgress
from tasks.task import Checks, TestReport

pytestmark = pytest.mark.docker

CALC = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "tests/test_calc.py": (
        "from calc import add\n"
        "def test_fails(): assert add(1, 2) == 3\n"
        "def test_passes(): assert add(0, 0) == 0\n"
    ),
}
PYTEST = Checks("python3 -m pytest -q", "pytest", timeout=60)


class OpenRoom(Protocol):
    def __call__(self, files: Mapping[str, str]) -> AbstractAsyncContextManager[Sandbox]: ...


@pytest.fixture
def room(image: Image, tmp_path: Path) -> OpenRoom:
    @asynccontextmanager
    async def open_room(files: Mapping[str, str]) -> AsyncIterator[Sandbox]:
        store = TreeStore.create(tmp_path / "store")
        tree = store.add_tree((path, FILE, text.encode()) for path, text in files.items())
        async with Sandbox.open(image, Base(store, tree), Policy(), support=support_files()) as box:
            yield box

    return open_room


def statuses(report: TestReport) -> dict[str, str]:
    return {id: result.status for id, result in report.results.items()}


async def test_how_a_run_stands_is_seen_while_it_runs(room: OpenRoom) -> None:
    stands: asyncio.Queue[TestProgress] = asyncio.Queue()
    waiting = {
        "test_waiting.py": (
            "import os, time\n"
            "def test_one(): assert False\n"
            "def test_two():\n"
            "    while not os.path.exists('go'): time.sleep(0.05)\n"
            "def test_three(): pass\n"
        )
    }
    async with room(waiting) as box:
        run = asyncio.create_task(run_tests(box, PYTEST, on_progress=stands.put_nowait))
        while (stand := await stands.get()).done == 0:
            assert not run.done()
        assert (stand.done, stand.failing, stand.total) == (1, 1, 3)
        assert stand.running == "test_waiting.py::test_two"
        await box.run(["touch", "go"])
        assert len((await run).results) == 3


async def test_pytest_reports_each_test(room: OpenRoom) -> None:
    seen: list[bytes] = []
    async with room(CALC) as box:
        report = await run_tests(box, PYTEST, on_output=seen.append)
        assert report.complete, report.reason
        assert statuses(report) == {
            "tests/test_calc.py::test_fails": "failed",
            "tests/test_calc.py::test_passes": "passed",
        }
        assert report.results["tests/test_calc.py::test_fails"].message.startswith("assert -1 == 3")
        assert report.exit_code == 1
        assert b"1 failed" in b"".join(seen)
        assert report.max_rss_bytes > 1 << 20
        await box.write("calc.py", b"def add(a, b):\n    return a + b\n")
        assert (await run_tests(box, PYTEST)).green


async def test_a_selection_and_a_trace(room: OpenRoom) -> None:
    id = "tests/test_calc.py::test_fails"
    async with room(CALC) as box:
        report = await run_tests(box, PYTEST, only=[id], trace=True)
    assert list(report.results) == [id]
    assert [(row.path, row.function, row.lines) for row in report.executed[id]] == [
        ("calc.py", "add", (2,))
    ]


async def test_commands_that_wrap_pytest_or_set_its_path(room: OpenRoom) -> None:
    files = CALC | {
        "Makefile": "test:\n\tPYTHONPATH=. pytest -q\n",
        "run.sh": "env PYTHONPATH=$PWD pytest -q tests && echo done\n",
    }
    async with room(files) as box:
        for command, framework in (
            ("PYTHONPATH=. pytest -q", "pytest"),
            ("make test", "make"),
            ("sh run.sh", "unknown"),
        ):
            report = await run_tests(box, Checks(command, framework))
            assert report.complete, (command, report)
            assert len(report.results) == 2, command


async def test_a_run_that_hangs_names_the_test(room: OpenRoom) -> None:
    files = {"test_a.py": "def test_fine(): pass\ndef test_hangs():\n    while True: pass\n"}
    async with room(files) as box:
        report = await run_tests(box, PYTEST, timeout=3)
    assert not report.complete
    assert report.reason == (
        "The tests did not end within 3 seconds; test_a.py::test_hangs was running."
    )
    assert statuses(report) == {"test_a.py::test_fine": "passed", "test_a.py::test_hangs": "error"}


async def test_an_early_exit_is_no_success(room: OpenRoom) -> None:
    files = {"test_a.py": "import os\ndef test_a(): os._exit(0)\ndef test_b(): assert 0\n"}
    async with room(files) as box:
        report = await run_tests(box, PYTEST)
    assert report.exit_code == 0
    assert not report.complete
    assert "while test_a.py::test_a was running" in report.reason


async def test_running_out_of_memory_is_named(room: OpenRoom) -> None:
    files = {"test_a.py": "def test_a():\n    blocks = [b'x' * (64 << 20) for _ in range(100)]\n"}
    async with room(files) as box:
        report = await run_tests(box, PYTEST)
    assert not report.complete
    assert "want of memory; test_a.py::test_a was running" in report.reason


async def test_keeping_going_overrides_the_projects_early_stops(room: OpenRoom) -> None:
    files = {
        "pytest.ini": "[pytest]\naddopts = -x\n",
        "test_a.py": "def test_a(): assert 0\ndef test_b(): pass\n",
        "test_broken.py": "import nowhere\n",
    }
    async with room(files) as box:
        stopped = await run_tests(box, PYTEST)
        whole = await run_tests(box, PYTEST, keep_going=True)
    assert "test_a.py::test_b" not in stopped.results
    assert whole.complete
    assert statuses(whole) == {
        "test_broken.py": "error",
        "test_a.py::test_a": "failed",
        "test_a.py::test_b": "passed",
    }


async def test_unittest_reports_each_test(room: OpenRoom) -> None:
    files = {
        "calc.py": CALC["calc.py"],
        "test_calc.py": (
            "import unittest\nfrom calc import add\n"
            "class Calc(unittest.TestCase):\n"
            "    def test_fails(self): self.assertEqual(add(1, 2), 3)\n"
            "    def test_passes(self): self.assertEqual(add(0, 0), 0)\n"
        ),
    }
    async with room(files) as box:
        checks = Checks("python3 -m unittest", "unittest")
        report = await run_tests(box, checks)
        selected = await run_tests(box, checks, only=["test_calc.Calc.test_passes"])
    assert report.complete
    assert statuses(report) == {
        "test_calc.Calc.test_fails": "failed",
        "test_calc.Calc.test_passes": "passed",
    }
    assert selected.green


async def test_other_programs_are_read_from_what_they_print_or_write(room: OpenRoom) -> None:
    files = {
        "tap.sh": "echo TAP version 13; echo ok 1 - a; echo not ok 2 - b; echo 1..2; exit 1\n",
        "junit.sh": (
            "mkdir -p build/test-results/test\n"
            "echo \"<testsuite><testcase classname='C' name='t'/></testsuite>\""
            " > build/test-results/test/TEST-C.xml\n"
        ),
        "build/test-results/test/TEST-old.xml": "<testsuite><testcase name='stale'/></testsuite>",
    }
    async with room(files) as box:
        tap = await run_tests(box, Checks("sh tap.sh", "node"))
        assert (tap.complete, statuses(tap)) == (True, {"a": "passed", "b": "failed"})
        junit = await run_tests(box, Checks("sh junit.sh", "gradle"))
        assert (junit.complete, statuses(junit)) == (True, {"C::t": "passed"})
        plain = await run_tests(box, Checks("echo fine", "unknown"))
        assert (plain.green, statuses(plain)) == (True, {"echo fine": "passed"})
