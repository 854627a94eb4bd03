"""Each call of a run meets each error: nothing half-made stays, and the run goes through again."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.bot.accept import accept
from agent.bot.config import Config
from agent.bot.forge import Forge, ForgeError
from agent.bot.github import GitHub
from agent.bot.github_api import Api as GitHubApi
from agent.bot.gitlab import GitLab
from agent.bot.gitlab_api import Api as GitLabApi
from agent.bot.proposal import Proposal
from agent.bot.publish import publish
from agent.bot.trigger import Place, Trigger
from sandbox.patch import FILE, Change, Patch
from tests.agent.bot.githubs import Desk as GitHubDesk
from tests.agent.bot.gitlabs import Desk as GitLabDesk
from tests.agent.bot.test_publish import proposed
from tests.fakes.forge.faults import Fault

Desk = GitHubDesk | GitLabDesk
NOW = datetime.now(UTC)
ALWAYS = 99
CONFIG = Config(labels=("bot",), reviewers="codeowners", repository_limit=999, author_limit=999)
ERRORS = {
    **{str(status): Fault(status=status) for status in (401, 403, 404, 409, 422, 500, 502)},
    "429": Fault(status=429, headers={"Retry-After": "7"}),
    "drop": Fault(kind="drop"),
    "drop though done": Fault(kind="drop", late=True),
    "hang": Fault(kind="hang"),
}
#: A refusal, and an answer that is lost each time, at the calls that write. All else is nightly:
#: each call with each error, and with these two where a run went well there before.
OFTEN = (("403", 1), ("drop though done", ALWAYS))
#: Reads, and what GitHub keeps unseen until a branch leads to it.
NOTHING_MADE = re.compile(r"GET|\w+ /graphql|POST .*/git/(blobs|trees|commits)$")
EACH = [(name, times, again) for name in ERRORS for times in (1, ALWAYS) for again in (False, True)]
#: One that hangs each time takes four seconds a call and is to the bot one that drops each time.
NIGHTLY = [
    each
    for each in EACH
    if (not each[2] or each[0] in ("403", "drop though done")) and each[:2] != ("hang", ALWAYS)
]


@dataclass
class Run:
    """A workflow's run for one event: its jobs, which fail and are run again as jobs are."""

    here: Desk
    trigger: Trigger
    proposal: Proposal
    patient: bool = True
    go: bool = False
    done: bool = False
    said: str = ""

    @property
    def url(self) -> str:
        return f"https://runs.test/{self.trigger.key}"

    def jobs(self) -> None:
        """The jobs that have not ended well yet."""
        try:
            if not self.go:
                decision = accept(self._forge(), self.trigger, CONFIG, NOW, self.url)
                self.go, self.said = decision.go, decision.reason
            if self.go and not self.done:
                self.said = publish(
                    self._forge(), self.trigger, CONFIG, self.proposal, self.url
                ).told
                self.done = True
        except ForgeError as error:
            self.said = error.message
            assert self.here.token not in f"{error.message} {error.hint}"

    def _forge(self) -> Forge:
        desk = self.here
        timeout = 20.0 if self.patient else 1.0
        if isinstance(desk, GitHubDesk):
            api = GitHubApi(
                desk.fake.api_url, desk.token, timeout=timeout, sleep=desk.pauses.append
            )
            return GitHub(api, desk.project.name, desk.fake.url)
        return GitLab(
            GitLabApi(desk.fake.url, desk.token, timeout=timeout, sleep=desk.pauses.append),
            desk.project.name,
        )


def run(here: Desk, place: Place, say: bytes) -> Run:
    """A new event at a place, and what an attempt made of it."""
    with here.store.lock:
        note = here.store.comment(here.project, place.number, place.pull, "dev", "/greenroom fix")
    trigger = Trigger(
        key=f"comment:{note.id}",
        action="fix",
        source="comment",
        actor=here.actor("dev"),
        at=NOW.isoformat(),
        place=place,
        title="It fails",
        target="comment",
        target_id=note.id,
    )
    patch = Patch((Change("src/app.py", FILE, say),))
    return Run(here, trigger, proposed(here, trigger, patch=patch, run=f"r{note.id}"))


