"""Each error of a forge at each call in turn: every operation ends in its result or in one clear
ForgeError, and nothing is there twice."""

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.bot.calls import MOST_WAIT
from agent.bot.forge import ForgeError, NewPull
from agent.bot.github import GitHub
from agent.bot.github_api import Api
from agent.bot.trigger import Place, Trigger
from sandbox.patch import EXECUTABLE, FILE, Change, Patch
from tests.agent.bot.githubs import BOT, NAME, Desk, asked, desk
from tests.fakes.forge.faults import Fault

PATCH = Patch((Change("src/app.py", FILE, b"yes\n"), Change("bin/run", EXECUTABLE, b"#!/bin/sh\n")))
SINCE = datetime.now(UTC) - timedelta(days=1)
ALWAYS = 1000
FAULTS = {
    **{f"{status}": Fault(status=status, times=ALWAYS) for status in (401, 403, 404, 409, 422)},
    "429": Fault(status=429, headers={"Retry-After": "7"}),
    "429 for long": Fault(status=429, headers={"Retry-After": "3600"}, times=ALWAYS),
    "rate limit": Fault(
        # The place where logs lie knows no such limit.
        "/v3/|graphql",
        status=403,
        message="You have exceeded a secondary rate limit.",
    ),
    "500": Fault(status=500),
    "502 for long": Fault(status=502, times=ALWAYS),
    "503 though done": Fault(status=503, late=True),
    "drop": Fault(kind="drop"),
    "drop though done": Fault(kind="drop", late=True),
    "drop for long": Fault(kind="drop", times=ALWAYS),
    "drop for long though done": Fault(kind="drop", late=True, times=ALWAYS),
}
#: Those after which an operation has to succeed.
PASSING = ("429", "rate limit", "500", "503 though done", "drop", "drop though done")
#: As many as the default run has time for; the rest is nightly.
QUICK = ("429", "503 though done", "drop for long though done")


@dataclass(frozen=True)
class Scene:
    """A repository in which each operation finds what it works on."""

    desk: Desk
    issue: Place
    pull: Place
    branch: str
    trigger: Trigger
    kept: Any

    def reset(self) -> None:
        """Puts everything back to where the scene began."""
        project, git = self.desk.project, self.desk.project.git
        data, branches = copy.deepcopy(self.kept)
        vars(project).update(data)
        now = git.branches()
        for name in now.keys() - branches.keys():
            git.delete_ref(f"refs/heads/{name}")
        for name, commit in branches.items():
            if now.get(name) != commit:
                git.set_ref(f"refs/heads/{name}", commit)
        self.desk.fake.faults.clear()
        self.desk.pauses.clear()
        self.desk.said.clear()
        self.desk.fake.calls.clear()

    def state(self) -> Any:
        """What is there, without ids, times and what differs by them alone."""
        project = self.desk.project
        git, entries = project.git, [*project.issues.values(), *project.pulls.values()]
        return (
            sorted((each.number, each.author, each.body) for each in project.comments.values()),
            git.text("for-each-ref", "--format=%(refname) %(tree)", "refs/heads/"),
            [(each.number, each.state, each.title, each.body) for each in entries],
            [(*each.labels, len(each.reactions)) for each in entries],
            [tuple(each.reviewers) for each in project.pulls.values()],
        )


def _kept(desk: Desk) -> Any:
    data = {k: v for k, v in vars(desk.project).items() if k not in ("git", "name")}
    return copy.deepcopy((data, desk.project.git.branches()))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with desk(tmp_path_factory.mktemp("forge")) as here:
        project, git = here.project, here.project.git
        issue = here.issue()
        for branch in ("greenroom/2-open", "greenroom/3-new"):
            git.set_ref(f"refs/heads/{branch}", here.head("main"))
            git.commit(branch, {"README.md": "# Changed\n"}, "Fix")
        pull = here.store.pull(project, BOT, "Fix", "Text", "greenroom/2-open")
        here.store.comment(project, issue.number, False, BOT, "mine")
        review = here.store.review(project, pull.number, "ann")
        here.store.remark(project, review, "src/app.py", 1, "No", "ann")
        here.build(("tests", "failure", b"FAILED\n"))
        place = Place(pull.number, pull=True)
        trigger = asked(here, "ann", place, "pull", place.number, review.id)
        yield Scene(here, issue, place, "greenroom/2-open", trigger, _kept(here))


