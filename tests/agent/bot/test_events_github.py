import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bot.config import Config
from agent.bot.events_github import read
from agent.bot.trigger import Actor, Build, NotForUs, Place, Trigger
from sandbox.errors import UsageError
from tests.agent.bot.corpus import CORPUS
from tests.agent.bot.github_events import (
    REPOSITORY,
    STRANGER,
    commented,
    completed,
    dispatched,
    issue,
    labelled,
    pull,
    reviewed,
    user,
)

AT = "2026-11-27T13:00:00+00:00"
ALL = Config(red_builds="all")
PULLS = [{"number": 13, "base": {"repo": {"id": REPOSITORY["id"]}}}]
OTHERS = [{"number": 99, "base": {"repo": {"id": 5}}}]
EVENTS: dict[str, Any] = {
    "issues": labelled(),
    "issue_comment": commented(),
    "pull_request_review": reviewed(),
    "workflow_run": completed(),
    "workflow_dispatch": dispatched(issue="12", guidance="look at dates.py"),
}


def trigger(name: str, data: object, config: Config = Config()) -> Trigger:  # noqa: B008
    found = read(name, data, config, run="55", at=AT)
    assert isinstance(found, Trigger), found
    return found


def reason(name: str, data: object, config: Config = Config()) -> str:  # noqa: B008
    found = read(name, data, config, run="55", at=AT)
    assert isinstance(found, NotForUs), found
    return found.reason


def test_a_label_asks_for_an_attempt() -> None:
    assert trigger("issues", labelled()) == Trigger(
        key="label:12:2026-11-27T10:00:00+00:00",
        action="fix",
        source="label",
        actor=Actor("owner", 1),
        at="2026-11-27T10:00:00+00:00",
        place=Place(12),
        title="It fails",
        text="On Mondays.",
        author=Actor("stranger", 2),
        target="issue",
        target_id=12,
    )


def test_a_comment_with_a_command() -> None:
    found = trigger("issue_comment", commented("/greenroom retry with care"))
    assert (found.key, found.action, found.source) == ("comment:998", "retry", "comment")
    assert (found.actor, found.author) == (Actor("owner", 1), Actor("stranger", 2))
    assert (found.place, found.guidance) == (Place(12), "with care")
    assert (found.target, found.target_id) == ("comment", 998)
    assert (found.title, found.text) == ("It fails", "On Mondays.")


def test_a_comment_on_a_pull_request() -> None:
    data = commented(issue=issue(pull_request={"url": "https://github.test/x"}))
    assert trigger("issue_comment", data).place == Place(12, pull=True)


def test_a_review_of_the_bots_own_pull_request() -> None:
    found = trigger("pull_request_review", reviewed())
    assert (found.key, found.action, found.source) == ("review:80", "fix", "review")
    assert (found.place, found.review) == (Place(13, pull=True), 80)
    assert (found.guidance, found.at) == ("Name it better.", "2026-11-27T11:00:00+00:00")
    assert (found.target, found.target_id) == ("pull", 13)


def test_a_review_may_be_a_command() -> None:
    data = reviewed()
    data["review"]["body"] = "/greenroom stop for now"
    found = trigger("pull_request_review", data)
    assert (found.action, found.guidance) == ("stop", "for now")


def test_a_review_without_words_has_its_remarks() -> None:
    data = reviewed()
    data["review"] |= {"body": None, "state": "commented"}
    assert trigger("pull_request_review", data).guidance == ""


def test_a_failed_build_of_the_default_branch() -> None:
    found = trigger("workflow_run", completed())
    assert (found.key, found.source, found.place) == ("run:30433642:2", "build", None)
    url = "https://github.test/octo/app/actions/runs/30433642"
    assert found.build == Build(30433642, "CI", url, "c3" * 20, "main", fork=False)


def test_who_started_a_build_again_is_who_asks() -> None:
    data = completed(triggering_actor=STRANGER)
    assert trigger("workflow_run", data).actor == Actor("stranger", 2)


