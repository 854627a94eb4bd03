import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.bot.forge import ForgeError, NewPull
from agent.bot.github import connect
from agent.bot.trigger import Actor, Place
from sandbox.errors import SetupError
from sandbox.patch import EXECUTABLE, FILE, GITLINK, SYMLINK, Change, Patch
from tests.agent.bot.githubs import BOT, FILES, NAME, WRITES, Desk, asked, desk
from tests.fakes.forge.faults import Fault

PATCH = Patch(
    (
        Change("src/app.py", FILE, b"print('yes')\n"),
        Change("src/gone.py", None, None),
        Change("bin/run me", EXECUTABLE, b"#!/bin/sh\n\xff"),
        Change("bin/link", SYMLINK, b"run me"),
    )
)
NEW = NewPull("Fix it", "It was broken.\n", "greenroom/1-it", "main", draft=True)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def committed(here: Desk, branch: str = "greenroom/1-it") -> str:
    return here.forge().commit(branch, here.head("main"), "Fix it\n", PATCH, None)


def test_repository_says_what_it_is(here: Desk) -> None:
    found = here.forge().repository()
    assert (found.name, found.default_branch, found.private) == (NAME, "main", False)
    assert found.clone_url == f"{here.fake.url}/{NAME}.git"
    assert here.token not in found.clone_url
    here.project.private = True
    assert here.forge().repository().private


@pytest.mark.parametrize(
    ("kind", "login"), [("actions", BOT), ("app", "greenroom-app[bot]"), ("user", "robot")]
)
def test_me_serves_each_kind_of_token(here: Desk, kind: str, login: str) -> None:
    forge = here.forge(here.store.token(login, kind, WRITES))
    account = here.store.user(login)
    assert forge.me() == login
    assert forge.identity() == f"{login} <{account.id}+{login}@users.noreply.127.0.0.1>"


@pytest.mark.parametrize(
    ("login", "may"),
    [("rob", True), ("max", True), ("ann", True), ("tim", False), ("ron", False), ("who", False)],
)
def test_only_who_may_push_may_write(here: Desk, login: str, may: bool) -> None:
    assert here.forge().may_write(here.actor(login)) is may


def test_another_account_under_the_same_login_may_not_write(here: Desk) -> None:
    actor = here.actor("ann")
    assert not here.forge().may_write(replace(actor, id=actor.id + 1))
    assert not here.forge().may_write(Actor("never/there", 1))


def test_files_large_small_and_none(here: Desk) -> None:
    large = bytes(range(256)) * 8192
    commit = here.project.git.commit("main", {"a b/ü?#.bin": large}, "Large")
    forge = here.forge()
    assert forge.file("src/app.py", commit) == FILES["src/app.py"].encode()
    assert forge.file("a b/ü?#.bin", commit) == large
    assert forge.file("src", commit) is None
    assert forge.file("src/none.py", commit) is None


def test_heads_of_branches(here: Desk) -> None:
    forge = here.forge()
    assert forge.base_commit("main") == forge.head_of("main") == here.head("main")
    assert forge.head_of("greenroom/none") is None
    with pytest.raises(ForgeError, match="no branch none") as caught:
        forge.base_commit("none")
    assert caught.value.status == 404


def test_reactions_go_where_the_request_stood(here: Desk) -> None:
    place = here.issue()
    pull = here.store.pull(here.project, "ann", "Mine", "", "main")
    comment = here.store.comment(here.project, place.number, False, "ann", "/greenroom fix")
    review = here.store.review(here.project, pull.number, "ann")
    remark = here.store.remark(here.project, review, "src/app.py", 1, "No", "ann")
    forge = here.forge()
    for target, number, reactions in (
        ("issue", place.number, here.project.issues[place.number].reactions),
        ("pull", pull.number, pull.reactions),
        ("comment", comment.id, comment.reactions),
        ("review comment", remark.id, remark.reactions),
    ):
        for _ in range(2):
            forge.acknowledge(asked(here, "ann", place, target, number))
        assert [(each.author, each.content) for each in reactions] == [(BOT, "eyes")]
    before = len(here.fake.calls)
    forge.acknowledge(asked(here, "ann", None, None))
    assert len(here.fake.calls) == before


