"""What counts as changed, against a real container; and that a lying report is refused."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from sandbox import protocol
from sandbox.channel import Channel
from sandbox.container import Rebuild, Sandbox
from sandbox.delta import BaseIndex, Collector, Wanted, choose, read_delta
from sandbox.errors import InfrastructureError, PatchError
from sandbox.image import Image
from sandbox.patch import Change, Patch, PatchLimits
from sandbox.policy import Policy
from sandbox.trees import Base
from sandbox.wire import Wire

docker = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
FILES = {
    ".gitignore": "*.log\n/out/\n",
    "a.py": "a = 1\n",
    "b.py": "b = 1\n",
    "kept.log": "tracked although ignored\n",
    "tool.sh": (0o100755, b"#!/bin/sh\n"),
    "link": (0o120000, b"a.py"),
    "lib/x.py": "x = 1\n",
    "lib/y.py": "y = 1\n",
    "odd/line\nbreak": "",
    "Cargo.toml": "",
    "target.py": "",
}


@pytest.fixture(scope="module")
def base(make_base: Any) -> Base:
    return make_base(FILES, ignore=(("", ("*.log", "/out/")),))  # type: ignore[no-any-return]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(image: Image, base: Base) -> AsyncIterator[Sandbox]:
    async with Sandbox.open(image, base, Policy(), resettable=True) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(shared: Sandbox) -> Sandbox:
    await shared.reset()
    return shared


def shown(patch: Patch) -> dict[str, tuple[int | None, bytes | None]]:
    return {change.path: (change.mode, change.content) for change in patch.changes}


class TestOfContainer:
    pytestmark = docker

    async def test_nothing_changed_is_an_empty_patch(self, box: Sandbox) -> None:
        assert not await box.delta()
        await box.run("ls -R; git status; touch a.py; cat b.py > c && mv c b.py")
        assert not await box.delta()
        assert box.delta_notes == ()

    async def test_changes_additions_and_deletions_are_found(self, box: Sandbox) -> None:
        await box.run(
            "echo 'a = 2' > a.py; rm b.py; mkdir -p new/deep; printf x > new/deep/f; : > empty;"
            "chmod +x lib/x.py; printf '#!/bin/sh\\n' > run; chmod 755 run; rm -r lib/y.py"
        )
        assert shown(await box.delta()) == {
            "a.py": (0o100644, b"a = 2\n"),
            "b.py": (None, None),
            "new/deep/f": (0o100644, b"x"),
            "empty": (0o100644, b""),
            "lib/x.py": (0o100755, b"x = 1\n"),
            "lib/y.py": (None, None),
            "run": (0o100755, b"#!/bin/sh\n"),
        }

    async def test_ignored_files_and_by_products_are_left_out(self, box: Sandbox) -> None:
        await box.run(
            "echo > new.log; echo more >> kept.log; mkdir -p out lib/out target/debug src/target;"
            "touch out/f lib/out/f target/debug/x src/target/f target.py; echo 1 > target.py;"
            "mkdir -p __pycache__ .pytest_cache pkg.egg-info node_modules/m lib/.mypy_cache;"
            "touch __pycache__/a.pyc lib/z.pyc .pytest_cache/x pkg.egg-info/PKG-INFO"
            " node_modules/m/index.js lib/.mypy_cache/y .coverage"
        )
        found = (await box.delta()).paths
        assert found == ("kept.log", "lib/out/f", "src/target/f", "target.py")
        assert box.delta_notes == ()

    async def test_what_cannot_be_in_a_patch_is_named_and_not_followed(self, box: Sandbox) -> None:
        await box.run(
            "ln -s /etc/passwd stolen; ln -sf b.py link; mkfifo pipe; echo s > shut; chmod 0 shut;"
            "mkdir closed; touch closed/f; chmod 0 closed; ln -s /etc outside;"
            "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\";"
            "git init -q sub; echo s > sub/f; git init -q lib; echo x > lib/new; rm a.py;"
            "ln -s b.py a.py; echo > .GIT; echo > 'git~1'; printf x > $'tab\\there'"
        )
        patch = await box.delta()
        assert patch.paths == ("lib/new",)
        notes = "\n".join(box.delta_notes)
        for named in (
            "stolen is a symbolic link",
            "link is a symbolic link",
            "a.py is a symbolic link",
            "outside is a symbolic link",
            "pipe is a pipe",
            "sock is a socket",
            "shut cannot be read",
            "closed Permission denied",
            "sub/f is in a repository of its own",
            "sub/.git is a repository",
            ".GIT is inside a .git folder",
            "git~1 is inside a .git folder",
            "tab\\there has control characters",
        ):
            assert named in notes

    async def test_what_a_closed_folder_holds_is_not_deleted(self, box: Sandbox) -> None:
        await box.run("chmod 000 lib a.py .")
        assert not await box.delta()
        assert set(box.delta_notes) == {"lib Permission denied", "a.py Permission denied"}

    async def test_a_folder_that_can_be_listed_and_not_entered_is_named(self, box: Sandbox) -> None:
        await box.run("echo > lib/new; chmod 644 lib")
        assert not await box.delta()
        assert box.delta_notes == ("lib Permission denied",)

    async def test_what_was_in_a_folder_is_gone_when_a_pipe_is_in_its_place(
        self, box: Sandbox
    ) -> None:
        await box.run("rm -r lib; mkfifo lib")
        assert shown(await box.delta()) == dict.fromkeys(("lib/x.py", "lib/y.py"), (None, None))
        assert box.delta_notes == ("lib is a pipe",)

    async def test_a_file_that_no_patch_may_name_stays_and_its_folder_too(
        self, box: Sandbox
    ) -> None:
        await box.run("rm -r odd b.py; echo > odd")
        patch = await box.delta()
        assert patch.paths == ("b.py",)
        named = "The path odd/line\\nbreak has control characters. It was left out."
        assert box.delta_notes == (named, "odd is where a folder stays and was left out")
        box.base.store.apply(box.base.tree, patch)

    async def test_paths_too_long_for_a_patch_are_named(self, box: Sandbox) -> None:
        long, script = "n" * 200, "import os\nfor _ in range(30): "
        script += f"os.mkdir('{long}'); os.chdir('{long}'); open('f', 'w'); open('m' * 100, 'w')"
        await box.run(["python3", "-c", script])
        assert len(await box.delta()) == 39
        assert any("is longer than 4096 bytes" in note for note in box.delta_notes)
        assert box.delta_notes[0].endswith(" is too deep")

    async def test_long_paths_without_number_do_not_use_up_the_memory(self, box: Sandbox) -> None:
        long = "n" * 200
        script = f"import os\nfor _ in range(20): os.mkdir('{long}'); os.chdir('{long}')\n"
        await box.run(["python3", "-c", script + "for n in range(30000): open(str(n), 'w')"])
        with pytest.raises(PatchError, match="files of the workspace changed"):
            await box.delta()
        assert (await box.run("true")).ok

    async def test_of_what_is_left_out_so_much_is_named_and_the_rest_counted(
        self, box: Sandbox
    ) -> None:
        await box.run("seq 1 3000 | xargs mkfifo; rm a.py")
        assert (await box.delta()).paths == ("a.py",)
        assert len(box.delta_notes) == 201
        assert box.delta_notes[-1] == "2,800 more were left out"

    async def test_a_folder_in_place_of_a_file_and_the_other_way(self, box: Sandbox) -> None:
        await box.run("rm a.py; mkdir a.py; echo 1 > a.py/inner; rm -r lib; echo 2 > lib")
        assert shown(await box.delta()) == {
            "a.py": (None, None),
            "a.py/inner": (0o100644, b"1\n"),
            "lib": (0o100644, b"2\n"),
            "lib/x.py": (None, None),
            "lib/y.py": (None, None),
        }

    async def test_a_patch_gives_the_same_delta_in_another_container(self, box: Sandbox) -> None:
        await box.run(
            "rm a.py; mkdir a.py; echo 1 > a.py/i; rm -r lib; echo 2 > lib; chmod +x b.py"
        )
        patch = await box.delta()
        await box.reset(patch)
        assert await box.delta() == patch

    async def test_too_many_changes_end_the_delta(self, box: Sandbox) -> None:
        await box.run("mkdir many; cd many; seq 1 6000 | xargs touch")
        with pytest.raises(PatchError, match="6000 files"):
            await box.delta()
        assert (await box.run("true")).ok

    async def test_too_many_bytes_end_the_delta(self, box: Sandbox) -> None:
        await box.run("truncate -s 1G huge")
        with pytest.raises(PatchError, match="1,073,741,824"):
            await box.delta()
        await box.run("rm huge; for i in 1 2 3; do head -c 30M /dev/zero > big$i; done")
        with pytest.raises(PatchError, match="together"):
            await box.delta()

    async def test_several_large_files_come_up_to_the_limit(self, box: Sandbox) -> None:
        await box.run("for i in 1 2; do head -c 31M /dev/zero > big$i; done")
        assert (await box.delta()).size == 2 * (31 << 20)

    async def test_a_large_binary_file_comes_whole(self, box: Sandbox) -> None:
        await box.run("head -c 20M /dev/urandom > big")
        change = (await box.delta()).changes[0]
        digest = await box.run("sha256sum - < big", stdin=b"")
        assert change.content is not None
        assert digest.output.text.split()[0] == hashlib.sha256(change.content).hexdigest()


class TestOfRebuild:
    pytestmark = docker
    REBUILD = Rebuild(
        "mkdir -p gen; sed s/a/built/ a.py > gen/made.py; date +%N > stamp.txt; "
        "echo v >> lib/y.py; echo x > noise.log",
        inputs=("a.py",),
    )

    async def test_what_the_rebuild_makes_is_no_change(self, image: Image, base: Base) -> None:
        async with Sandbox.open(
            image, base, Policy(), rebuild=self.REBUILD, resettable=True
        ) as box:
            assert box.rebuild_result is not None
            assert box.rebuild_result.ok
            assert not await box.delta()
            await box.run("touch gen/made.py stamp.txt")
            assert not await box.delta()
            result = await box.apply(Patch((Change("a.py", 0o100644, b"a = 5\n"),)))
            assert result is not None
            assert result.ok
            assert await box.read("gen/made.py") == b"built = 5\n"
            assert (await box.delta()).paths == ("a.py",)
            assert await box.apply(Patch((Change("b.py", 0o100644, b"b = 5\n"),))) is None
            assert (await box.delta()).paths == ("a.py", "b.py")
            await box.reset()
            assert await box.read("gen/made.py") == b"built = 1\n"
            assert not await box.delta()
            await box.write("gen/made.py", b"by hand\n")
            assert (await box.delta()).paths == ("gen/made.py",)

    async def test_a_change_that_a_rebuild_overwrites_stays_a_change(
        self, image: Image, base: Base
    ) -> None:
        async with Sandbox.open(image, base, Policy(), rebuild=self.REBUILD) as box:
            await box.write("lib/y.py", b"mine\n")
            await box.apply(Patch((Change("a.py", 0o100644, b"a = 5\n"),)))
            assert shown(await box.delta())["lib/y.py"] == (0o100644, b"mine\nv\n")


# -- a report that lies -------------------------------------------------------------------------

LIMITS = PatchLimits()


def report(**parts: Any) -> Mapping[str, Any]:
    return {"changed": [], "deleted": [], "notes": [], **parts}


def test_only_files_of_the_base_can_be_deleted(base: Base) -> None:
    found = choose(report(deleted=["a.py", "../../etc/passwd", "nothing"]), BaseIndex(base), LIMITS)
    assert found.deleted == ("a.py",)


@pytest.mark.parametrize("folder", ["target", "node_modules", "a/__pycache__"])
def test_a_folder_of_the_base_holds_no_by_products(make_base: Any, folder: str) -> None:
    index = BaseIndex(make_base({f"{folder}/kept": "", "Cargo.toml": ""}))
    assert not index.skips(f"{folder}/new")
    assert index.skips(f"other/{folder}/new") == (folder != "target")
    assert BaseIndex(make_base({"Cargo.toml": ""})).skips(f"{folder}/new")


def test_paths_out_of_the_tree_are_left_out_and_named(base: Base) -> None:
    lies = [
        ["../up", "file", 1, False],
        ["/etc/x", "file", 1, False],
        ["a/.git/config", "file", 1, 0],
    ]
    found = choose(report(changed=lies), BaseIndex(base), LIMITS)
    assert not found.fetched
    assert len(found.notes) == 3


def test_each_folder_of_deep_paths_is_looked_at_once(make_base: Any) -> None:
    looked: list[str] = []

    class Folders(frozenset[str]):
        def __contains__(self, folder: object) -> bool:
            looked.append(str(folder))
            return super().__contains__(folder)

    index = BaseIndex(make_base({"a": ""}, ignore=(("", ("*.log",)),)))
    index.__dict__["folders"] = Folders()
    chains = ["/".join([f"{n}", *["a"] * 200]) for n in range(10)]
    files = [f"{chain}/{n}" for chain in chains for n in range(100)]
    found = report(changed=[[path, "file", 0, False] for path in files])
    assert set(choose(found, index, LIMITS).fetched) == set(files)
    assert len(looked) == len(set(looked)) == 10 * 201
    with pytest.raises(PatchError, match="changes 1000 files; at most 5"):
        choose(found, index, PatchLimits(changes=5))


def test_a_path_without_end_is_left_out_at_once(base: Base) -> None:
    found = choose(report(changed=[["a/" * 500_000, "file", 1, False]]), BaseIndex(base), LIMITS)
    assert not found.fetched
    assert len(found.notes[0]) < 200


@pytest.mark.parametrize(
    "lie",
    [
        {"changed": [[1, "file", 1, False]]},
        {"changed": [["x", "file", "1", False]]},
        {"changed": [["x"]]},
        {"changed": 5},
        {"notes": [5]},
        {"deleted": None},
        {"too_many": float("inf")},
        {"changed": [["\ud800", "file", 1, False]]},
    ],
)
async def test_a_malformed_report_is_the_sandbox_s_failure(
    base: Base, lie: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def collect(*_: object) -> bytearray:
        return bytearray(json.dumps(report(**lie)).encode())

    class Lying:
        channel = Channel("x")

    monkeypatch.setattr(Wire, "collect", collect)
    with pytest.raises(InfrastructureError, match="wrongly") as caught:
        await read_delta(Wire(Lying(), Policy()), BaseIndex(base))  # type: ignore[arg-type]
    assert caught.value.cause == Lying.channel.cause == "protocol"


def test_files_that_were_not_asked_for_are_refused() -> None:
    collector = Collector(Wanted((), {"a": 1}, ()), LIMITS)
    with pytest.raises(protocol.ProtocolError):
        collector.feed(protocol.encode_record(protocol.FILE, b"b", b"x"))
    with pytest.raises(protocol.ProtocolError):
        collector.feed(protocol.encode_record(protocol.SYMLINK, b"a", b"/etc/passwd"))


def test_files_within_the_limit_come_however_they_are_cut() -> None:
    contents = {"a": bytes(60), "b": b"b" * 40}
    collector = Collector(Wanted((), {"a": 60, "b": 40}, ()), PatchLimits(total_bytes=100))
    stream = b"".join(
        protocol.encode_record(protocol.FILE, path.encode(), content)
        for path, content in contents.items()
    )
    for start in range(0, len(stream), 7):
        collector.feed(stream[start : start + 7])
    assert {change.path: change.content for change in collector.changes({})} == contents


def test_a_file_larger_than_said_is_refused_before_it_comes() -> None:
    collector = Collector(Wanted((), {"a": 1}, ()), PatchLimits(total_bytes=100))
    head = protocol.encode_record(protocol.FILE, b"a", bytes(101))[:20]
    with pytest.raises(protocol.ProtocolError):
        collector.feed(head)
