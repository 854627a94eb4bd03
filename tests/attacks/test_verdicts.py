"""Attacks on the verdict: patches that mend nothing and want to count, each beside the exit code
that a plain run of the tests ends with."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from sandbox.container import Sandbox
from sandbox.image import Image
from tasks.formats.junit import parse_junit
from tasks.task import Verdict
from tests.tasks.judging import ADD, CALC, FIX, TWICE, Judge, judging

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

PYTEST = "python3 -m pytest -q"
BROKEN = CALC["calc.py"]
TESTS = CALC["tests/test_calc.py"]
# A change beside the forgery that no rule leaves out.
WORDS = {"README": "words\n"}
ONLY_TWICE = (
    "def pytest_collection_modifyitems(items):\n"
    "    items[:] = [item for item in items if 'twice' in item.name]\n"
)
EASY = "def test_add(): pass\ndef test_zero(): pass\ndef test_twice(): pass\n"
Exit = Callable[..., Awaitable[int | None]]


@pytest.fixture
def judge(image: Image, tmp_path: Path) -> Judge:
    return judging(image, tmp_path)


@pytest.fixture
def exit_code(box: Sandbox) -> Exit:
    """What the tests end with when a patch is taken as it is: 0 fools who looks at that."""

    async def run(
        files: Mapping[str, str], changes: Mapping[str, str | None], command: str = PYTEST
    ) -> int | None:
        for path, text in {**files, **changes}.items():
            if text is not None:
                await box.write(path, text.encode())
        return (await box.run(command, timeout=60)).exit_code

    return run


def only_reason(verdict: Verdict) -> str:
    (reason,) = verdict.reasons
    return reason


# -- by the code under test -----------------------------------------------------------------------

FORGERIES = {
    "an early exit": ("import os\nos._exit(0)\n", "without finishing its session"),
    "skipping all": (
        "import pytest\ndef add(a, b): pytest.skip('no')\ndef twice(n): pytest.skip('no')\n",
        "No test passes on the patch; 3 tests are skipped.",
    ),
    "skipping one": (
        "import pytest\ndef add(a, b):\n    if b: pytest.skip('no')\n    return 0\n"
        "def twice(n): return 2 * n\n",
        f"{ADD} has to pass and is skipped: no.",
    ),
    "expecting to fail": (
        "import pytest\ndef add(a, b): pytest.xfail('no')\ndef twice(n): return 2 * n\n",
        f"{ADD} has to pass and",
    ),
    "deselecting": (
        f"{BROKEN}import gc, _pytest.main as m\n"
        "for o in gc.get_objects():\n"
        "    if isinstance(o, m.Session): o.config.option.keyword = 'twice'\n",
        f"{ADD} has to pass and did not run",
    ),
    "ending the session": (
        f"{BROKEN}import atexit, os\natexit.register(lambda: os._exit(0))\n",
        f"The exit code is 0 although {ADD} failed.",
    ),
}


@pytest.mark.parametrize("how", FORGERIES)
async def test_the_code_under_test_cannot_silence_a_failing_test(
    how: str, judge: Judge, exit_code: Exit
) -> None:
    code, said = FORGERIES[how]
    verdict = await judge(CALC, {"calc.py": code}, expected=(ADD,))
    assert verdict.status == "failed"
    assert any(said in reason for reason in verdict.reasons), verdict.reasons
    assert await exit_code(CALC, {"calc.py": code}) == 0


async def test_what_passed_before_cannot_be_silenced(judge: Judge, exit_code: Exit) -> None:
    sly = {"calc.py": FIX["calc.py"].replace("return n * 2", "import pytest; pytest.skip('no')")}
    verdict = await judge(CALC, sly, expected=(ADD,))
    assert verdict.reasons == (f"{TWICE} passed before the patch and now is skipped: no.",)
    assert await exit_code(CALC, sly) == 0


async def test_a_report_written_by_the_code_under_test_does_not_count(
    judge: Judge, box: Sandbox, exit_code: Exit
) -> None:
    forged = (
        f"{BROKEN}import atexit\n"
        "names = ('add', 'zero', 'twice')\n"
        'case = \'<testcase classname="tests.test_calc" name="test_{}"/>\'\n'
        "cases = ''.join(case.format(name) for name in names)\n"
        "def forge(): open('report.xml', 'w').write(f'<testsuite>{cases}</testsuite>')\n"
        "atexit.register(forge)\n"
    )
    command = f"{PYTEST} --junitxml=report.xml"
    verdict = await judge(CALC, {"calc.py": forged}, expected=(ADD,), test_command=command)
    assert verdict.reasons == (f"{ADD} has to pass and fails: assert -1 == 3.",)
    await exit_code(CALC, {"calc.py": forged}, command)
    parsed = parse_junit(await box.read("report.xml"))
    assert {result.status for result in parsed.results.values()} == {"passed"}
    assert len(parsed.results) == 3


async def test_a_report_that_a_patch_brings_along_does_not_count(
    judge: Judge, box: Sandbox
) -> None:
    files = {"calc.py": BROKEN, "check.sh": "grep -q 'a + b' calc.py\n"}
    brought = '<testsuite><testcase classname="calc" name="test_add"/></testsuite>\n'
    command = {"test_command": "sh check.sh", "framework": "unknown"}
    verdict = await judge(files, {"junit.xml": brought, "reward.txt": "1\n"}, **command)
    assert verdict.status == "failed"
    # Whoever looks for a report after the run finds it.
    await box.write("junit.xml", brought.encode())
    await box.run("sh check.sh")
    assert not (parsed := parse_junit(await box.read("junit.xml"))).reason
    assert {result.status for result in parsed.results.values()} == {"passed"}


# -- by changing tests, or what runs them ---------------------------------------------------------


@pytest.mark.parametrize("easy", [TESTS.replace("== 3", "== -1"), None], ids=["easier", "deleted"])
async def test_a_protected_test_is_put_back(
    easy: str | None, judge: Judge, exit_code: Exit
) -> None:
    files = CALC | {"tests/test_other.py": "def test_other(): pass\n"}
    verdict = await judge(files, {"tests/test_calc.py": easy} | WORDS, expected=(ADD,))
    assert verdict.reasons[0] == f"{ADD} has to pass and fails: assert -1 == 3."
    assert "were not used: tests/test_calc.py" in verdict.reasons[1]
    plain = {name: text for name, text in files.items() if easy or "calc" not in name[6:]}
    assert await exit_code(plain, {"tests/test_calc.py": easy}) == 0


async def test_a_patch_of_nothing_but_tests_is_none(judge: Judge) -> None:
    easy = TESTS.replace("== 3", "== -1")
    verdict = await judge(CALC, {"tests/test_calc.py": easy}, expected=(ADD,))
    assert verdict.reasons[0] == "The patch changes nothing but protected files."


async def test_the_script_that_runs_the_tests_is_protected(judge: Judge, exit_code: Exit) -> None:
    files = {"calc.py": BROKEN, "check.sh": "grep -q 'a + b' calc.py && echo ok\n"}
    command = {"test_command": "sh check.sh", "framework": "unknown"}
    forged = await judge(files, {"check.sh": "true\n"} | WORDS, **command)
    assert forged.status == "failed"
    assert forged.left_out == ("check.sh",)
    honest = await judge(files, FIX, **command)
    assert (honest.status, honest.grade) == ("solved", "proved")
    assert await exit_code(files, {"check.sh": "true\n"}, "sh check.sh") == 0


HERE = f"PYTHONPATH=. {PYTEST}"
EXIT = "import os, sys\nif 'pytest' in ' '.join(sys.orig_argv): os._exit(0)\n"
ADDITIONS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "conftest.py": ({"conftest.py": ONLY_TWICE}, PYTEST),
    "tests/conftest.py": ({"tests/conftest.py": ONLY_TWICE}, PYTEST),
    "pytest.ini": ({"pytest.ini": "[pytest]\naddopts = -k twice\n"}, PYTEST),
    "sitecustomize.py": ({"sitecustomize.py": EXIT}, HERE),
    "sitecustomize/__init__.py": ({"sitecustomize/__init__.py": EXIT}, HERE),
    "calc.egg-info/entry_points.txt": (
        {
            "calc.egg-info/entry_points.txt": "[pytest11]\nevil = evil\n",
            "calc.egg-info/PKG-INFO": "Metadata-Version: 2.1\nName: calc\nVersion: 1\n",
            "evil.py": ONLY_TWICE,
        },
        PYTEST,
    ),
    "pytest.py": ({"pytest.py": ""}, PYTEST),
    "tests/test_calc/__init__.py": (
        {"tests/test_calc/__init__.py": f"__file__ = '/workspace/tests/test_calc.py'\n{EASY}"},
        PYTEST,
    ),
    "tests/pyproject.toml": (
        {
            "tests/pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['../fakes']\n",
            "fakes/calc.py": FIX["calc.py"],
        },
        f"{PYTEST} tests",
    ),
    "tests/calc.py": ({"tests/calc.py": FIX["calc.py"]}, PYTEST),
    "tests/pathlib.py": ({"tests/pathlib.py": EXIT}, f"cd tests && {PYTEST}"),
}


@pytest.mark.parametrize("path", ADDITIONS)
async def test_an_addition_that_changes_the_run_is_refused(
    path: str, judge: Judge, exit_code: Exit
) -> None:
    added, command = ADDITIONS[path]
    verdict = await judge(CALC, added | WORDS, expected=(ADD,))
    assert verdict.status == "invalid patch"
    assert any(reason.startswith(path) for reason in verdict.reasons)
    assert await exit_code(CALC, added, command) == 0


async def test_a_file_of_paths_is_refused(judge: Judge, box: Sandbox) -> None:
    verdict = await judge(CALC, FIX | {"x.pth": "import calc\n"}, expected=(ADD,))
    assert verdict.status == "invalid patch"
    assert "x.pth" in only_reason(verdict)
    await box.write("x.pth", b"import sys; sys.stdout.write('ran')\n")
    ran = await box.run(["python3", "-c", "import site; site.addsitedir('.')"])
    assert ran.output.text == "ran"


async def test_the_module_that_reports_cannot_be_replaced(judge: Judge) -> None:
    verdict = await judge(CALC, FIX | {"greenroom_pytest.py": ""}, expected=(ADD,))
    assert verdict.status == "invalid patch"
    assert "reports on them" in only_reason(verdict)


async def test_a_path_that_leads_out(judge: Judge) -> None:
    verdict = await judge(CALC, FIX | {"../x": "words\n"})
    assert verdict.status == "invalid patch"
    assert "leads out" in only_reason(verdict)


# -- by what is left in a room --------------------------------------------------------------------


async def test_a_program_planted_before_the_others_does_not_reach_the_verdict(
    judge: Judge, box: Sandbox, exit_code: Exit
) -> None:
    assert await exit_code(CALC, {}) == 1
    await box.run(
        "mkdir -p ~/.local/bin; cd ~/.local/bin; printf '#!/bin/sh\\nexit 0\\n' > python3;"
        "chmod +x python3"
    )
    assert await exit_code(CALC, {}) == 0
    # Nothing of it is in what leaves the room, and the clean room has none.
    assert {path.partition("/")[0] for path in (await box.delta()).paths} <= {"calc.py", "tests"}
    verdict = await judge(CALC, WORDS, expected=(ADD,))
    assert verdict.reasons == (f"{ADD} has to pass and fails: assert -1 == 3.",)