def left(here: Desk, place: Place) -> tuple[list[str], list[str], list[str]]:
    """The bot's comments at a place, its branches for it, and those of its open pull requests."""
    me = here.forge().me()
    prefix = f"greenroom/{place.number}-"
    with here.store.lock:
        project = here.project
        notes = [
            note.body
            for note in project.comments.values()
            if note.author == me and (note.number, note.pull) == (place.number, place.pull)
        ]
        branches = [name for name in project.git.branches() if name.startswith(prefix)]
        pulls = [
            pull.branch
            for pull in project.pulls.values()
            if pull.branch.startswith(prefix) and pull.state == "open"
        ]
        return notes, branches, pulls


def first(here: Desk, again: bool) -> Place:
    """An issue, at which a run went well already where it is asked `again`."""
    place = here.issue()
    if again:
        run(here, place, b"print('at first')\n").jobs()
        assert left(here, place)[2]
    return place


def good_calls(here: Desk, again: bool) -> list[str]:
    """The calls that a run sends that goes well."""
    place = first(here, again)
    before = len(here.fake.calls)
    tried = run(here, place, b"print('yes')\n")
    tried.jobs()
    assert tried.done, tried.said
    return here.fake.calls[before:]


def swept(here: Desk) -> None:
    """Takes away what a run left: lists that grow into a further page would move the calls."""
    with here.store.lock:
        project = here.project
        for entries in (project.comments, project.issues, project.pulls):
            entries.clear()
        for name in project.git.branches():
            if name != project.default_branch:
                project.git.delete_ref(f"refs/heads/{name}")


@pytest.fixture
def owned(here: Desk) -> Any:
    here.project.git.commit("main", {"CODEOWNERS": "* @rev\n"}, "Own it")
    here.store.user("rev")
    here.project.roles["rev"] = "maintain"
    return here


@pytest.mark.parametrize(("error", "times"), OFTEN)
def test_each_call_that_writes_may_fail(owned: Desk, error: str, times: int) -> None:
    calls = good_calls(owned, again=False)
    writes = [at for at, call in enumerate(calls) if not NOTHING_MADE.match(call)]
    assert len(writes) >= 6
    for at in writes:
        swept(owned)
        broken_off_and_run_again(owned, error, times, at, again=False)


@pytest.mark.nightly
@pytest.mark.parametrize(("error", "times", "again"), NIGHTLY)
def test_each_call_may_fail(owned: Desk, error: str, times: int, again: bool) -> None:
    for at in range(len(good_calls(owned, again))):
        swept(owned)
        broken_off_and_run_again(owned, error, times, at, again=again)


def broken_off_and_run_again(here: Desk, error: str, times: int, skip: int, *, again: bool) -> None:
    """A run whose call number `skip` fails; then its jobs once more, where nothing fails."""
    place = first(here, again)
    tried = run(here, place, b"print('yes')\n")
    tried.patient = error != "hang"
    before = len(here.fake.calls)
    here.fake.faults.add(replace(ERRORS[error], skip=skip, times=times, hits=0))
    tried.jobs()
    here.fake.faults.clear()
    where = f"{error} x{times} at {here.fake.calls[before + skip]} ({skip}): {tried.said}"
    assert tried.said, where
    notes, branches, pulls = left(here, place)
    linked = any("[Open the pull request]" in note for note in notes)
    assert len(pulls) <= 1, where
    if times == 1:  # a forge that answers no more lets nothing be taken back
        assert len(notes) <= 1, where
        assert branches == pulls or linked, where
    tried.patient = True
    tried.jobs()
    notes, branches, pulls = left(here, place)
    linked = any("[Open the pull request]" in note for note in notes)
    assert tried.done, f"{where}; then {tried.said}"
    if notes and "Nothing was published" in notes[0]:  # the actor was not found for a moment
        assert (len(notes), branches, pulls) == (1, [], []), where
        return
    assert len(notes) == len(branches) == 1, f"{where}; then {notes} {branches}"
    assert branches == pulls or linked, f"{where}; then {tried.said}"
    assert linked or "Opened" in notes[0] or "Updated" in notes[0], f"{where}; then {notes[0]}"
