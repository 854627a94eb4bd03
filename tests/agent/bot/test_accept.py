from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.bot import state
from agent.bot.accept import accept, stopped
from agent.bot.config import Config
from agent.bot.trigger import Actor, Build, Place, Trigger
from tests.agent.bot.githubs import Desk as GitHubDesk
from tests.agent.bot.gitlabs import Desk as GitLabDesk

NOW = datetime.now(UTC)
Desk = GitHubDesk | GitLabDesk
CONFIG = Config()


def asked(
    here: Desk, place: Place, login: str = "dev", action: str = "fix", minutes: float = 0
) -> Trigger:
    with here.store.lock:
        words = f"/greenroom {action}"
        note = here.store.comment(here.project, place.number, place.pull, login, words)
    return Trigger(
        key=f"comment:{note.id}",
        action=action,  # type: ignore[arg-type]
        source="comment",
        actor=here.actor(login),
        at=(NOW + timedelta(minutes=minutes)).isoformat(),
        place=place,
        target="comment",
        target_id=note.id,
    )


def told(here: Desk, place: Place) -> list[str]:
    """The bodies of the bot's comments at a place."""
    me = here.forge().me()
    with here.store.lock:
        notes = here.project.comments.values()
        return [n.body for n in notes if n.author == me and n.number == place.number]


def reactions(here: Desk, trigger: Trigger) -> int:
    with here.store.lock:
        return len(here.project.comments[trigger.target_id].reactions)


def test_who_may_push_is_answered_with_a_reaction_and_one_comment(here: Desk) -> None:
    place = here.issue()
    trigger = asked(here, place)
    assert accept(here.forge(), trigger, CONFIG, NOW, "https://runs.test/1").go
    assert reactions(here, trigger) == 1
    [body] = told(here, place)
    assert "Working on it" in body
    assert "https://runs.test/1" in body


@pytest.mark.parametrize("login", ["stranger", "reporter"])
def test_who_may_not_push_sets_nothing_off(here: Desk, login: str) -> None:
    place = here.issue()
    trigger = asked(here, place, login)
    decision = accept(here.forge(), trigger, CONFIG, NOW, "")
    assert not decision.go
    assert login in decision.reason
    assert told(here, place) == []
    assert reactions(here, trigger) == 0


def test_the_list_lets_in_whom_the_permissions_do_not(here: Desk) -> None:
    trigger = asked(here, here.issue(), "reporter")
    assert accept(here.forge(), trigger, Config(allowed=("Reporter",)), NOW, "").go


def test_a_bot_has_to_be_named_and_to_have_the_right(here: Desk) -> None:
    place = here.issue()
    trigger = asked(here, place)
    bot = replace(trigger, actor=replace(trigger.actor, bot=True))
    assert not accept(here.forge(), bot, CONFIG, NOW, "").go
    assert not accept(here.forge(), bot, Config(allowed=("dev",)), NOW, "").go
    stranger = asked(here, place, "stranger")
    unable = replace(stranger, actor=replace(stranger.actor, bot=True))
    assert not accept(here.forge(), unable, Config(bots=("stranger",)), NOW, "").go
    assert accept(here.forge(), bot, Config(bots=("dev",)), NOW, "").go


def test_five_deliveries_at_once_begin_once_and_leave_one_comment(here: Desk) -> None:
    place = here.issue()
    trigger = asked(here, place)
    with ThreadPoolExecutor(5) as pool:
        decisions = list(
            pool.map(lambda _: accept(here.forge(), trigger, CONFIG, NOW, ""), range(5))
        )
    assert sum(decision.go for decision in decisions) == 1
    assert len(told(here, place)) == 1


def test_five_deliveries_of_a_second_request_begin_once_and_keep_the_comment(here: Desk) -> None:
    place = here.issue()
    first = asked(here, place)
    assert accept(here.forge(), first, CONFIG, NOW, "").go
    end(here, place)
    again = asked(here, place, action="retry", minutes=1)
    with ThreadPoolExecutor(5) as pool:
        decisions = list(pool.map(lambda _: accept(here.forge(), again, CONFIG, NOW, ""), range(5)))
    assert sum(decision.go for decision in decisions) == 1
    assert len(told(here, place)) == 1


def end(here: Desk, place: Place) -> None:
    """As publishing does at the end."""
    forge = here.forge()
    found = state.latest(forge.my_comments(place), forge.me())
    assert found is not None
    forge.edit_comment(found[0], state.body(found[1].ended(), "Done."))


def test_one_attempt_at_a_place_at_a_time(here: Desk) -> None:
    place = here.issue()
    assert accept(here.forge(), asked(here, place), CONFIG, NOW, "").go
    second = asked(here, place, action="retry", minutes=1)
    decision = accept(here.forge(), second, CONFIG, NOW, "")
    assert not decision.go
    assert "at work" in decision.reason


