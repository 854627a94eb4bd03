"""When an attempt ends: where there is no work, and where a clean room's word is the last one."""

from agent.outcome import Status
from tasks.evidence import listed
from tasks.task import Task, TestReport, Verdict


class Stop(Exception):
    """Ends the attempt; carries the status and the reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason


def nothing_to_do(task: Task, named: tuple[str, ...] | None, report: TestReport) -> str:
    """Why there is no work, where the failing tests are all the work that there is; `named` are
    those that failed elsewhere, None where that is not what is asked."""
    if named is None and task.instruction.strip():
        return ""
    if report.green:
        return "all tests pass already"
    known = [id for id in named or () if id in report.results]
    if known and all(id in report.passed for id in known):
        return f"those that failed elsewhere pass here: {listed(known)}"
    return ""


def refused(verdict: Verdict, tried: int, tries: int | None) -> Stop | None:
    """The end that a verdict other than solved makes, None where the model may try again; it is
    the patch of number `tried`, of at most `tries`."""
    if verdict.status in ("tampered", "suspect"):
        # Never back to the model: told what gave it away, it would learn to hide it.
        return Stop("not solved", f"{verdict.status}: {verdict.reasons[0]}")
    if tries is not None and tried >= tries:
        told = " ".join(verdict.reasons)
        return Stop("not solved", f"the patch handed in is refused ({verdict.status}): {told}")
    return None
