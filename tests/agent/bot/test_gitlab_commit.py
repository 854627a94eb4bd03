from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.bot.forge import ForgeError, NewPull
from sandbox.patch import EXECUTABLE, FILE, GITLINK, SYMLINK, Change, Patch
from tests.agent.bot.gitlabs import BOT, Desk, desk

BRANCH = "greenroom/1-it#fails%2F"
MESSAGE = "Repair it\n\nGreenroom-Run: 1\nGreenroom-Model: scripted\n"
SIMPLE = Patch((Change("src/app.py", FILE, b"print('yes')\n"),))


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def files(at: Desk, commit: str) -> dict[str, str]:
    listed = at.project.git.run("ls-tree", "-r", "-z", commit).decode().split("\0")[:-1]
    pairs = [line.split("\t") for line in listed]
    return {path: head.split()[0] for head, path in pairs}


def push(at: Desk, branch: str) -> str:
    return at.project.git.commit(branch, {"theirs": "1"}, "Somebody's")


def test_a_commit_on_a_new_branch_has_the_parent_and_the_message(at: Desk) -> None:
    forge, parent = at.forge(), at.head("main") or ""
    made = forge.commit(BRANCH, parent, MESSAGE, SIMPLE, None)
    git = at.project.git
    assert forge.head_of(BRANCH) == made == at.head(BRANCH)
    assert git.text("rev-parse", f"{made}^@") == parent
    assert git.run("show", "-s", "--format=%B", made).decode().strip() == MESSAGE.strip()
    assert git.text("show", "-s", "--format=%an", made) == BOT
    assert git.file("src/app.py", made) == b"print('yes')\n"
    assert files(at, made) == files(at, parent)


def test_every_kind_of_change_becomes_the_tree_that_it_says(at: Desk) -> None:
    git = at.project.git
    parent = git.commit("main", {"link": "src/app.py"}, "Link it", modes={"link": "120000"})
    patch = Patch(
        (
            Change("src/gone.py", None, None),
            Change("src/app.py", EXECUTABLE, b"\xff\x00binary"),
            Change("bin/tool", FILE, b""),
            Change("new/deep/run.sh", EXECUTABLE, b"#!/bin/sh\n"),
            Change("new/deep/ä ö.txt", FILE, b"words"),
            Change("link", FILE, b"no link any more\n"),
            Change("README.md", None, None),
            Change("README.md/inner", FILE, b"a folder now\n"),
        )
    )
    made = at.forge().commit(BRANCH, parent, MESSAGE, patch, None)
    assert files(at, made) == {
        "src/app.py": "100755",
        "bin/tool": "100644",
        "new/deep/run.sh": "100755",
        "new/deep/ä ö.txt": "100644",
        "link": "100644",
        "README.md/inner": "100644",
    }
    for change in patch:
        if not change.deleted:
            assert git.file(change.path, made) == change.content


def test_a_file_that_stays_executable_stays_so(at: Desk) -> None:
    patch = Patch((Change("bin/tool", EXECUTABLE, b"#!/bin/sh\ntrue\n"),))
    made = at.forge().commit(BRANCH, at.head("main") or "", MESSAGE, patch, None)
    assert files(at, made)["bin/tool"] == "100755"


def test_a_link_is_deleted(at: Desk) -> None:
    git = at.project.git
    parent = git.commit("main", {"link": "src/app.py"}, "Link it", modes={"link": "120000"})
    made = at.forge().commit(BRANCH, parent, MESSAGE, Patch((Change("link", None, None),)), None)
    assert "link" not in files(at, made)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (Change("link", SYMLINK, b"src/app.py"), "symbolic link"),
        (Change("module", GITLINK, b"0" * 40), "mode 160000"),
        (Change("bad\udcff", FILE, b""), "not UTF-8"),
    ],
)
def test_what_gitlab_cannot_store_is_refused_before_any_call(
    at: Desk, change: Change, said: str
) -> None:
    at.fake.calls.clear()
    with pytest.raises(ForgeError, match=said) as refused:
        at.forge().commit(BRANCH, at.head("main") or "", MESSAGE, Patch((change,)), None)
    assert refused.value.hint
    assert at.fake.calls == []


def test_the_next_commit_goes_on_top(at: Desk) -> None:
    forge, parent = at.forge(), at.head("main") or ""
    first = forge.commit(BRANCH, parent, MESSAGE, SIMPLE, None)
    second = forge.commit(BRANCH, first, MESSAGE, Patch((Change("more", FILE, b""),)), first)
    assert at.project.git.text("rev-parse", f"{second}^@") == first
    assert forge.head_of(BRANCH) == second