def _comment(forge: GitHub, scene: Scene) -> Any:
    return forge.my_comments(scene.issue)[0]


def _new(scene: Scene) -> NewPull:
    return NewPull("New", "Body", "greenroom/3-new", "main", draft=True)


def _build(scene: Scene) -> Any:
    from agent.bot.trigger import Build

    run = next(iter(scene.desk.project.builds.values()))
    return Build(run.id, run.name, "", run.commit, run.branch, fork=False)


def _commit(forge: GitHub, scene: Scene, branch: str, parent: str, expected: str | None) -> str:
    """The tree of the commit that is made, and where the branch is then."""
    sha = forge.commit(branch, parent, "Fix", PATCH, expected)
    assert scene.desk.head(branch) == sha
    return scene.desk.project.git.text("rev-parse", sha + "^{tree}")


Operation = Callable[[GitHub, Scene], Any]
OPERATIONS: dict[str, Operation] = {
    "repository": lambda forge, scene: forge.repository(),
    "me": lambda forge, scene: forge.me(),
    "identity": lambda forge, scene: forge.identity(),
    "may_write": lambda forge, scene: forge.may_write(scene.trigger.actor),
    "file": lambda forge, scene: forge.file("src/app.py", scene.desk.head("main")),
    "head_of": lambda forge, scene: forge.head_of("main"),
    "base_commit": lambda forge, scene: forge.base_commit("main"),
    "contains": lambda forge, scene: forge.contains(scene.branch, scene.desk.head("main")),
    "acknowledge": lambda forge, scene: forge.acknowledge(scene.trigger),
    "my_comments": lambda forge, scene: forge.my_comments(scene.issue),
    "my_recent_comments": lambda forge, scene: forge.my_recent_comments(SINCE),
    "add_comment": lambda forge, scene: replace(
        forge.add_comment(scene.issue, "new"), id=0, updated_at=SINCE
    ),
    "edit_comment": lambda forge, scene: forge.edit_comment(_comment(forge, scene), "edited"),
    "delete_comment": lambda forge, scene: forge.delete_comment(_comment(forge, scene)),
    "issue": lambda forge, scene: forge.issue(scene.issue),
    "pull": lambda forge, scene: forge.pull(scene.pull.number),
    "open_pulls": lambda forge, scene: forge.open_pulls("greenroom/2"),
    "commit": lambda forge, scene: _commit(
        forge, scene, "greenroom/9", scene.desk.head("main"), None
    ),
    "commit on top": lambda forge, scene: _commit(
        *(forge, scene, scene.branch, scene.desk.head(scene.branch)),
        scene.desk.head(scene.branch),
    ),
    "commit anew": lambda forge, scene: _commit(
        forge, scene, scene.branch, scene.desk.head("main"), scene.desk.head(scene.branch)
    ),
    "delete_branch": lambda forge, scene: forge.delete_branch(
        "greenroom/3-new", scene.desk.head("greenroom/3-new")
    ),
    "open_pull": lambda forge, scene: forge.open_pull(_new(scene)),
    "update_pull": lambda forge, scene: forge.update_pull(scene.pull.number, "T", "B"),
    "add_labels": lambda forge, scene: forge.add_labels(scene.issue, ["one"]),
    "request_reviews": lambda forge, scene: forge.request_reviews(
        scene.pull.number, ["ann", "max"], []
    ),
    "failed_jobs": lambda forge, scene: forge.failed_jobs(_build(scene)),
    "remarks": lambda forge, scene: forge.remarks(scene.trigger),
    "recent_messages": lambda forge, scene: forge.recent_messages("main"),
    "head_message": lambda forge, scene: forge.head_message("main"),
}