def test_comments_are_made_found_edited_and_deleted(here: Desk) -> None:
    place, forge = here.issue(), here.forge()
    for number in range(101):
        here.store.comment(here.project, place.number, False, "stranger", f"{number}")
    first = forge.add_comment(place, "Working on it")
    second = forge.add_comment(place, "Again")
    assert forge.my_comments(place) == [first, second]
    assert (first.place, first.author, first.body) == (place, BOT, "Working on it")
    forge.edit_comment(first, "Done")
    forge.delete_comment(second)
    forge.delete_comment(second)
    assert [each.body for each in forge.my_comments(place)] == ["Done"]


def test_recent_comments_are_the_bots_own_wherever_they_are(here: Desk) -> None:
    issue, forge = here.issue(), here.forge()
    pull = here.store.pull(here.project, BOT, "Mine", "", "main")
    here.store.comment(here.project, issue.number, False, "stranger", "not mine")
    old = here.store.comment(here.project, issue.number, False, BOT, "old")
    old.updated_at -= timedelta(days=2)
    mine = forge.add_comment(issue, "one")
    other = forge.add_comment(Place(pull.number, pull=True), "two")
    since = datetime.now(UTC) - timedelta(days=1)
    assert forge.my_recent_comments(since) == [mine, other]
    assert [each.place.pull for each in (mine, other)] == [False, True]


def test_a_commit_keeps_modes_links_and_deletions(here: Desk) -> None:
    sha, git = committed(here), here.project.git
    assert git.head("greenroom/1-it") == sha
    listed = git.text("ls-tree", "-r", "--format=%(objectmode) %(path)", sha).splitlines()
    assert sorted(listed) == [
        "100644 README.md",
        "100644 src/app.py",
        "100755 bin/run me",
        "120000 bin/link",
    ]
    assert git.file("bin/run me", sha) == b"#!/bin/sh\n\xff"
    assert git.file("bin/link", sha) == b"run me"
    assert git.text("show", "-s", "--format=%P %an", sha) == f"{here.head('main')} {BOT} (signed)"


def test_a_branch_moves_only_from_where_it_is_expected(here: Desk) -> None:
    forge, base = here.forge(), here.head("main")
    first = committed(here)
    for expected in (None, base):
        with pytest.raises(ForgeError) as caught:
            forge.commit("greenroom/1-it", base, "Again", PATCH, expected)
        assert caught.value.status == 409
    with pytest.raises(ForgeError) as caught:
        forge.commit("greenroom/none", base, "Again", PATCH, base)
    assert caught.value.status == 409
    assert here.head("greenroom/1-it") == first
    change = Patch((Change("src/app.py", FILE, b"print('better')\n"),))
    onward = forge.commit("greenroom/1-it", first, "On top", change, first)
    assert here.head("greenroom/1-it") == onward
    anew = forge.commit("greenroom/1-it", base, "Anew", PATCH, onward)
    assert here.head("greenroom/1-it") == anew
    assert here.project.git.text("show", "-s", "--format=%P", anew) == base


@pytest.mark.parametrize("new", [True, False])
def test_a_push_between_the_look_and_the_move_wins(here: Desk, new: bool) -> None:
    base = here.head("main")
    expected = None if new else committed(here)
    theirs = ""

    answer = here.fake.answer

    def pushing(call, path):  # type: ignore[no-untyped-def]
        nonlocal theirs
        if not theirs and re.search(r"/git/refs", path):
            theirs = here.project.git.commit("greenroom/1-it", {"theirs": "x"}, "Theirs")
        return answer(call, path)

    here.fake.answer = pushing  # type: ignore[method-assign]
    change = Patch((Change("src/app.py", FILE, b"print('mine')\n"),))
    with pytest.raises(ForgeError) as caught:
        here.forge().commit("greenroom/1-it", expected or base, "Mine", change, expected)
    assert caught.value.status == 409
    assert here.head("greenroom/1-it") == theirs


@pytest.mark.parametrize(
    "change", [Change("sub", GITLINK, b""), Change("na\udcffme", FILE, b"x")], ids=["mode", "name"]
)
def test_what_github_cannot_store_is_refused_before_anything_is_sent(
    here: Desk, change: Change
) -> None:
    with pytest.raises(ForgeError, match="cannot store"):
        here.forge().commit("b", here.head("main"), "m", Patch((change,)), None)
    assert here.fake.calls == []