def test_an_event_that_comes_late_is_overtaken(here: Desk) -> None:
    place = here.issue()
    early, late = asked(here, place), asked(here, place, action="retry", minutes=5)
    assert accept(here.forge(), late, CONFIG, NOW, "").go
    end(here, place)
    assert not accept(here.forge(), early, CONFIG, NOW, "").go


def test_a_run_that_died_and_runs_again_does_not_undo_a_later_one(here: Desk) -> None:
    place = here.issue()
    died = asked(here, place)
    assert accept(here.forge(), died, CONFIG, NOW, "https://runs.test/1").go
    later, day = asked(here, place, minutes=600), NOW + timedelta(hours=10)
    assert accept(here.forge(), later, CONFIG, day, "https://runs.test/2").go
    [body] = told(here, place)
    assert not accept(here.forge(), died, CONFIG, day, "https://runs.test/1").go
    assert told(here, place) == [body]


def test_a_stop_ends_what_was_asked_before_it_and_not_what_is_asked_after(here: Desk) -> None:
    place = here.issue()
    first = asked(here, place)
    assert accept(here.forge(), first, CONFIG, NOW, "").go
    assert not stopped(here.forge(), first)
    stop = asked(here, place, action="stop", minutes=1)
    assert not accept(here.forge(), stop, CONFIG, NOW, "").go
    assert stopped(here.forge(), first)
    assert "Stopped" in told(here, place)[0]
    again = asked(here, place, action="retry", minutes=2)
    assert accept(here.forge(), again, CONFIG, NOW, "").go
    assert not stopped(here.forge(), again)


def test_a_stranger_stops_nothing(here: Desk) -> None:
    place = here.issue()
    first = asked(here, place)
    accept(here.forge(), first, CONFIG, NOW, "")
    accept(here.forge(), asked(here, place, "stranger", "stop", 1), CONFIG, NOW, "")
    assert not stopped(here.forge(), first)


def test_a_stop_where_nothing_is_at_work_leaves_no_comment(here: Desk) -> None:
    place = here.issue()
    assert not accept(here.forge(), asked(here, place, action="stop"), CONFIG, NOW, "").go
    assert told(here, place) == []


def test_the_limits_of_a_day_hold_by_author_and_by_repository(here: Desk) -> None:
    here.project.roles["other"] = "write"
    config = Config(author_limit=1, repository_limit=2)
    first, second, third = here.issue(), here.issue(), here.issue()
    assert accept(here.forge(), asked(here, first), config, NOW, "").go
    own = accept(here.forge(), asked(here, second), config, NOW, "")
    assert not own.go
    assert "`dev`" in own.reason
    assert accept(here.forge(), asked(here, second, "other"), config, NOW, "").go
    here.project.roles["third"] = "write"
    whole = accept(here.forge(), asked(here, third, "third"), config, NOW, "")
    assert not whole.go
    assert "this repository" in whole.reason


def test_requests_of_yesterday_do_not_count(here: Desk) -> None:
    config = Config(author_limit=1)
    before = NOW - timedelta(hours=25)
    place = here.issue()
    assert accept(here.forge(), asked(here, place, minutes=-1500), config, before, "").go
    end(here, place)
    assert accept(here.forge(), asked(here, place, action="retry"), config, NOW, "").go


def test_a_build_is_taken_up_as_configured_and_never_of_a_fork(here: Desk) -> None:
    build = Build(5, "tests", "https://runs.test/5", "0" * 40, "main", fork=False)
    trigger = Trigger("run:5:1", "fix", "build", here.actor("dev"), NOW.isoformat(), build=build)
    assert accept(here.forge(), trigger, CONFIG, NOW, "").go
    assert not accept(here.forge(), trigger, Config(red_builds="none"), NOW, "").go
    fork = replace(trigger, build=replace(build, fork=True))
    assert not accept(here.forge(), fork, CONFIG, NOW, "").go
    stranger = replace(trigger, actor=Actor("stranger", 12))
    assert not accept(here.forge(), stranger, CONFIG, NOW, "").go


def test_a_forged_marker_in_a_strangers_comment_changes_nothing(here: Desk) -> None:
    place = here.issue()
    trigger = asked(here, place)
    forged = state.body(state.State().with_trigger(trigger, NOW), "Working on it")
    with here.store.lock:
        here.store.comment(here.project, place.number, place.pull, "stranger", forged)
    assert accept(here.forge(), trigger, CONFIG, NOW, "").go


def test_a_comment_that_was_taken_back_asks_for_nothing(here: Desk) -> None:
    place = here.issue()
    trigger = asked(here, place)
    with here.store.lock:
        del here.project.comments[trigger.target_id]
    assert not accept(here.forge(), trigger, CONFIG, NOW, "").go
    assert told(here, place) == []