def _sound(scene: Scene, operation: Operation) -> tuple[Any, Any, Any, int]:
    """The operation's result, the state before and after it, and how many calls it makes."""
    scene.reset()
    before = scene.state()
    found = operation(scene.desk.forge(), scene)
    return found, before, scene.state(), len(scene.desk.fake.calls)


@pytest.mark.parametrize(
    "fault",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.nightly) for name in FAULTS],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_at_any_call_ends_well(scene: Scene, operation: str, fault: str) -> None:
    ask = OPERATIONS[operation]
    found, before, after, calls = _sound(scene, ask)
    assert calls
    for skip in range(calls):
        scene.reset()
        scene.desk.fake.faults.add(replace(FAULTS[fault], skip=skip))
        try:
            result = ask(scene.desk.forge(), scene)
        except ForgeError as problem:
            assert fault not in PASSING, problem
            _is_clear(problem, scene)
            # A write that was done although every answer was lost is done, and once.
            assert scene.state() in (before, after) or operation == "request_reviews"
        else:
            state = scene.state()
            assert state in (before, after)
            if fault in PASSING:
                assert (result, state) == (found, after)
        assert sum(scene.desk.pauses) <= MOST_WAIT + 30


def _is_clear(problem: ForgeError, scene: Scene) -> None:
    assert problem.message.startswith(("GitHub", "The branch", "There is no branch"))
    assert "\n" not in problem.message
    assert problem.hint or problem.status in (409, 422)
    assert scene.desk.token not in f"{problem}{scene.desk.said}"


def test_a_hanging_server_is_left(scene: Scene) -> None:
    scene.reset()
    api = Api(scene.desk.fake.api_url, scene.desk.token, timeout=0.2, sleep=lambda seconds: None)
    scene.desk.fake.faults.add(Fault(kind="hang"))
    forge = GitHub(api, NAME, scene.desk.fake.url)
    assert forge.repository().name == NAME


def test_a_long_comment_that_timed_out_is_there_once(scene: Scene) -> None:
    scene.reset()
    for _ in range(150):
        scene.desk.store.comment(scene.desk.project, scene.issue.number, False, "x", "chatter")
    scene.desk.fake.faults.add(Fault("POST .*/comments", kind="drop", late=True))
    made = scene.desk.forge().add_comment(scene.issue, "Line\r\nline\n")
    assert [each.id for each in scene.desk.forge().my_comments(scene.issue)][1:] == [made.id]


def test_pauses_grow_and_are_told(scene: Scene) -> None:
    scene.reset()
    scene.desk.fake.faults.add(Fault(status=503, times=2))
    scene.desk.fake.faults.add(Fault(status=429, headers={"Retry-After": "30"}))
    scene.desk.forge().repository()
    assert scene.desk.pauses == [1, 2, 31]
    assert scene.desk.said[2] == (
        "GitHub, asked to read the repository: 429 made to fail by the test; again in 31 s"
    )


def test_a_wait_that_is_too_long_is_not_waited(scene: Scene) -> None:
    scene.reset()
    scene.desk.fake.faults.add(Fault(status=429, headers={"Retry-After": "3600"}, times=ALWAYS))
    with pytest.raises(ForgeError) as caught:
        scene.desk.forge().repository()
    assert scene.desk.pauses == []
    assert caught.value.status == 429
    assert caught.value.hint == "It asks to wait 3600 s. Run the job again after that."


def test_names_of_operations_cover_the_protocol() -> None:
    from agent.bot.forge import Forge

    asked = {name for name in vars(Forge) if not name.startswith("_")}
    offline = {"use_fork", "new_pull_url", "issue_url"}
    covered = set(itertools.chain(OPERATIONS, offline))
    assert asked <= covered