def test_a_failed_build_of_a_pull_request() -> None:
    data = completed(event="pull_request", head_branch="topic", pull_requests=PULLS + OTHERS)
    assert trigger("workflow_run", data, ALL).place == Place(13, pull=True)


def test_a_failed_build_of_a_fork_is_known_as_one() -> None:
    data = completed(event="pull_request", head_repository={"id": 7}, pull_requests=[])
    found = trigger("workflow_run", data, ALL)
    assert found.place is None
    assert found.build
    assert found.build.fork


@pytest.mark.parametrize("written", ["12", "#12", " 12\n"])
def test_a_dispatch(written: str) -> None:
    found = trigger("workflow_dispatch", dispatched(issue=written, guidance=" look "))
    assert (found.key, found.at, found.source) == ("dispatch:55", AT, "dispatch")
    assert (found.place, found.guidance) == (Place(12), "look")
    assert (found.target, found.target_id, found.title) == ("issue", 12, "")


def test_a_dispatch_without_an_issue() -> None:
    found = trigger("workflow_dispatch", dispatched(guidance="mend the dates", issue=""))
    assert (found.place, found.target) == (None, None)


@pytest.mark.parametrize("written", ["0", "-1", "1.5", "twelve", "\u0661\u0662", "1" * 16, "1 2"])
def test_a_dispatch_of_no_issue_says_so(written: str) -> None:
    with pytest.raises(UsageError, match="input `issue`"):
        read("workflow_dispatch", dispatched(issue=written), Config(), run="55", at=AT)


def test_a_dispatch_without_its_run_says_so() -> None:
    with pytest.raises(UsageError, match="id of its workflow run"):
        read("workflow_dispatch", dispatched(guidance="x"), Config())


def without(data: dict[str, Any], *path: str, value: Any = None) -> dict[str, Any]:
    """The payload with the value at `path` in the old one's place."""
    copied = copy.deepcopy(data)
    inner = copied
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return copied


@pytest.mark.parametrize(
    ("name", "data", "config", "told"),
    [
        ("issues", labelled(action="opened"), Config(), "not labelled"),
        ("issues", labelled(label={"name": "bug"}), Config(), "'bug'"),
        ("issues", labelled(), Config(label="bot"), "'greenroom'"),
        ("issue_comment", commented(action="edited"), Config(), "edited"),
        ("issue_comment", commented(action="deleted"), Config(), "deleted"),
        ("issue_comment", commented("Thanks!"), Config(), "does not begin"),
        ("issue_comment", without(commented(), "comment", "user"), Config(), "gone"),
        ("pull_request_review", reviewed(action="edited"), Config(), "edited"),
        ("pull_request_review", reviewed(action="dismissed"), Config(), "dismissed"),
        (
            "pull_request_review",
            without(reviewed(), "review", "state", value="approved"),
            Config(),
            "approved",
        ),
        ("pull_request_review", without(reviewed(), "review", "user"), Config(), "gone"),
        ("pull_request_review", reviewed(pull_request=pull(state="closed")), Config(), "closed"),
        (
            "pull_request_review",
            reviewed(pull_request=pull(head={"ref": "topic", "repo": REPOSITORY})),
            Config(),
            "own",
        ),
        (
            "pull_request_review",
            reviewed(pull_request=pull(head={"ref": "greenroom/1", "repo": None})),
            Config(),
            "own",
        ),
        ("workflow_run", completed(conclusion="success"), Config(), "success"),
        ("workflow_run", completed(conclusion=None), Config(), "no failure"),
        ("workflow_run", completed(path=".github/workflows/greenroom.yml"), Config(), "own"),
        ("workflow_run", completed(), Config(red_builds="none"), "red_builds"),
        ("workflow_run", completed(head_branch="topic"), Config(), "default branch"),
        ("workflow_run", completed(event="pull_request"), Config(), "default branch"),
        ("workflow_run", completed(head_repository={"id": 7}), Config(), "default branch"),
        ("workflow_run", completed(head_repository=None), Config(), "default branch"),
        ("workflow_run", completed(event="pull_request", pull_requests=OTHERS), ALL, "gone"),
        ("workflow_dispatch", dispatched(), Config(), "no issue"),
        ("push", {}, Config(), "'push'"),
        ("pull_request_target", {}, Config(), "'pull_request_target'"),
    ],
)
def test_what_asks_for_nothing(name: str, data: object, config: Config, told: str) -> None:
    assert told in reason(name, data, config)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://a.test/x) ![y](http://z", ""])
