from tasks.compare import compare, described, failed_in, uncollected
from tasks.task import Status, TestReport, TestResult


def report(
    framework: str = "pytest", errors: tuple[str, ...] = (), **statuses: Status
) -> TestReport:
    results = {id: TestResult(id, status) for id, status in statuses.items()}
    return TestReport(results, True, "pytest", framework, errors)


def test_every_change_has_its_place() -> None:
    before = report(
        fixed="failed", broken="passed", same="failed", fine="passed", hushed="passed",
        gone="passed", known="xfailed",
    )  # fmt: skip
    after = report(
        fixed="passed", broken="error", same="failed", fine="xpassed", hushed="skipped",
        added="passed", new_and_bad="failed", known="failed",
    )  # fmt: skip
    found = compare(before, after)
    assert found.newly_passing == ("fixed", "added")
    assert found.newly_failing == ("broken", "new_and_bad", "known")
    assert found.still_failing == ("same",)
    assert found.silenced == ("hushed",)
    assert found.missing == ("gone",)
    assert found.lost == ("broken", "new_and_bad", "known", "hushed", "gone")


def test_a_test_of_a_file_that_cannot_be_collected_does_not_pass() -> None:
    results = {"tests/test_a.py": TestResult("tests/test_a.py", "error")}
    broken = TestReport(results, True, "pytest", "pytest", ("tests/test_a.py ...",))
    assert failed_in(broken, "tests/test_a.py::test_x[a::b]")
    assert not failed_in(broken, "tests/test_b.py::test_x")


def test_a_test_of_a_module_that_cannot_be_imported_does_not_pass() -> None:
    broken = TestReport({"tests.a": TestResult("tests.a", "error")}, True, "c", "unittest")
    assert uncollected(broken, "tests.a.Case.test_x")
    assert not uncollected(broken, "tests.ab.Case.test_x")


def test_without_a_build_no_test_passes() -> None:
    assert failed_in(report("cargo", ("error[E0425]: ...",)), "src/lib.rs::tests::adds")
    assert not failed_in(report("cargo"), "src/lib.rs::tests::adds")


def test_an_ended_test_is_described_by_its_first_line() -> None:
    assert described(TestResult("a", "failed", message="\nassert 1 == 2\n + more")) == (
        "fails: assert 1 == 2"
    )
    syntax = '  File "calc.py", line 1\n    def (\n        ^\nSyntaxError: invalid syntax'
    assert described(TestResult("a", "error", message=syntax)) == (
        "ends in an error: SyntaxError: invalid syntax"
    )
    assert described(TestResult("a", "skipped")) == "is skipped"
    assert described(None) == "did not run"
