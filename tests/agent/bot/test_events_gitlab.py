from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bot.config import Config
from agent.bot.events_gitlab import read
from agent.bot.trigger import Actor, Build, NotForUs, Place, Trigger
from sandbox.errors import UsageError
from tests.agent.bot.corpus import CORPUS
from tests.agent.bot.gitlab_events import (
    BUG,
    BY_HAND,
    DEV,
    OURS,
    PROJECT,
    failed,
    labelled,
    merge_request,
    noted,
)
from tests.agent.bot.test_events_github import VALUES, paths, without

ALL = Config(red_builds="all")
AT = "2026-11-27T10:00:00+00:00"
EVENTS: dict[str, Any] = {
    "note": noted(),
    "review": noted("Name it better.", "MergeRequest", type="DiffNote"),
    "issue": labelled(),
    "pipeline": failed(merge_request()),
}


def trigger(payload: object, config: Config = Config()) -> Trigger:  # noqa: B008
    found = read(payload, {}, config)
    assert isinstance(found, Trigger), found
    return found


def reason(payload: object, config: Config = Config()) -> str:  # noqa: B008
    found = read(payload, {"CI_PROJECT_ID": "5"}, config)
    assert isinstance(found, NotForUs), found
    return found.reason


def test_a_label_asks_for_an_attempt() -> None:
    assert trigger(labelled()) == Trigger(
        key=f"label:17:{AT}",
        action="fix",
        source="label",
        actor=Actor("dev", 12),
        at=AT,
        place=Place(17),
        title="It fails",
        text="On Mondays.",
        author=Actor("", 3),
        target="issue",
        target_id=17,
    )


def test_an_issue_opened_with_the_label() -> None:
    event = without(labelled(changes={}), "object_attributes", "action", value="open")
    assert trigger(event).key == f"label:17:{AT}"
    assert "not added" in reason(event | {"labels": [BUG]})


def test_a_comment_with_a_command() -> None:
    found = trigger(noted("/greenroom stop it"))
    assert (found.key, found.action, found.source) == ("comment:1241", "stop", "comment")
    assert (found.place, found.guidance, found.at) == (Place(17), "it", AT)
    assert (found.actor, found.author) == (Actor("dev", 12), Actor("", 3))
    assert (found.target, found.target_id, found.review) == ("comment", 1241, 0)


def test_a_comment_on_a_merge_request() -> None:
    found = trigger(noted("/greenroom fix", "MergeRequest"))
    assert (found.place, found.source) == (Place(17, pull=True), "comment")


@pytest.mark.parametrize("kind", ["DiffNote", "DiscussionNote"])
def test_a_remark_on_the_bots_own_merge_request(kind: str) -> None:
    found = trigger(noted("Name it better.", "MergeRequest", type=kind))
    assert (found.source, found.review, found.guidance) == ("review", 1241, "Name it better.")
    assert (found.place, found.action) == (Place(17, pull=True), "fix")


@pytest.mark.parametrize(
    ("name", "value"),
    [("source_branch", "topic"), ("source_project_id", 6), ("state", "merged")],
)
def test_a_remark_on_another_merge_request_is_none(name: str, value: object) -> None:
    event = noted("Name it better.", "MergeRequest", type="DiffNote")
    assert "does not begin" in reason(without(event, "merge_request", name, value=value))


def test_a_note_of_an_old_gitlab_is_new_where_nothing_was_edited() -> None:
    assert trigger(noted(action=None)).action == "fix"
    assert "new" in reason(noted(action=None, updated_at="2026-11-27 10:00:01 UTC"))


def test_a_failed_pipeline_of_the_default_branch() -> None:
    found = trigger(failed())
    assert found.key == "run:31:2026-11-27T11:30:00+00:00"
    url = "https://gitlab.test/team/app/-/pipelines/31"
    assert found.build == Build(31, "pipeline", url, "c3" * 20, "main", fork=False)
    assert (found.place, found.source) == (None, "build")


@pytest.mark.parametrize(("source", "fork"), [(5, False), (6, True)])
def test_a_failed_pipeline_of_a_merge_request(source: int, fork: bool) -> None:
    found = trigger(failed(merge_request(source), source="merge_request_event"), ALL)
    assert found.place == Place(18, pull=True)
    assert found.build
    assert (found.build.branch, found.build.fork) == ("topic", fork)