def test_a_branch_is_made_anew_from_another_parent(at: Desk) -> None:
    forge = at.forge()
    first = forge.commit(BRANCH, at.head("main") or "", MESSAGE, SIMPLE, None)
    parent = push(at, "main")
    second = forge.commit(BRANCH, parent, MESSAGE, SIMPLE, first)
    assert at.project.git.text("rev-parse", f"{second}^@") == parent
    assert forge.head_of(BRANCH) == second


def test_a_branch_that_is_elsewhere_is_left_alone(at: Desk) -> None:
    forge, parent = at.forge(), at.head("main") or ""
    first = forge.commit(BRANCH, parent, MESSAGE, SIMPLE, None)
    theirs = push(at, BRANCH)
    for expected in (None, first):
        with pytest.raises(ForgeError) as refused:
            forge.commit(BRANCH, parent, MESSAGE, SIMPLE, expected)
        assert refused.value.status == 409
    assert at.head(BRANCH) == theirs


def test_a_branch_that_is_gone_is_not_made_again(at: Desk) -> None:
    forge, parent = at.forge(), at.head("main") or ""
    with pytest.raises(ForgeError) as refused:
        forge.commit(BRANCH, parent, MESSAGE, SIMPLE, parent)
    assert refused.value.status == 409
    assert at.head(BRANCH) is None


def test_a_branch_made_in_the_same_moment_is_left_alone(at: Desk) -> None:
    def meanwhile(call: str) -> None:
        if call.startswith("POST"):
            at.project.git.set_ref(f"refs/heads/{BRANCH}", at.head("main") or "")

    at.fake.meanwhile = meanwhile
    with pytest.raises(ForgeError, match="is there already") as refused:
        at.forge().commit(BRANCH, at.head("main") or "", MESSAGE, SIMPLE, None)
    assert refused.value.status == 409
    assert at.head(BRANCH) == at.head("main")


def test_a_push_in_the_same_moment_is_kept_and_told(at: Desk) -> None:
    forge = at.forge()
    first = forge.commit(BRANCH, at.head("main") or "", MESSAGE, SIMPLE, None)
    pushed: list[str] = []

    def meanwhile(call: str) -> None:
        if call.startswith("POST"):
            pushed.append(push(at, BRANCH))

    at.fake.meanwhile = meanwhile
    with pytest.raises(ForgeError, match="at the same moment") as refused:
        forge.commit(BRANCH, first, MESSAGE, Patch((Change("more", FILE, b""),)), first)
    assert refused.value.status == 409
    assert at.project.git.text("rev-parse", f"refs/heads/{BRANCH}^") == pushed[0]


def test_a_bot_without_the_right_to_push_works_in_its_fork(at: Desk) -> None:
    at.project.roles[BOT] = "read"
    fork = at.store.fork("team/app", f"{BOT}/app")
    parent = push(at, "main")
    token = at.store.token(BOT, "personal", {"api": "write"})
    forge = at.forge(token, fork=fork.name)
    made = forge.commit(BRANCH, parent, MESSAGE, SIMPLE, None)
    assert (forge.head_of(BRANCH), fork.git.head(BRANCH), at.head(BRANCH)) == (made, made, None)
    assert forge.base_commit("main") == parent
    opened = forge.open_pull(NewPull("Repair it", "", BRANCH, "main", True))
    assert opened.fork
    assert opened.clone_url == f"{at.fake.url}/{fork.name}.git"
    assert [each.number for each in forge.open_pulls("greenroom/")] == [opened.number]
    assert at.project.pulls[opened.number].commit == made
    forge.delete_branch(BRANCH, made)
    assert fork.git.head(BRANCH) is None


def test_the_project_itself_is_no_fork(at: Desk) -> None:
    forge = at.forge(fork="Team/App")
    made = forge.commit(BRANCH, at.head("main") or "", MESSAGE, SIMPLE, None)
    assert at.head(BRANCH) == made
    assert not forge.open_pull(NewPull("Repair it", "", BRANCH, "main", True)).fork


def test_a_branch_is_deleted_only_where_it_is_expected(at: Desk) -> None:
    forge, parent = at.forge(), at.head("main") or ""
    made = forge.commit(BRANCH, parent, MESSAGE, SIMPLE, None)
    forge.delete_branch(BRANCH, parent)
    assert at.head(BRANCH) == made
    forge.delete_branch(BRANCH, made)
    assert at.head(BRANCH) is None
    forge.delete_branch(BRANCH, made)
