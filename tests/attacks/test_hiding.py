"""Attacks that hide a change from the patch that leaves the sandbox, or put more into it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.container import Sandbox
from sandbox.errors import PatchError
from sandbox.image import Image
from sandbox.trees import Base, TreeStore
from tests.attacks.controls import POLICY, attack_in, sandbox_without

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
FILES = [
    (".gitignore", 0o100644, b"*.log\n"),
    ("a.py", 0o100644, b"a = 1\n"),
    ("b.py", 0o100644, b"b = 1\n"),
    ("lib/x.py", 0o100644, b"x = 1\n"),
]


STAGED = "git add -A 2>/dev/null; git diff --cached --raw"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    store = TreeStore.create(tmp_path_factory.mktemp("hiding") / "store")
    return Base(store, store.add_tree(FILES), ignore=(("", ("*.log",)),))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(image: Image, base: Base) -> AsyncIterator[Sandbox]:
    async with Sandbox.open(image, base, POLICY, resettable=True) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(room: Sandbox) -> Sandbox:
    await room.reset()
    return room


async def test_a_write_through_a_shared_mapping_is_found(
    box: Sandbox, image: Image, base: Base
) -> None:
    # It leaves the times of the file as they were.
    script = (
        "import mmap\nm = mmap.mmap(os.open('a.py', os.O_RDWR), 6); m[0]\n"
        "m[4:5] = b'7'; m.close()\n"
    )
    before = await box.run("stat -c '%y %z' a.py")
    await attack_in(box, script)
    assert (await box.run("stat -c '%y %z' a.py")).output == before.output
    assert [change.content for change in await box.delta()] == [b"a = 7\n"]
    async with sandbox_without("comparing contents", image=image, base=base) as bare:
        await attack_in(bare, script)
        assert not await bare.delta()


async def test_a_write_with_the_old_times_is_found(box: Sandbox) -> None:
    await box.run("touch -r a.py /tmp/t; echo 'a = 2' > a.py; touch -r /tmp/t a.py")
    # By size and modification time, as others compare, nothing happened.
    same = await box.run("[ ! a.py -nt /tmp/t ] && [ ! a.py -ot /tmp/t ] && stat -c %s a.py")
    assert same.output.text == "6\n"
    assert (await box.delta()).paths == ("a.py",)


async def test_rules_written_inside_do_not_hide_anything(box: Sandbox) -> None:
    await box.run("echo '*' > .gitignore; echo > sneaky.py; echo '*' > .git/info/exclude")
    assert (await box.run("git status --short sneaky.py")).output.text == ""
    assert (await box.delta()).paths == (".gitignore", "sneaky.py")


async def test_marks_in_the_git_index_do_not_hide_anything(box: Sandbox) -> None:
    await box.run(
        "git update-index --assume-unchanged a.py; git update-index --skip-worktree b.py;"
        "echo 'a = 2' > a.py; echo 'b = 2' > b.py"
    )
    assert (await box.run("git status --short; git diff")).output.text == ""
    assert (await box.delta()).paths == ("a.py", "b.py")


async def test_replaced_objects_do_not_hide_anything(box: Sandbox) -> None:
    await box.run(
        "echo 'a = 2' > a.py; new=$(git hash-object -w a.py); git replace HEAD:a.py $new;"
        "git update-index --cacheinfo 100644,$(git rev-parse HEAD:a.py),a.py"
    )
    assert (await box.run("git show HEAD:a.py; git diff HEAD")).output.text == "a = 2\n"
    assert (await box.delta()).paths == ("a.py",)


async def test_attributes_do_not_hide_a_change_of_line_ends(box: Sandbox) -> None:
    await box.run("echo '* text=auto' > .gitattributes; sed -i 's/$/\\r/' a.py")
    assert "a.py" not in (await box.run("git diff --stat 2>/dev/null")).output.text
    assert (await box.delta()).paths == (".gitattributes", "a.py")


async def test_a_repository_inside_is_no_submodule_and_is_named(box: Sandbox) -> None:
    await box.run(
        "git init -q lib; echo 'x = 2' > lib/new.py; git init -q own; echo > own/y.py;"
        "git -C own add .; git -C own -c user.name=x -c user.email=x@x commit -qm x"
    )
    assert (await box.delta()).paths == ("lib/new.py",)
    assert any(note.startswith("own/y.py") for note in box.delta_notes)
    # git makes a link to a commit of it that nobody has.
    assert " 160000 " in (await box.run(STAGED)).output.text


async def test_what_is_closed_is_named_and_not_taken_for_deleted(box: Sandbox) -> None:
    await box.run("chmod 000 lib a.py .")
    assert not await box.delta()
    assert set(box.delta_notes) == {"lib Permission denied", "a.py Permission denied"}
    # Who asks whether the file is there is told that it is not.
    assert (await box.run("[ -e lib/x.py ]")).exit_code == 1


async def test_what_no_patch_may_hold_is_named_and_left_out(box: Sandbox) -> None:
    await box.run("ln -s /etc/passwd stolen; rm a.py; ln -s b.py a.py")
    # git takes links, which lead out where they are checked out.
    assert " 120000 " in (await box.run(STAGED)).output.text
    await box.run(
        "mkfifo pipe; echo > .GIT; echo > 'git~1'; printf x > $'tab\\there';"
        "mkdir -p own/.git/hooks; echo > own/.git/hooks/x;"
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\""
    )
    assert not await box.delta()
    notes = "\n".join(box.delta_notes)
    for named in ("stolen", "a.py", "pipe", "sock", ".GIT", "git~1", "tab\\there", "own/.git"):
        assert named in notes


async def test_more_than_a_patch_may_hold_is_refused(box: Sandbox) -> None:
    for flood in ("mkdir m; cd m; seq 1 6000 | xargs touch", "truncate -s 1G huge"):
        await box.reset()
        await box.run(flood)
        with pytest.raises(PatchError, match="at most"):
            await box.delta()
    assert (await box.run("true")).ok
