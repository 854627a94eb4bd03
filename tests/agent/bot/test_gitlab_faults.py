"""Each call of the GitLab client, with each error of the forge at each of its requests in turn."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent.bot.forge import ForgeError, NewPull
from agent.bot.gitlab import GitLab
from agent.bot.trigger import Build, Place
from sandbox.patch import EXECUTABLE, FILE, Change, Patch
from tests.agent.bot.gitlabs import BOT, Desk, asked, desk
from tests.fakes.forge.faults import Fault
from tests.fakes.forge.messages import Answer

BRANCH = "greenroom/1-it"
PATCH = Patch((Change("src/app.py", FILE, b"yes\n"), Change("src/run", EXECUTABLE, b"go\n")))
NEW = NewPull("Repair it", "It was broken.", "ready", "main", True)
SINCE = datetime.now(UTC) - timedelta(days=1)


@dataclass(frozen=True)
class Scene:
    """A desk with an issue that the bot has commented on, a merge request and a build."""

    at: Desk
    issue: Place
    pull: Place
    build: Build

    def head(self) -> str:
        return self.at.head("main") or ""


@contextmanager
def staged(folder: Path) -> Iterator[Scene]:
    with desk(folder) as at:
        store, project = at.store, at.project
        issue = at.issue()
        for branch in ("ready", "greenroom/2-there"):
            project.git.set_ref(f"refs/heads/{branch}", at.head("main") or "")
        pull = store.pull(project, BOT, "Draft: There", "", "greenroom/2-there")
        store.comment(project, issue.number, False, BOT, "Working on it")
        run = store.build(project, "main", {"test": ("failure", b"FAILED")})
        build = Build(run.id, "tests", "", run.commit, "main", False)
        yield Scene(at, issue, Place(pull.number, pull=True), build)


Act = Callable[[Scene, GitLab], Any]


def _comment(scene: Scene, forge: GitLab) -> Any:
    return forge.my_comments(scene.issue)[0]


READS: dict[str, Act] = {
    "repository": lambda s, f: f.repository(),
    "me": lambda s, f: f.me(),
    "identity": lambda s, f: f.identity(),
    "recent_messages": lambda s, f: f.recent_messages("main"),
    "head_message": lambda s, f: f.head_message("main"),
    "may_write": lambda s, f: f.may_write(s.at.actor("dev")),
    "file": lambda s, f: f.file("src/app.py", s.head()),
    "head_of": lambda s, f: f.head_of("main"),
    "contains": lambda s, f: f.contains("main", "a1" * 20),
    "base_commit": lambda s, f: f.base_commit("main"),
    "my_comments": lambda s, f: f.my_comments(s.issue),
    "my_recent_comments": lambda s, f: f.my_recent_comments(SINCE),
    "issue": lambda s, f: f.issue(s.issue),
    "pull": lambda s, f: f.pull(s.pull.number),
    "open_pulls": lambda s, f: f.open_pulls("greenroom/"),
    "failed_jobs": lambda s, f: f.failed_jobs(s.build),
    "remarks": lambda s, f: f.remarks(replace(asked(s.at, "dev", s.pull), review=1)),
    "doubt": lambda s, f: f.doubt(replace(asked(s.at, "dev", s.issue), source="label"), "bot"),
    "new_pull_url": lambda s, f: f.new_pull_url(NEW),
}
WRITES: dict[str, Act] = {
    "acknowledge": lambda s, f: f.acknowledge(asked(s.at, "dev", s.issue)),
    "add_comment": lambda s, f: f.add_comment(s.issue, "Hello"),
    "edit_comment": lambda s, f: f.edit_comment(_comment(s, f), "Done"),
    "delete_comment": lambda s, f: f.delete_comment(_comment(s, f)),
    "commit": lambda s, f: f.commit(BRANCH, s.head(), "Repair it", PATCH, None),
    "commit on top": lambda s, f: f.commit("ready", s.head(), "Repair it", PATCH, s.head()),
    "delete_branch": lambda s, f: f.delete_branch("ready", s.head()),
    "open_pull": lambda s, f: f.open_pull(NEW),
    "update_pull": lambda s, f: f.update_pull(s.pull.number, "There again", "More"),
    "add_labels": lambda s, f: f.add_labels(s.issue, ["bot"]),
    "request_reviews": lambda s, f: f.request_reviews(s.pull.number, ["dev"], []),
}
ALL = READS | WRITES
FAULTS = {
    **{str(status): Fault(status=status) for status in (401, 403, 404, 409, 422, 500)},
    "503 late": Fault(status=503, late=True),
    "429": Fault(status=429, headers={"Retry-After": "0"}),
    "drop": Fault(kind="drop"),
    "drop late": Fault(kind="drop", late=True),
}

#: What is tried again; no answer that was lost makes a thing twice.
PASS_BY_THEMSELVES = ("429", "500", "503 late", "drop", "drop late")
#: A refusal that is easily taken for an answer, and the worst loss; the others run nightly.
OFTEN = ("404", "drop late")


def left(scene: Scene) -> tuple[Any, ...]:
    """What there is at the forge that a call may have made or changed."""
    project = scene.at.project
    entries = [*project.issues.values(), *project.pulls.values()]
    return (
        sorted(comment.body for comment in project.comments.values()),
        sorted((entry.title, entry.body, *entry.labels) for entry in entries),
        sorted((pull.branch, *pull.reviewers) for pull in project.pulls.values()),
        project.git.text("for-each-ref", "--format=%(refname) %(tree)", "refs/heads/"),
        [len(entry.reactions) for entry in entries],
    )


@contextmanager
def undone(scene: Scene) -> Iterator[None]:
    """Puts everything at the forge back at the end."""
    project = scene.at.project
    names = ("issues", "pulls", "comments")
    kept = {name: deepcopy(getattr(project, name)) for name in names}
    branches = project.git.branches()
    yield
    scene.at.fake.faults.clear()
    for name, value in kept.items():
        setattr(project, name, value)
    now = project.git.branches()
    for branch in now.keys() - branches:
        project.git.delete_ref(f"refs/heads/{branch}")
    for branch, _ in branches.items() - now.items():
        project.git.set_ref(f"refs/heads/{branch}", branches[branch])


@pytest.mark.parametrize(
    "kind",
    [kind if kind in OFTEN else pytest.param(kind, marks=pytest.mark.nightly) for kind in FAULTS],
)
def test_an_error_ends_in_success_or_in_one_clear_error_and_nothing_half_made(
    kind: str, tmp_path: Path
) -> None:
    with staged(tmp_path) as scene:
        for name, act in ALL.items():
            before = left(scene)
            with undone(scene):
                act(scene, scene.at.forge())
                after = left(scene)
            assert left(scene) == before
            statuses = list(_each_request(scene, act, FAULTS[kind], before, after))
            assert statuses, f"{name} makes a request"
            if kind in ("401", "403"):
                assert set(statuses) == {int(kind)}, name
            if kind in PASS_BY_THEMSELVES:
                assert set(statuses) == {None}, name


def _each_request(
    scene: Scene, act: Act, fault: Fault, before: Any, after: Any
) -> Iterator[int | None]:
    """Lets `fault` hit each request of a call in turn; gives the status of the error, None for
    success."""
    for skip in count():
        struck = scene.at.fake.faults.add(replace(fault, skip=skip, hits=0))
        with undone(scene):
            status: int | None = None
            try:
                act(scene, scene.at.forge())
            except ForgeError as error:
                status = error.status
                _assert_clear(error, scene)
            now = left(scene)
            assert now in (before, after)
            # What is not there is deleted: a 404 is success.
            assert status is not None or now == after or fault.status == 404
        if struck.hits <= skip:
            return
        yield status


def _assert_clear(error: ForgeError, scene: Scene) -> None:
    assert "GitLab" in error.message or BRANCH in error.message or "ready" in error.message
    assert "\n" not in error.message
    assert scene.at.token not in str(error)


@pytest.mark.parametrize("name", ["me", "add_comment", "commit", "open_pull", "edit_comment"])
def test_what_does_not_pass_is_given_up_with_one_error(name: str, tmp_path: Path) -> None:
    with staged(tmp_path) as scene:
        before = left(scene)
        scene.at.fake.faults.add(Fault(route="^(POST|PUT)|/user$", status=502, times=10**6))
        with pytest.raises(ForgeError, match=r"failing \(502\)") as failed:
            ALL[name](scene, scene.at.forge(login=BOT if name != "me" else ""))
        assert failed.value.status == 502
        assert failed.value.hint
        assert left(scene) == before
        assert scene.at.pauses


@pytest.mark.parametrize("name", ["me", "commit"])
def test_no_answer_in_time_is_like_none(name: str, tmp_path: Path) -> None:
    with staged(tmp_path) as scene:
        impatient = replace(scene, at=replace(scene.at, timeout=1.0))
        scene.at.fake.faults.add(Fault(route="^POST|/user$", kind="hang"))
        ALL[name](impatient, impatient.at.forge(login=BOT if name != "me" else ""))
        assert scene.at.pauses


def test_a_forge_that_asks_to_wait_is_left_alone_as_long(tmp_path: Path) -> None:
    with staged(tmp_path) as scene:
        scene.at.fake.faults.add(Fault(status=429, headers={"Retry-After": "40"}))
        assert scene.at.forge().me() == BOT
        assert scene.at.pauses == [41.0]


def test_a_page_that_is_no_answer_is_told(tmp_path: Path) -> None:
    with staged(tmp_path) as scene:
        scene.at.fake.answer = lambda call, path: Answer(200, b"<html>Sign in</html>")  # type: ignore[method-assign]
        with pytest.raises(ForgeError, match="makes no sense"):
            scene.at.forge().me()
