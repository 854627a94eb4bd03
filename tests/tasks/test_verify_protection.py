"""What a patch may not touch or bring, however it is named: judged in real rooms."""

import pytest

from tests.tasks.judging import ADD, CALC, FIX, TWICE, Judge

pytestmark = pytest.mark.docker

NO_FIX = {"README": "words\n"}


async def test_the_files_of_the_tests_are_protected_whatever_their_names(judge: Judge) -> None:
    files = {
        "calc.py": CALC["calc.py"],
        "pyproject.toml": '[tool.pytest.ini_options]\npython_files = ["check_*.py"]\n',
        "checks/check_calc.py": CALC["tests/test_calc.py"],
    }
    easy = CALC["tests/test_calc.py"].replace("== 3", "== -1")
    verdict = await judge(files, {"checks/check_calc.py": easy} | NO_FIX)
    assert verdict.left_out == ("checks/check_calc.py",)
    assert verdict.grade == "regression-only"


DOCTESTED = CALC | {
    "calc.py": CALC["calc.py"].replace(
        "    return a - b", '    """\n    >>> add(1, 2)\n    3\n    """\n    return a - b'
    )
}
DOCTESTS = {"test_command": "python3 -m pytest --doctest-modules", "framework": "pytest"}


async def test_code_with_tests_in_its_docstrings_can_be_mended(judge: Judge) -> None:
    fix = {"calc.py": DOCTESTED["calc.py"].replace("a - b", "a + b")}
    verdict = await judge(DOCTESTED, fix, **DOCTESTS)
    assert (verdict.status, verdict.grade, verdict.left_out) == ("solved", "proved", ())
    assert verdict.report is not None
    assert "calc.py::calc.add" in verdict.report.passed


async def test_a_docstring_s_test_that_a_patch_rewrites_proves_nothing(judge: Judge) -> None:
    files = {"calc.py": DOCTESTED["calc.py"], "tests/test_calc.py": "def test_it(): pass\n"}
    easy = {"calc.py": files["calc.py"].replace("    3\n", "    -1\n")}
    verdict = await judge(files, easy, **DOCTESTS)
    assert (verdict.status, verdict.grade) == ("solved", "regression-only")


async def test_a_test_of_nodes_own_runner_is_protected_by_its_name(judge: Judge) -> None:
    files = {"src/math.js": "x\n", "src/math_test.js": "grep -q y src/math.js\n"}
    command = {"test_command": "sh src/math_test.js", "framework": "node"}
    verdict = await judge(files, {"src/math_test.js": "true\n"}, **command)
    assert verdict.reasons[0] == "The patch changes nothing but protected files."


async def test_lint_is_run_where_no_test_was(judge: Judge) -> None:
    lint = "sh tidy.sh"
    files = CALC | {"tidy.sh": "! grep tab calc.py\n"}
    sly = FIX["calc.py"] + "# tab\nopen('tidy.sh', 'w').write('true')\n"
    verdict = await judge(files, {"calc.py": sly}, lint_command=lint)
    assert verdict.status == "failed"
    assert "The lint command `sh tidy.sh` fails on the patch: # tab" in verdict.reasons[0]


async def test_a_program_for_lint_is_protected(judge: Judge) -> None:
    files = CALC | {"tidy.sh": "! grep tab calc.py\n"}
    untidy = {"calc.py": FIX["calc.py"] + "# tab\n", "tidy.sh": "true\n"}
    verdict = await judge(files, untidy, lint_command="sh tidy.sh")
    assert verdict.status == "failed"


class TestAsAWhole:
    """A patch whose own changes to tests are judged as well."""

    async def test_tests_that_pass_as_they_are_changed(self, judge: Judge) -> None:
        more = CALC["tests/test_calc.py"] + "def test_more(): assert add(5, 5) == 10\n"
        patch = FIX | {"tests/test_calc.py": more}
        verdict = await judge(CALC, patch, as_a_whole=True)
        assert (verdict.status, verdict.grade, verdict.left_out) == ("solved", "proved", ())

    async def test_a_test_that_is_gone_is_no_part_of_the_proof(self, judge: Judge) -> None:
        fewer = CALC["tests/test_calc.py"].replace("def test_twice(): assert twice(4) == 8\n", "")
        verdict = await judge(CALC, FIX | {"tests/test_calc.py": fewer}, as_a_whole=True)
        assert verdict.solved
        assert verdict.left_out == ("tests/test_calc.py",)
        assert f"{TWICE} passed before the patch and now did not run" in verdict.reasons[-1]

    async def test_a_failing_test_that_was_made_easier_is_no_part_of_the_proof(
        self, judge: Judge
    ) -> None:
        easy = CALC["tests/test_calc.py"].replace("== 3", "== -1")
        verdict = await judge(CALC, {"tests/test_calc.py": easy} | NO_FIX, as_a_whole=True)
        assert verdict.left_out == ("tests/test_calc.py",)
        assert f"{ADD} passes only because the patch changes the test" in verdict.reasons[-1]

    async def test_what_no_test_can_judge_stays_left_out(self, judge: Judge) -> None:
        files = CALC | {".github/workflows/ci.yml": "on: push\n"}
        more = CALC["tests/test_calc.py"] + "def test_more(): assert add(5, 5) == 10\n"
        changes = {".github/workflows/ci.yml": "on: x\n", "tests/test_calc.py": more}
        verdict = await judge(files, FIX | changes, as_a_whole=True)
        assert verdict.solved
        assert verdict.left_out == (".github/workflows/ci.yml",)
