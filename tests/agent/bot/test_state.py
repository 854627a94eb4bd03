from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bot import state
from agent.bot.forge import Comment
from agent.bot.state import LONGEST, Asked, State
from agent.bot.trigger import Actor, Place, Trigger

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
TRIGGER = Trigger("comment:9", "fix", "comment", Actor("ada", 1), "2026-01-02T11:59:00Z")


def comment(body: str, author: str = "bot", id: int = 1) -> Comment:
    return Comment(id, Place(7), author, body, NOW)


asked = st.builds(Asked, st.text(), st.text(), st.text(), st.text(), st.booleans())


@given(st.builds(State, st.lists(asked).map(tuple), st.text(), st.text(), st.booleans()), st.text())
def test_what_a_comment_keeps_is_read_as_it_was_written(kept: State, text: str) -> None:
    assert state.read(comment(state.body(kept, text)), "bot") == kept


@given(st.text())
def test_any_other_text_keeps_nothing(text: str) -> None:
    assert state.read(comment(text), "bot") is None


@pytest.mark.parametrize("inner", ["AAAA", "W10=", "e30=", "eyJhc2tlZCI6MX0=", "====", "bnVsbA=="])
def test_a_damaged_marker_keeps_nothing(inner: str) -> None:
    assert state.read(comment(f"<!-- greenroom:1 {inner} -->\n"), "bot") is None


def test_a_marker_counts_only_in_a_comment_of_the_bots_and_at_its_beginning() -> None:
    body = state.body(State(), "text")
    assert state.read(comment(body, author="mallory"), "bot") is None
    assert state.read(comment(f"> {body}"), "bot") is None
    assert state.read(comment(f"quoted:\n{body}"), "bot") is None


def test_a_request_is_known_and_at_work_until_it_ended() -> None:
    kept = State().with_trigger(TRIGGER, NOW)
    assert kept.knows(TRIGGER)
    assert kept.busy(NOW)
    assert not kept.busy(NOW + LONGEST)
    ended = kept.ended(TRIGGER.key, "c0ffee")
    assert ended.knows(TRIGGER)
    assert not ended.busy(NOW)
    assert ended.commit == "c0ffee"
    assert kept.ended("another").busy(NOW)


def test_what_was_asked_later_overtakes() -> None:
    later = replace(TRIGGER, key="comment:10", at="2026-01-02T11:59:30Z")
    kept = State().with_trigger(later, NOW)
    assert kept.overtaken(TRIGGER)
    assert not kept.overtaken(later)
    assert State(stopped="2026-01-02T12:00:00+01:00").overtaken(TRIGGER) is False
    assert State(stopped="2026-01-02T13:00:00+01:00").overtaken(TRIGGER)


def test_a_stop_stops_what_was_asked_before_it() -> None:
    assert State(stopped="2026-01-02T11:59:01Z").stops(TRIGGER)
    assert not State(stopped="2026-01-02T11:58:59Z").stops(TRIGGER)
    assert not State().stops(TRIGGER)


def test_only_what_was_begun_since_then_is_counted() -> None:
    kept = State().with_trigger(TRIGGER, NOW - timedelta(days=2)).with_trigger(TRIGGER, NOW)
    assert len(kept.since(NOW - timedelta(days=1))) == 1


def test_the_first_comment_that_is_no_claim_keeps_the_state() -> None:
    claim = state.body(State(claim=True), "")
    kept = state.body(State(commit="c0ffee"), "")
    found = state.latest([comment(kept, id=3), comment(claim, id=1), comment("hello", id=2)], "bot")
    assert found is not None
    assert found[0].id == 3


def test_a_stop_counts_from_when_a_request_was_first_taken_up() -> None:
    dispatch = replace(TRIGGER, key="dispatch:5")
    stopped = replace(State().with_trigger(dispatch, NOW), stopped="2026-01-02T12:01:00Z")
    in_a_later_job = replace(dispatch, at="2026-01-02T12:02:00Z")
    assert stopped.stops(in_a_later_job)
    assert not stopped.stops(replace(in_a_later_job, key="dispatch:6"))
