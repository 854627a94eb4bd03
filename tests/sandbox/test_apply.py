"""Patches, rebuilds and forks in a real container."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox.container import Rebuild, Sandbox
from sandbox.engine import Engine
from sandbox.errors import PatchError, SetupError, UsageError
from sandbox.image import Image
from sandbox.patch import EXECUTABLE, FILE, Change, Patch
from sandbox.policy import MIB, Policy
from sandbox.trees import Base, TreeStore

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


def patch(**files: bytes | None) -> Patch:
    return Patch(tuple(Change(path, None if c is None else FILE, c) for path, c in files.items()))


@pytest.fixture(scope="module")
def base(make_base: Any) -> Base:
    files = {"a": "1\n", "b": "2\n", "d/e/f": "3\n", "link": (0o120000, b"d")}
    return make_base(files)  # type: ignore[no-any-return]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(image: Image, base: Base) -> AsyncIterator[Sandbox]:
    async with Sandbox.open(image, base, Policy(), resettable=True) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(shared: Sandbox) -> Sandbox:
    await shared.reset()
    return shared


async def test_a_patch_writes_deletes_and_sets_modes(box: Sandbox) -> None:
    large = bytes(range(256)) * 20_000
    changes = Patch(
        (
            Change("a", EXECUTABLE, b"new\n"),
            Change("b", None, None),
            Change("d/e/f", None, None),
            Change("x/y/z", FILE, large),
            Change("empty", FILE, b""),
        )
    )
    assert await box.apply(changes) is None
    assert await box.delta() == changes
    assert (await box.run("stat -c %a a; ls")).output.text.split() == [
        "755",
        "a",
        "empty",
        "link",
        "x",
    ]


async def test_a_patch_replaces_what_commands_put_in_its_way(box: Sandbox) -> None:
    await box.run("rm a; ln -s /etc/passwd a; chmod 000 b; mkdir -p new; mkfifo x")
    await box.apply(patch(a=b"mine\n", b=b"mine\n", new=b"mine\n", x=b"mine\n"))
    assert (await box.run("cat a b new x; test -L a")).output.text == "mine\n" * 4


async def test_a_patch_does_not_write_through_a_link_of_the_base(box: Sandbox) -> None:
    with pytest.raises(PatchError, match="through the symbolic link"):
        await box.apply(Patch((Change("link/x", FILE, b"x"),)))


async def test_a_patch_that_finds_no_room_keeps_none(box: Sandbox) -> None:
    used = "df --output=used /workspace | tail -1"
    before = (await box.run(used)).output.text
    await box.run("head -c 600M /dev/zero > rest; truncate -s -5M rest")
    with pytest.raises(PatchError, match="No space left"):
        await box.apply(patch(x=bytes(20 << 20)))
    await box.run("rm -f rest x")
    assert (await box.run(used)).output.text == before


async def test_a_folder_with_files_in_the_way_of_a_patch_is_named(box: Sandbox) -> None:
    await box.run("mkdir new; touch new/file")
    with pytest.raises(PatchError, match="new"):
        await box.apply(patch(new=b"x"))


async def test_a_patch_larger_than_the_space_is_refused_and_the_room_lives(
    image: Image, make_base: Any
) -> None:
    policy = Policy(workspace_bytes=8 * MIB)
    async with Sandbox.open(image, make_base({"a": ""}), policy) as box:
        with pytest.raises(PatchError, match="No space left"):
            await box.apply(patch(big=bytes(12 * MIB)))
        assert (await box.run("true")).ok


async def test_patches_that_must_not_be_applied_are_not(box: Sandbox) -> None:
    for path in ("../x", "/etc/x", ".git/config", ".GIT/hooks/x"):
        with pytest.raises(PatchError):
            await box.apply(Patch((Change(path, FILE, b"x"),)))


async def test_an_older_module_of_the_same_size_is_not_run(box: Sandbox) -> None:
    for value in range(4):
        await box.apply(Patch((Change("m.py", FILE, b"v = %d\n" % value),)))
        result = await box.run(["python3", "-c", "import m; print(m.v)"])
        assert result.output.text == f"{value}\n"


async def test_a_sandbox_opens_with_a_patch(image: Image, base: Base) -> None:
    async with Sandbox.open(image, base, Policy(), patch=patch(a=b"5\n")) as box:
        assert await box.read("a") == b"5\n"
        assert (await box.delta()).paths == ("a",)
        assert (await box.run("git status --short")).output.text == " M a\n"


async def test_a_fork_has_the_changes_and_goes_its_own_way(box: Sandbox) -> None:
    await box.write("a", b"5\n")
    async with box.fork() as other:
        assert await other.read("a") == b"5\n"
        await other.write("a", b"6\n")
        await other.write("new", b"")
        assert other.container_id != box.container_id
        assert (await other.delta()).paths == ("a", "new")
    assert await box.read("a") == b"5\n"
    async with box.fork(patch=patch(b=None)) as other:
        assert (await other.delta()).paths == ("b",)


async def test_a_rebuild_runs_for_its_inputs_only(image: Image, base: Base) -> None:
    rebuild = Rebuild("echo run >> /tmp/runs", inputs=("b", "d/"))
    async with Sandbox.open(image, base, Policy(), rebuild=rebuild) as box:

        async def runs() -> int:
            return (await box.run("cat /tmp/runs")).output.total // 4

        assert await runs() == 1
        assert await box.apply(patch(a=b"x")) is None
        assert await runs() == 1
        result = await box.apply(Patch((Change("d/e/f", FILE, b"x"),)))
        assert result is not None
        assert await runs() == 2


async def test_a_rebuild_without_inputs_runs_for_every_patch(image: Image, base: Base) -> None:
    async with Sandbox.open(
        image, base, Policy(), rebuild=Rebuild("test $(cat a) != 7"), patch=patch(a=b"7\n")
    ) as box:
        assert box.rebuild_result is not None
        assert box.rebuild_result.exit_code == 1


async def test_a_failing_rebuild_is_said_with_its_output(image: Image, base: Base) -> None:
    rebuild = Rebuild("echo no compiler >&2; exit 3")
    with pytest.raises(UsageError, match=r"status 3\)(.|\n)*no compiler"):
        async with Sandbox.open(image, base, Policy(), rebuild=rebuild):
            pass
    optional = Rebuild("exit 3", optional=True)
    async with Sandbox.open(image, base, Policy(), rebuild=optional) as box:
        assert box.rebuild_result is not None
        assert box.rebuild_result.exit_code == 3


async def test_a_rebuild_too_slow_is_ended(image: Image, base: Base) -> None:
    with pytest.raises(UsageError, match=r"no end within 0\.5 s"):
        async with Sandbox.open(image, base, Policy(), rebuild=Rebuild("sleep 60", timeout=0.5)):
            pass


async def test_a_base_that_does_not_fit_is_refused_before_anything_starts(
    image: Image, make_base: Any
) -> None:
    base = make_base({"big": bytes(3 * MIB)})
    with pytest.raises(UsageError, match=r"takes 3 MiB.*has 2 MiB"):
        async with Sandbox.open(image, base, Policy(workspace_bytes=2 * MIB)):
            pass
    many = make_base({f"f{n}": "" for n in range(50)})
    with pytest.raises(UsageError, match="50 files"):
        async with Sandbox.open(image, many, Policy(workspace_inodes=40)):
            pass


async def test_a_base_whose_git_does_not_fit_the_memory_opens_without(
    image: Image, make_base: Any
) -> None:
    base = make_base({"big": os.urandom(60 * MIB)})
    policy = Policy(memory_bytes=Policy().memory_bytes - Policy().spare_bytes() + 10 * MIB)
    async with Sandbox.open(image, base, policy) as box:
        assert (await box.run("ls -A; git status")).output.text.startswith("big\nfatal: not a git")


async def test_a_missing_image_is_said(base: Base, engine: Engine) -> None:
    with pytest.raises(SetupError, match="image is not there"):
        async with Sandbox.open(Image("sha256:" + "0" * 64, "gone"), base, Policy()):
            pass


async def test_an_empty_base_opens(image: Image, tmp_path: Any) -> None:
    store = TreeStore.create(tmp_path / "store")
    async with Sandbox.open(image, Base(store, store.add_tree([])), Policy()) as box:
        assert (await box.run("git log --format=%s")).output.text == "base\n"
        await box.write("a", b"x")
        assert (await box.delta()).paths == ("a",)
