"""The outcomes of attempts: the word, the class that colours it, and what it means."""

from agent.bench.record import Status
from agent.bench.report.markup import Markup, tag

MEANINGS: dict[Status, str] = {
    "solved": "a clean room proved the patch",
    "failed": "a clean room refused the patch",
    "invalid patch": "the patch must not be applied, or does not apply",
    "tampered": "the patch passes by what it does to the tests; not solved",
    "suspect": "what made the tests pass is not explained; not solved, to be reviewed",
    "no patch": "the attempt ended without a patch",
    "infrastructure failed": "something broke down; nothing is said about the patch",
    "unsupported": "the task cannot be run here",
}


def kind(status: Status) -> str:
    """The class of an outcome."""
    return status.replace(" ", "-").removesuffix("-failed")


def mark(status: Status) -> Markup:
    """The outcome as a sign alone; its word is there for a pointer and for a screen reader."""
    word = tag("span", status, class_="unseen")
    return tag("span", word, class_=f"badge mark {kind(status)}", title=status)


def badge(status: Status) -> Markup:
    return tag("span", status, class_=f"badge {kind(status)}")