def test_an_address_that_would_do_more_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="html_url"):
        read("workflow_run", completed(html_url=url), Config())


def test_a_review_of_the_bots_pull_request_from_its_fork() -> None:
    fork = {"id": 7, "full_name": "Bot/App"}
    data = reviewed(pull_request=pull(head={"ref": "greenroom/12-x", "repo": fork}))
    assert trigger("pull_request_review", data, Config(fork="bot/app")).review == 80
    assert "own" in reason("pull_request_review", data, Config(fork="other/app"))
    assert "own" in reason("pull_request_review", data)


@pytest.mark.parametrize(
    ("account", "bot"),
    [
        (user("dependabot[bot]", 4, "Bot"), True),
        (user("dependabot[bot]", 4), True),
        (user("robot", 4, "Bot"), True),
        (user("robot", 4), False),
    ],
)
def test_a_bot_is_known_as_one(account: dict[str, Any], bot: bool) -> None:
    assert trigger("issues", labelled(sender=account)).actor.bot is bot


def test_an_issue_without_words_or_account() -> None:
    found = trigger("issues", labelled(issue=issue(body=None, user=None)))
    assert (found.text, found.author) == ("", None)


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_no_text_widens_what_is_asked(text: str) -> None:
    plain = trigger("issues", labelled())
    hostile = trigger("issues", labelled(issue=issue(body=text, title=text)))
    assert replace(hostile, title="", text="") == replace(plain, title="", text="")
    by_command = trigger("issue_comment", commented(issue=issue(body=text, title=text)))
    expected = trigger("issue_comment", commented())
    assert replace(by_command, title="", text="") == replace(expected, title="", text="")
    assert "does not begin" in reason("issue_comment", commented(text))


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_what_is_read_can_be_written(text: str) -> None:
    data = reviewed()
    data["review"]["body"] = text
    trigger("pull_request_review", data).guidance.encode("utf-8")


def test_an_association_or_a_sender_beside_the_author_is_nobody() -> None:
    data = commented(sender=STRANGER)
    data["comment"]["author_association"] = "OWNER"
    data["comment"]["user"] = user("other", 9)
    assert trigger("issue_comment", data).actor == Actor("other", 9)


VALUES = st.sampled_from(
    [None, True, -1, 1.5, 2**70, "", "x", "\ud800", "9999-99-99T99:99:99Z", [], [1], {}, {"id": 1}]
)


def paths(data: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [above] if above else []
    if isinstance(data, dict):
        for name, value in data.items():
            found += paths(value, (*above, name))
    return found


@given(st.sampled_from(sorted(EVENTS)), st.data())
def test_a_malformed_event_is_a_usage_error(name: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(EVENTS[name])))
    event = without(EVENTS[name], *path, value=data.draw(VALUES))
    try:
        found = read(name, event, ALL, run="55", at=AT)
    except UsageError as problem:
        assert str(problem)
    else:
        assert isinstance(found, Trigger | NotForUs)


@pytest.mark.parametrize("data", [None, [], "x", 1, {}, {"action": {}}, {"inputs": 1}])
@pytest.mark.parametrize("name", EVENTS)
def test_no_event_at_all(name: str, data: object) -> None:
    if name == "workflow_dispatch" and isinstance(data, dict) and "inputs" not in data:
        assert reason(name, data)
        return
    with pytest.raises(UsageError, match=name):
        read(name, data, Config(), run="55", at=AT)
