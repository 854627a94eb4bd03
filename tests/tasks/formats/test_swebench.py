import pytest

from sandbox.errors import UsageError
from tasks.formats.parsed import Parsed
from tasks.formats.swebench import log_parser, parse_log, renamed
from tasks.task import Status, TestResult

DJANGO = """\
test_one (admin.tests.SiteTests) ... ok
test_two (admin.tests.SiteTests) ... FAIL
test_three (admin.tests.SiteTests) ... skipped 'no'
"""


def parsed(**statuses: Status) -> Parsed:
    return Parsed({id: TestResult(id, status) for id, status in statuses.items()})


def many(*results: tuple[str, Status]) -> Parsed:
    return Parsed({id: TestResult(id, status) for id, status in results})


def test_a_log_without_events_is_read_by_the_suites_own_parser() -> None:
    found = parse_log("swebench:parse_log_django", DJANGO)
    assert {id: result.status for id, result in found.results.items()} == {
        "test_one (admin.tests.SiteTests)": "passed",
        "test_two (admin.tests.SiteTests)": "failed",
        "test_three (admin.tests.SiteTests)": "skipped",
    }


def test_an_id_is_cut_as_the_suite_cuts_it() -> None:
    found = renamed(many(("a.py::t[one two]", "passed")), "swebench:parse_log_pytest", "")
    assert list(found.results) == ["a.py::t[one"]


@pytest.mark.parametrize("order", [("passed", "failed"), ("failed", "passed")])
def test_of_several_with_one_id_the_worst_counts(order: tuple[Status, Status]) -> None:
    results = many(("a.py::t[x 1]", order[0]), ("a.py::t[x 2]", order[1]))
    found = renamed(results, "swebench:parse_log_pytest", "")
    assert found.results["a.py::t[x"].status == "failed"


def test_paths_in_ids_are_shortened_where_the_suite_shortens_them() -> None:
    found = renamed(many(("t.py::t[/tmp/a/b]", "passed")), "swebench:parse_log_requests", "")
    assert list(found.results) == ["t.py::t[/b]"]


def test_a_log_that_contradicts_the_events_makes_the_run_incomplete() -> None:
    found = renamed(many(("a::b", "passed")), "swebench:parse_log_pytest", "FAILED a::b - no\n")
    assert not found.ended
    assert "the log says that a::b failed" in found.reason


def test_an_unknown_parser_is_named() -> None:
    with pytest.raises(UsageError, match="no log parser 'parse_log_nothing'"):
        log_parser("swebench:parse_log_nothing")


def test_only_the_parsers_are_imported() -> None:
    import sys

    log_parser("parse_log_pytest")
    assert "swebench.harness" not in sys.modules or hasattr(
        sys.modules["swebench.harness"], "grading"
    )
    assert "modal" not in sys.modules
