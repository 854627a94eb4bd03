import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.formats.events import parse_events
from tasks.formats.parsed import test_id as shown_id
from tasks.task import Frame, TestResult


def lines(*events: dict[str, Any], session: int = 1) -> bytes:
    return "".join(json.dumps({"s": session, **event}) + "\n" for event in events).encode()


def ran(id: str, status: str = "passed", **more: Any) -> list[dict[str, Any]]:
    return [{"e": "run", "id": id}, {"e": "test", "id": id, "status": status, **more}]


def session(*ids: str, exit: int = 0, number: int = 1) -> bytes:
    events = [{"e": "start"}, {"e": "collected", "ids": list(ids)}]
    events += [event for id in ids for event in ran(id)]
    return lines(*events, {"e": "end", "exit": exit}, session=number)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RESULTS = st.builds(
    TestResult,
    id=TEXT,
    status=st.sampled_from(["passed", "failed", "error", "skipped", "xfailed", "xpassed"]),
    seconds=st.floats(0, 1000),
    message=TEXT,
    detail=TEXT,
    frames=st.lists(st.builds(Frame, TEXT, st.integers(0, 10_000), TEXT, TEXT), max_size=3).map(
        tuple
    ),
    file=st.none() | TEXT,
)


@given(st.lists(RESULTS, min_size=1, unique_by=lambda result: shown_id(result.id)))
def test_what_is_sent_is_read(results: list[TestResult]) -> None:
    events = [{"e": "start"}, {"e": "collected", "ids": [result.id for result in results]}]
    for result in results:
        frames = [[f.path, f.line, f.function, f.code] for f in result.frames]
        fields = {
            "seconds": result.seconds,
            "message": result.message,
            "detail": result.detail,
            "frames": frames,
            "file": result.file,
        }
        events += ran(result.id, result.status, **fields)
    parsed = parse_events(lines(*events, {"e": "end", "exit": 1}))
    assert parsed.ended
    assert list(parsed.results.values()) == [
        replace(result, id=shown_id(result.id)) for result in results
    ]


def test_an_id_is_one_line_whatever_it_says() -> None:
    forged = "a\nsolved (proved)\r\n"
    parsed = parse_events(lines({"e": "start"}, *ran(forged, "failed"), {"e": "end", "exit": 1}))
    assert list(parsed.results) == ["a\\nsolved (proved)\\r\\n"]


def test_sessions_that_share_the_pipe_are_told_apart() -> None:
    first, second = session("a", "b"), session("c", number=2, exit=5)
    woven = b"".join(
        line + b"\n"
        for pair in zip(first.splitlines(), second.splitlines() + [b""] * 9, strict=False)
        for line in pair
        if line
    )
    parsed = parse_events(woven)
    assert parsed.ended
    assert parsed.sessions == (0, 5)
    assert list(parsed.results) == ["a", "c", "b"] or set(parsed.results) == {"a", "b", "c"}


def test_a_session_without_its_end_names_the_test_that_ran() -> None:
    parsed = parse_events(b"\n".join(session("a", "b").splitlines()[:-2]) + b"\n")
    assert parsed.unfinished == ("b",)
    assert "while b was running" in parsed.reason
    assert parsed.results["b"].status == "error"


def test_collected_tests_that_did_not_run_are_counted() -> None:
    parsed = parse_events(
        lines(
            {"e": "start"},
            {"e": "collected", "ids": ["a", "b", "c"]},
            *ran("a"),
            {"e": "stop", "message": "stopping after 1 failures"},
            {"e": "end", "exit": 1},
        )
    )
    assert parsed.reason == "2 of 3 collected tests did not run (stopping after 1 failures)"


def test_lines_that_are_no_events_make_the_run_incomplete() -> None:
    parsed = parse_events(session("a") + b'{"e":"test","id":"b","stat')
    assert parsed.results.keys() == {"a"}
    assert "1 lines of the test events could not be read" in parsed.reason


def test_lone_surrogates_are_replaced() -> None:
    parsed = parse_events(b'{"e":"test","s":1,"id":"a\\ud800","status":"passed"}\n')
    (id,) = parsed.results
    id.encode("utf-8")


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        (("passed", "failed"), "failed"),
        (("failed", "passed"), "failed"),
        (("skipped", "passed"), "skipped"),
        (("passed", "skipped"), "skipped"),
        (("xfailed", "error", "passed"), "error"),
    ],
)
def test_no_second_result_betters_the_first(told: tuple[str, ...], counts: str) -> None:
    events = [event for status in told for event in ran("a", status)]
    parsed = parse_events(lines({"e": "start"}, *events, {"e": "end", "exit": 1}))
    assert parsed.results["a"].status == counts


def test_of_results_that_are_as_bad_the_first_counts() -> None:
    first, second = ran("a", "failed", message="first"), ran("a", "error", message="second")
    parsed = parse_events(lines({"e": "start"}, *first, *second, {"e": "end", "exit": 1}))
    assert parsed.results["a"].message == "first"
