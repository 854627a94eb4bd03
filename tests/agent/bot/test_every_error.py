"""Each call of a run meets each error: nothing half-made stays, and the run goes through again."""

import copy
from dataclasses import dataclass
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
#: A refusal, and the answer that is lost; the others run nightly.
OFTEN = ("403", "drop though done")
EACH = [
    pytest.param(name, times, marks=() if name in OFTEN else pytest.mark.nightly)
    for name in ERRORS
    for times in (1, ALWAYS)
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


def good_calls(here: Desk, again: bool) -> int:
    """How many calls a run sends that goes well."""
    place = first(here, again)
    before = len(here.fake.calls)
    tried = run(here, place, b"print('yes')\n")
    tried.jobs()
    assert tried.done, tried.said
    return len(here.fake.calls) - before


@pytest.fixture
def owned(here: Desk) -> Any:
    here.project.git.commit("main", {"CODEOWNERS": "* @rev\n"}, "Own it")
    here.store.user("rev")
    here.project.roles["rev"] = "maintain"
    return here


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
@pytest.mark.parametrize(("error", "times"), EACH)
def test_each_call_may_fail(owned: Desk, error: str, times: int, again: bool) -> None:
    here = owned
    calls = good_calls(here, again)
    assert calls >= 20
    for skip in range(calls):
        place = first(here, again)
        tried = run(here, place, b"print('yes')\n")
        tried.patient = error != "hang"
        before = len(here.fake.calls)
        fault = copy.copy(ERRORS[error])
        fault.skip, fault.times, fault.hits = skip, times, 0
        here.fake.faults.add(fault)
        tried.jobs()
        here.fake.faults.clear()
        where = f"{error} x{times} at {here.fake.calls[before + skip]} ({skip}): {tried.said}"
        notes, branches, pulls = left(here, place)
        assert tried.said, where
        assert len(pulls) <= 1, where
        assert len(notes) <= 1 or times == ALWAYS, where
        linked = any("[Open the pull request]" in note for note in notes)
        assert branches == pulls or linked or times == ALWAYS, where
        tried.patient = True
        tried.jobs()
        assert tried.done, f"not healed: {where}; then {tried.said}"
        notes, branches, pulls = left(here, place)
        assert len(notes) == 1, f"not healed: {where}; then {notes}"
        linked = "[Open the pull request]" in notes[0]
        assert len(branches) == 1, f"not healed: {where}"
        assert branches == pulls or linked, f"not healed: {where}; then {tried.said}"
        assert "Opened" in notes[0] or "Updated" in notes[0] or linked, f"{where}; {notes[0]}"
