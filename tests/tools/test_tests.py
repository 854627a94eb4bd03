import pytest

from tasks.task import Frame, TestReport, TestResult
from tools.tests import report_text


def result(id: str, status: str = "failed", **more) -> TestResult:
    return TestResult(id, status, **more)


def report(*results: TestResult, **more) -> TestReport:
    settings = {"complete": True, "command": "pytest", "framework": "pytest", "seconds": 1.25}
    return TestReport({one.id: one for one in results}, **(settings | more))


def test_a_green_run_is_one_line():
    text = report_text(report(result("t::a", "passed"), result("t::b", "skipped")), 10_000)
    assert text == "1 passed, 1 skipped in 1.2 s (`pytest`). All passed."


def test_a_failing_test_shows_its_message_and_innermost_frames():
    frames = tuple(Frame("a.py", number, f"f{number}", f"  g({number})") for number in range(9))
    failing = result("t::a", message="assert 1 == 2", detail="long story", frames=frames)
    text = report_text(report(failing, result("t::b", "error", message="boom")), 10_000)
    assert "1 failed, 1 error" in text
    assert "FAILED t::a\n  assert 1 == 2" in text
    assert "at a.py:8 in f8: g(8)" in text
    assert "f3" not in text
    assert "ERROR t::b\n  boom" in text
    assert "long story" not in text


def test_a_single_failure_is_told_in_full():
    text = report_text(report(result("t::a", message="assert", detail="the long story")), 10_000)
    assert "the long story" in text


def test_a_file_that_cannot_be_collected_is_told_once():
    error = "t.py could not be collected: no module x"
    broken = report(result("t.py", "error", message="no module x"), errors=(error,))
    text = report_text(broken, 10_000)
    assert text.count("no module x") == 1


def test_many_failures_stay_within_the_limit_and_the_rest_are_listed():
    many = [result(f"t::n{number}", message="x" * 3000) for number in range(300)]
    text = report_text(report(*many), 5_000)
    assert len(text) < 6_500
    assert "300 failed" in text
    assert "more failing tests:" in text
    assert "and " in text


def test_what_changed_since_the_run_before_is_said():
    before = report(result("t::a"), result("t::b", "passed"))
    after = report(result("t::a", "passed"), result("t::b", message="m"))
    text = report_text(after, 10_000, before=before)
    assert "Passing now: t::a" in text
    assert "Failing now, not before: t::b" in text
    assert "The same tests fail" in report_text(before, 10_000, before=before)


def test_a_run_that_did_not_start_shows_its_errors_and_output():
    text = report_text(
        report(
            complete=False, errors=("cannot import shop",), reason="no test ran", output="Trace"
        ),
        10_000,
    )
    assert text.startswith("No test was run in 1.2 s")
    assert "not complete: no test ran" in text
    assert "ERROR: cannot import shop" in text
    assert "Trace" in text


IDS = ("tests/test_cart.py::test_empty", "tests/test_cart.py::test_sum")
pytest_docker = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


def docker(test):
    for mark in pytest_docker:
        test = mark(test)
    return test


@docker
async def test_the_tests_are_run_and_the_report_is_kept(desk):
    result = await desk.call("run_tests")
    assert result.ok
    assert "1 passed, 1 failed" in result.text
    assert "FAILED tests/test_cart.py::test_sum" in result.text
    assert "assert -3 == 3" in result.text
    assert desk.context.last_report is result.data["report"]


@docker
async def test_a_fix_is_told_as_passing_now(desk):
    desk.context.last_report = report(result(IDS[1]))
    await desk.call("edit_file", path="shop/cart.py", old_text="-=", new_text="+=")
    text = (await desk.call("run_tests")).text
    assert "All passed." in text
    assert "Passing now: tests/test_cart.py::test_sum" in text


@docker
async def test_a_selection_is_run_alone_and_not_kept(desk):
    desk.context.last_report = known = report(*(result(id) for id in IDS))
    chosen = await desk.call("run_tests", tests="test_empty")
    assert "1 passed in" in chosen.text
    assert "FAILED" not in chosen.text
    whole = await desk.call("run_tests", tests=["tests/test_cart.py"])
    assert "1 passed, 1 failed" in whole.text
    assert desk.context.last_report is known


@docker
async def test_a_test_that_was_just_added_can_be_run_and_an_unknown_one_is_named(desk):
    desk.context.last_report = report(*(result(id) for id in IDS))
    await desk.call("write_file", path="tests/test_new.py", content="def test_it():\n    pass\n")
    wanted = ["tests/test_new.py::test_it", "tests/test_cart.py::test_sun"]
    text = (await desk.call("run_tests", tests=wanted)).text
    assert "1 passed" in text
    assert "No test tests/test_cart.py::test_sun was run" in text
    assert "The nearest known: tests/test_cart.py::test_sum" in text


@docker
async def test_code_that_cannot_be_imported_is_told(desk):
    await desk.call("write_file", path="shop/cart.py", content="import nothing_of_that_name\n")
    text = (await desk.call("run_tests")).text
    assert "nothing_of_that_name" in text
    assert "not complete" in text or "ERROR" in text
