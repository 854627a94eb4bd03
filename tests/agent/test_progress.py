from agent.conversation import ToolCall
from agent.progress import Progress
from tasks.task import TestReport, TestResult


def report(*failing: str, passing: int = 1, message: str = "") -> TestReport:
    results = {id: TestResult(id, "failed", message=message) for id in failing}
    results |= {f"p{n}": TestResult(f"p{n}", "passed") for n in range(passing)}
    return TestReport(results, complete=True, command="pytest", framework="pytest")


def call(arguments: str = "{}") -> ToolCall:
    return ToolCall("c", "read_file", arguments)


def test_the_best_state_has_the_fewest_failures() -> None:
    progress = Progress(report("a", "b"), "base")
    progress.tested(report("a"), "one")
    progress.tested(report("a", "b"), "two")
    assert progress.best.tree == "one"


def test_breaking_another_test_is_worse_than_not_mending_one() -> None:
    progress = Progress(report("a"), "base")
    progress.tested(report("new"), "one")
    assert progress.best.tree == "base"


def test_a_run_that_breaks_is_worse_than_any_failure() -> None:
    broken = TestReport({}, False, "pytest", "pytest", errors=("SyntaxError",))
    progress = Progress(broken, "base")
    progress.tested(report("a", "b"), "one")
    assert progress.best.tree == "one"


def test_the_same_failure_is_counted() -> None:
    progress = Progress(report("a"), "base")
    assert [progress.tested(report("a"), f"t{n}").repeats for n in range(3)] == [2, 3, 4]
    assert progress.tested(report("a", message="other"), "t9").repeats == 1


def test_the_same_failure_too_often_starts_anew() -> None:
    progress = Progress(report("a"), "base")
    steps = [progress.tested(report("a"), f"t{n}").step for n in range(4)]
    assert steps == ["go on", "go on", "go on", "restart"]


def test_a_state_that_comes_back_is_told_then_starts_anew() -> None:
    progress = Progress(report("a"), "base")
    progress.tested(report("a", "b"), "one")
    assert progress.tested(report("a"), "base").step == "tell"
    assert progress.tested(report("a", "b"), "one").step == "restart"


def test_the_same_call_again_and_again_is_a_circle() -> None:
    progress = Progress(report("a"), "base")
    assert [progress.called([call()]).step for _ in range(3)] == ["go on", "go on", "tell"]
    assert progress.called([call('{"path": "b"}')]).step == "go on"


def test_after_a_change_the_same_call_may_say_something_else() -> None:
    progress = Progress(report("a"), "base")
    for _ in range(5):
        assert progress.called([call()]).step == "go on"
        progress.changed()


def test_restarts_come_to_an_end() -> None:
    progress = Progress(report("a"), "base")
    steps = [progress.tested(report("a"), f"t{n}").step for n in range(30)]
    assert steps.count("restart") == 2
    assert "stop" in steps