@pytest.mark.parametrize(
    ("payload", "config", "told"),
    [
        (noted("Thanks!"), Config(), "does not begin"),
        (noted(action="update"), Config(), "not a new one"),
        (noted(system=True), Config(), "not a new one"),
        (noted(internal=True), Config(), "confidential"),
        (noted(confidential=True), Config(), "confidential"),
        (noted() | {"event_type": "confidential_note"}, Config(), "confidential"),
        (without(noted(), "issue", "confidential", value=True), Config(), "confidential"),
        (noted(kind="Commit"), Config(), "Commit"),
        (noted() | {"project": PROJECT | {"id": 6}}, Config(), "another project"),
        (labelled(changes={}), Config(), "not added"),
        (labelled(changes=None), Config(), "not added"),
        (
            labelled(changes={"labels": {"previous": [OURS], "current": [OURS, BUG]}}),
            Config(),
            "not added",
        ),
        (
            labelled(changes={"labels": {"previous": [OURS], "current": []}}),
            Config(),
            "not added",
        ),
        (labelled(), Config(label="bot"), "'bot'"),
        (labelled(event_type="confidential_issue"), Config(), "confidential"),
        (
            without(labelled(), "object_attributes", "confidential", value=True),
            Config(),
            "confidential",
        ),
        (failed(status="success"), Config(), "not failed"),
        (failed(source="trigger"), Config(), "own"),
        (failed(variables=[{"key": "GREENROOM_ISSUE", "value": "1"}]), Config(), "own"),
        (failed(), Config(red_builds="none"), "red_builds"),
        (failed(ref="topic"), Config(), "default branch"),
        (failed(tag=True), Config(), "default branch"),
        (failed(merge_request()), Config(), "default branch"),
        ({"object_kind": "push"}, Config(), "'push'"),
        ({}, Config(), "kind"),
    ],
)
def test_what_asks_for_nothing(payload: object, config: Config, told: str) -> None:
    assert told in reason(payload, config)


@pytest.mark.parametrize(
    ("login", "bot"),
    [
        ("project_5_bot", True),
        ("project_5_bot_4ffca2", True),
        ("group_8_bot_00ff", True),
        ("service_account_7", True),
        ("GitLabDuo", True),
        ("alert-bot", True),
        ("robot", False),
        ("project_bot", False),
    ],
)
def test_a_bot_is_known_as_one(login: str, bot: bool) -> None:
    assert trigger(noted() | {"user": DEV | {"username": login}}).actor.bot is bot


def test_a_pipeline_that_a_person_started() -> None:
    found = read(None, BY_HAND | {"GREENROOM_GUIDANCE": " look "}, Config())
    assert found == Trigger(
        key="dispatch:77",
        action="fix",
        source="dispatch",
        actor=Actor("dev", 12),
        at=AT,
        place=Place(17),
        guidance="look",
        target="issue",
        target_id=17,
    )


@pytest.mark.parametrize("source", ["push", "trigger", "schedule", "merge_request_event", ""])
def test_a_pipeline_that_nobody_started_asks_for_nothing(source: str) -> None:
    found = read(None, BY_HAND | {"CI_PIPELINE_SOURCE": source}, Config())
    assert isinstance(found, NotForUs)


def test_a_pipeline_without_anything_asks_for_nothing() -> None:
    found = read(None, BY_HAND | {"GREENROOM_ISSUE": ""}, Config())
    assert isinstance(found, NotForUs)
    assert "GREENROOM_ISSUE" in found.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GREENROOM_ISSUE", "x"),
        ("GITLAB_USER_ID", "me"),
        ("CI_PIPELINE_CREATED_AT", "yesterday"),
    ],
)
def test_a_variable_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        read(None, BY_HAND | {name: value}, Config())


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_no_text_widens_what_is_asked(text: str) -> None:
    hostile = labelled()
    hostile["object_attributes"] |= {"title": text, "description": text}
    assert replace(trigger(hostile), title="It fails", text="On Mondays.") == trigger(labelled())
    assert "does not begin" in reason(noted(text))
    assert "does not begin" in reason(noted(text, "MergeRequest"))


@given(st.sampled_from(sorted(EVENTS)), st.data())
def test_a_malformed_event_is_a_usage_error(name: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(EVENTS[name])))
    event = without(EVENTS[name], *path, value=data.draw(VALUES))
    try:
        found = read(event, {"CI_PROJECT_ID": "5"}, ALL)
    except UsageError as problem:
        assert str(problem)
    else:
        assert isinstance(found, Trigger | NotForUs)


@pytest.mark.parametrize("payload", [[], "x", 1, {"object_kind": 1}, {"object_kind": "note"}])
def test_no_event_at_all(payload: object) -> None:
    with pytest.raises(UsageError, match="TRIGGER_PAYLOAD"):
        read(payload, {}, Config())
