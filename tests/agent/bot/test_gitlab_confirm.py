from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.bot.trigger import Build, Place, Trigger
from tests.agent.bot.gitlabs import Desk, asked, desk

LABEL = "Greenroom"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def commented(at: Desk, author: str, body: str, place: Place | None = None) -> Trigger:
    place = place or at.issue()
    note = at.store.comment(at.project, place.number, place.pull, author, body)
    return asked(at, author, place, note.id, "Look at app.py")


def labelled(at: Desk, login: str) -> Trigger:
    place = at.issue()
    at.fake.label(at.project, at.project.issues[place.number], login, LABEL)
    return replace(asked(at, login, place), source="label")


def test_a_comment_that_is_there_as_it_was_sent_is_borne_out(at: Desk) -> None:
    trigger = commented(at, "dev", "/greenroom fix Look at app.py")
    assert at.forge().doubt(trigger, LABEL) == ""


def test_a_comment_of_another_is_doubted(at: Desk) -> None:
    trigger = commented(at, "stranger", "/greenroom fix Look at app.py")
    forged = replace(trigger, actor=at.actor("dev"))
    for still in (True, False):
        assert "stranger" in at.forge().doubt(forged, LABEL, still)


@pytest.mark.parametrize("body", ["/greenroom fix rm -rf", "/greenroom stop Look at app.py", "Hi"])
def test_a_comment_with_other_words_is_doubted_but_not_by_later_jobs(at: Desk, body: str) -> None:
    trigger = commented(at, "dev", body)
    assert "edited" in at.forge().doubt(trigger, LABEL)
    assert at.forge().doubt(trigger, LABEL, still=False) == ""


def test_a_comment_that_never_was_is_doubted(at: Desk) -> None:
    trigger = replace(commented(at, "dev", "/greenroom fix"), target_id=1)
    for still in (True, False):
        assert "no comment" in at.forge().doubt(trigger, LABEL, still)


def test_a_comment_at_another_place_is_doubted(at: Desk) -> None:
    trigger = commented(at, "dev", "/greenroom fix Look at app.py")
    assert "no comment" in at.forge().doubt(replace(trigger, place=at.issue()), LABEL)


def test_a_review_comment_is_borne_out_by_its_words(at: Desk) -> None:
    number = at.store.pull(at.project, "dev", "A pull", "", "main").number
    trigger = commented(at, "dev", "Look at app.py\n", Place(number, pull=True))
    assert at.forge().doubt(replace(trigger, source="review"), LABEL) == ""
    assert at.forge().doubt(replace(trigger, source="review", guidance="No"), LABEL)


def test_a_label_is_borne_out_by_who_added_it_last(at: Desk) -> None:
    trigger = labelled(at, "dev")
    assert at.forge().doubt(trigger, LABEL) == ""
    assert at.forge().doubt(trigger, LABEL.upper()) == ""
    assert "did not add" in at.forge().doubt(replace(trigger, actor=at.actor("reporter")), LABEL)


def test_a_label_that_was_taken_off_is_doubted_but_not_by_later_jobs(at: Desk) -> None:
    trigger = labelled(at, "dev")
    assert trigger.place
    at.fake.unlabel(at.project.issues[trigger.place.number], "dev", LABEL)
    assert "no longer" in at.forge().doubt(trigger, LABEL)
    assert at.forge().doubt(trigger, LABEL, still=False) == ""
    assert at.forge().doubt(replace(trigger, actor=at.actor("stranger")), LABEL, still=False)


def test_only_who_added_a_label_last_asked_by_it(at: Desk) -> None:
    trigger = labelled(at, "dev")
    assert trigger.place
    issue = at.project.issues[trigger.place.number]
    at.fake.unlabel(issue, "dev", LABEL)
    at.fake.label(at.project, issue, "reporter", LABEL)
    assert "dev did not add" in at.forge().doubt(trigger, LABEL)
    assert at.forge().doubt(replace(trigger, actor=at.actor("reporter")), LABEL) == ""


def test_another_label_bears_nothing_out(at: Desk) -> None:
    assert "not there" in at.forge().doubt(labelled(at, "dev"), "other")


def test_a_pipeline_must_have_failed_for_its_commit(at: Desk) -> None:
    failed = at.store.build(at.project, "main", {"test": ("failure", b"")})
    passed = at.store.build(at.project, "main", {"test": ("success", b"")})
    place = at.issue()

    def doubt(number: int, commit: str) -> str:
        build = Build(number, "pipeline", "", commit, "main", False)
        trigger = replace(asked(at, "dev", place), source="build", build=build)
        return at.forge().doubt(trigger, LABEL)

    assert doubt(failed.id, failed.commit) == ""
    assert "is not of" in doubt(failed.id, "0" * 40)
    assert "no job" in doubt(passed.id, passed.commit)
    assert "no pipeline" in doubt(1, failed.commit)


def test_a_pipeline_that_a_person_started_needs_no_more(at: Desk) -> None:
    trigger = replace(asked(at, "dev", at.issue()), source="dispatch")
    at.fake.calls.clear()
    assert at.forge().doubt(trigger, LABEL) == ""
    assert at.fake.calls == []