def test_a_branch_is_deleted_only_where_it_is_expected(here: Desk) -> None:
    forge, sha = here.forge(), committed(here)
    forge.delete_branch("greenroom/1-it", here.head("main"))
    assert here.head("greenroom/1-it") == sha
    forge.delete_branch("greenroom/1-it", sha)
    assert forge.head_of("greenroom/1-it") is None
    forge.delete_branch("greenroom/1-it", sha)


def test_a_pull_request_is_opened_read_and_updated(here: Desk) -> None:
    forge, sha = here.forge(), committed(here)
    made = forge.open_pull(NEW)
    assert (made.state, made.draft, made.fork, made.commit) == ("open", True, False, sha)
    assert (made.title, made.body, made.author) == (NEW.title, NEW.body, BOT)
    assert forge.open_pulls("greenroom/1-") == [made]
    assert forge.open_pulls("greenroom/2-") == []
    changed = forge.update_pull(made.number, "Better", "Text")
    assert (changed.title, changed.body) == ("Better", "Text")
    with pytest.raises(ForgeError, match="already exists") as caught:
        forge.open_pull(NEW)
    assert caught.value.status == 409
    for state in ("closed", "merged"):
        here.project.pulls[made.number].state = state  # type: ignore[assignment]
        assert forge.pull(made.number).state == state
    assert forge.open_pulls("greenroom/1-") == []


def test_open_pulls_leaves_out_those_of_others(here: Desk) -> None:
    committed(here)
    here.store.fork(NAME, "eve/app")
    here.store.pull(here.project, "eve", "Not ours", "", "greenroom/1-it")
    here.store.projects["eve/app"].git.commit("greenroom/1-it", {"x": "y"}, "m")
    here.store.pull(here.project, BOT, "Elsewhere", "", "greenroom/1-it", head="eve/app")
    assert here.forge().open_pulls("greenroom/1-") == []


def test_a_fork_is_the_home_of_the_bots_branches(here: Desk) -> None:
    here.store.fork(NAME, "helper/app-fork")
    base = here.project.git.commit("main", {"late": "after the fork\n"}, "Later")
    forge = here.forge(here.store.token("helper", "user"), fork="helper/app-fork")
    sha = forge.commit(NEW.branch, base, "Fix", PATCH, None)
    assert here.project.git.head(NEW.branch) is None
    assert forge.head_of(NEW.branch) == sha
    made = forge.open_pull(NEW)
    assert (made.fork, made.commit) == (True, sha)
    assert made.clone_url == f"{here.fake.url}/helper/app-fork.git"
    assert forge.open_pulls("greenroom/1-") == [made]
    assert f"/compare/main...helper%3Aapp-fork%3A{NEW.branch}?" in forge.new_pull_url(NEW)
    del here.store.projects["helper/app-fork"]
    assert forge.pull(made.number).clone_url == f"{here.fake.url}/{NAME}.git"
    assert forge.pull(made.number).fork


def test_settings_that_forbid_pull_requests_are_named(here: Desk) -> None:
    committed(here)
    here.project.settings["drafts"] = False
    with pytest.raises(ForgeError) as caught:
        here.forge().open_pull(NEW)
    assert 'pull_request = "ready"' in caught.value.hint
    here.project.settings["actions_may_open_pulls"] = False
    with pytest.raises(ForgeError) as caught:
        here.forge().open_pull(NEW)
    assert caught.value.status == 403
    assert "allow GitHub Actions to create" in caught.value.hint


def test_labels_are_added(here: Desk) -> None:
    place, forge = here.issue(), here.forge()
    here.project.issues[place.number].labels = ["old"]
    forge.add_labels(place, ["greenroom", "old"])
    assert here.project.issues[place.number].labels == ["old", "greenroom"]
    before = len(here.fake.calls)
    forge.add_labels(place, [])
    assert len(here.fake.calls) == before


def test_reviews_are_asked_of_those_that_github_takes(here: Desk) -> None:
    committed(here)
    forge = here.forge(here.store.token("greenroom-app[bot]", "app", WRITES))
    made = forge.open_pull(NEW)
    forge.request_reviews(made.number, ["ann"], ["acme/core"])
    pull = here.project.pulls[made.number]
    assert (pull.reviewers, pull.teams) == (["ann"], ["core"])
    with pytest.raises(ForgeError, match=r"review of: nobody\.") as caught:
        forge.request_reviews(made.number, ["nobody", "max"], [])
    assert caught.value.status == 422
    assert pull.reviewers == ["ann", "max"]
    before = len(here.fake.calls)
    forge.request_reviews(made.number, [], [])
    assert len(here.fake.calls) == before


def test_failed_jobs_come_with_the_ends_of_their_logs(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.bot.github_build.MOST_LOG", 64)
    stamp = b"2026-11-27T10:00:00.1234567Z "
    log = stamp + b"start\n" + b"x" * 100 + b"\n" + stamp + b"FAILED \xff\n"
    build = here.build(
        ("lint", "success", b""), ("tests", "failure", log), ("slow", "timed_out", b"")
    )
    first, second = here.forge().failed_jobs(build)
    assert (first.name, second.name) == ("tests", "slow")
    assert first.log.endswith("x\nFAILED \ufffd\n")
    assert len(first.log) <= 64
    del here.project.builds[build.id].jobs[1:]
    assert here.forge().failed_jobs(build) == []


def test_a_log_that_is_gone_is_empty(here: Desk) -> None:
    build = here.build(("tests", "failure", b"log"))
    here.fake.faults.add(Fault("/logs$", status=410, times=9))
    assert [job.log for job in here.forge().failed_jobs(build)] == [""]


def test_remarks_are_the_actors_own_as_they_were_sent(here: Desk) -> None:
    committed(here)
    pull = here.store.pull(here.project, BOT, "Mine", "", "greenroom/1-it")
    review = here.store.review(here.project, pull.number, "ann")
    here.store.remark(here.project, review, "src/app.py", 3, "Use b", "ann")
    here.store.remark(here.project, review, "src/app.py", 4, "Forged", "eve")
    late = here.store.remark(here.project, review, "src/app.py", 5, "Edited", "ann")
    late.updated_at += timedelta(minutes=1)
    place = Place(pull.number, pull=True)
    forge = here.forge()
    found = forge.remarks(asked(here, "ann", place, None, review=review.id))
    assert [(each.path, each.line, each.text) for each in found] == [("src/app.py", 3, "Use b")]
    assert forge.remarks(asked(here, "max", place, None, review=review.id)) == ()
    assert forge.remarks(asked(here, "ann", place, None)) == ()


def test_recent_messages_leave_out_merges(here: Desk) -> None:
    git, before = here.project.git, here.head("main")
    for number in range(25):
        git.commit("main", {"n": f"{number}"}, f"Change {number}\n\nSigned-off-by: A <a@b.c>")
    tree = git.text("rev-parse", "main^{tree}")
    merge = git.commit_tree(tree, [here.head("main"), before], "Merge it")
    git.set_ref("refs/heads/main", merge)
    messages = here.forge().recent_messages("main")
    assert len(messages) == 20
    assert messages[0].startswith("Change 24\n\nSigned-off-by: A <a@b.c>")


def test_addresses(here: Desk) -> None:
    forge, at = here.forge(), f"{here.fake.url}/{NAME}"
    assert forge.issue_url(Place(3)) == f"{at}/issues/3"
    assert forge.issue_url(Place(4, pull=True)) == f"{at}/pull/4"
    url = forge.new_pull_url(replace(NEW, title="A & b", body="line ü\n" * 5000))
    assert url.startswith(f"{at}/compare/main...greenroom/1-it?expand=1&title=A+%26+b&body=line+")
    assert len(url) < 8000


def test_a_token_that_only_reads_writes_nothing(here: Desk) -> None:
    place = here.issue()
    forge = here.forge(here.store.token(BOT, "actions", {"contents": "read"}, NAME))
    with pytest.raises(ForgeError, match=r"\(403\)") as caught:
        forge.add_comment(place, "no")
    assert caught.value.hint == "It needs the permission issues=write; pull_requests=write."
    with pytest.raises(ForgeError, match=r"\(403\)"):
        forge.commit("b", here.head("main"), "m", PATCH, None)
    assert here.project.comments == {}


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_REPOSITORY"])
def test_what_a_job_lacks_is_named(missing: str) -> None:
    variables = {"GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "a/b"}
    with pytest.raises(SetupError, match=missing):
        connect({**variables, missing: ""})
