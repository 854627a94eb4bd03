"""Attacks on what the supervisor reads and writes for the host: names, links, pipes, times."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sandbox.container import FileProblem, Sandbox
from sandbox.errors import InfrastructureError, PatchError, UsageError
from sandbox.patch import FILE, Change, Patch
from sandbox.wire import Wire
from tests.attacks.conftest import Without
from tests.attacks.controls import attack_in, meanwhile, verdicts

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def hangs(work: Awaitable[object]) -> bool:
    """Whether something does not come to an end."""
    try:
        async with asyncio.timeout(3):
            await work
    except TimeoutError:
        return True
    except FileProblem:
        return False
    return False


# -- links and what is no file --------------------------------------------------------------------


async def test_a_link_to_the_supervisor_s_own_files_is_not_followed(
    box: Sandbox, without: Without
) -> None:
    links = (
        "for n in mem environ fd/1 fd/0 maps; do ln -s /proc/self/$n $(basename $n)$RANDOM; done;"
        " ln -s /proc/1/root out; ln -s /dev/shm shm; ln -s / root; ln -s /proc/self/maps it"
    )
    await box.run(links)
    for info in await box.list():
        if info.kind != "link":
            continue
        for path in (info.path, f"{info.path}/etc/passwd"):
            with pytest.raises(FileProblem, match="out of the workspace"):
                await box.read(path)
            with pytest.raises(FileProblem, match="out of the workspace"):
                await box.write(path, b"owned")
            with pytest.raises(FileProblem, match="out of the workspace"):
                await box.list(path)
    bare = await without("following no link")
    await bare.run(links)
    assert b"python" in await bare.read("it")
    assert b"root:" in await bare.read("root/etc/passwd")


async def test_a_folder_swapped_for_a_link_while_read_leads_nowhere(
    box: Sandbox, without: Without
) -> None:
    swap = (
        "os.mkdir('real'); open('real/passwd', 'w').write('inside'); os.symlink('/etc', 'etc')\n"
        "ready()\n"
        "while True:\n"
        "    os.rename('real', 'a'); os.rename('etc', 'real')\n"
        "    os.rename('real', 'etc'); os.rename('a', 'real')\n"
    )

    async def seen(room: Sandbox) -> set[bytes]:
        found = set()
        async with meanwhile(room, swap):
            for _ in range(300):
                try:
                    found.add((await room.read("real/passwd"))[:6])
                except (FileNotFoundError, NotADirectoryError, FileProblem):
                    continue
        return found

    assert await seen(box) <= {b"inside"}
    assert b"root:x" in await seen(await without("following no link"))


async def test_a_pipe_or_device_never_blocks_the_supervisor(box: Sandbox, without: Without) -> None:
    pipes = "mkfifo a b; ln -s a c; python3 -c \"import os; os.mkfifo('d')\""
    await box.run(pipes)
    async with asyncio.timeout(20):
        for path in ("a", "b", "c", "d"):
            with pytest.raises(FileProblem):
                await box.read(path)
            with pytest.raises(FileProblem):
                await box.write(path, b"x")
        assert not await box.delta()
        assert not (await box.search("x")).matches
    bare = await without("opening without waiting")
    await bare.run(pipes)
    assert await hangs(bare.read("a"))


async def test_a_lease_on_a_file_never_holds_the_supervisor_up(
    box: Sandbox, without: Without
) -> None:
    # The kernel keeps who opens such a file waiting for 45 seconds.
    lease = (
        "import fcntl, signal\n"
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "fd = os.open('held.txt', os.O_RDWR | os.O_CREAT)\n"
        "fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK); ready()\n"
    )
    async with meanwhile(box, lease):
        with pytest.raises(FileProblem, match="temporarily unavailable"):
            await box.read("held.txt")
        assert not await box.delta()
        assert box.delta_notes == ("held.txt cannot be read",)
    bare = await without("opening without waiting")
    async with meanwhile(bare, lease):
        assert await hangs(bare.read("held.txt"))
        await bare.close()


async def test_the_workspace_itself_cannot_be_taken_away(box: Sandbox) -> None:
    script = (
        "def tries(folder):\n"
        "    yield attempt(os.rename, folder, '/tmp/elsewhere')\n"
        "    yield attempt(os.rmdir, folder)\n"
        "os.chdir('/'); os.system('rm -rf /workspace/* /workspace/.git; mkdir /tmp/plain')\n"
        "print('mount', *set(tries('/workspace')))\n"
        "print('plain', next(tries('/tmp/plain')))\n"
        "os.chmod('/workspace', 0)\n"
    )
    found = verdicts(await attack_in(box, script))
    assert set(found["mount"].split()) <= {"EXDEV", "EROFS", "EBUSY", "EACCES"}
    assert found["plain"] == "worked"
    assert (await box.delta()).paths == ("kept.txt",)
    await box.write("back.txt", b"x")
    assert await box.read("back.txt") == b"x"


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda box, name: box.read(name),
        lambda box, name: box.write(name, b"x"),
        lambda box, name: box.remove(name),
        lambda box, name: box.list(name),
        lambda box, name: box.run("true", cwd=name),
    ],
    ids=["read", "write", "remove", "list", "work in"],
)
@pytest.mark.parametrize("name", ["a\0b", "\ud800"], ids=["NUL", "surrogate"])
async def test_a_name_that_is_none_is_an_answer_and_no_end(
    name: str, use: Callable[[Sandbox, str], Awaitable[object]], box: Sandbox
) -> None:
    with pytest.raises(FileProblem):
        await use(box, name)
    assert (await box.run(f"echo {name}")).exit_code == 126


async def test_a_name_that_is_none_would_end_the_supervisor(without: Without) -> None:
    bare = await without("answering what cannot be done")
    with pytest.raises(InfrastructureError):
        await bare.read("a\0b")


async def test_a_request_too_long_for_a_frame_is_refused(box: Sandbox) -> None:
    long = "x" * 1_200_000
    for work in (box.run(long), box.read(long), box.search(long, literal=True)):
        with pytest.raises(UsageError, match="too long"):
            await work
    assert (await box.run("#" + "x" * 500_000)).exit_code == 126  # too long for the kernel
    assert (await box.run("true")).ok


LONG = "name = 'n' * 250\nfor n in range(200): os.mkdir(name); os.chdir(name)\n"
DEEP_FILES = LONG + "for n in range(15000): os.close(os.open(f'f{n}', os.O_CREAT))\n"
PIPES = (
    "name = 'n' * 250\nfor n in range(15): os.mkdir(name); os.chdir(name)\n"
    "for n in range(17000): os.mkfifo('f' * 200 + str(n))\n"
)


async def test_names_without_end_do_not_end_the_supervisor(box: Sandbox, without: Without) -> None:
    # 15,000 files at paths of 50,000 characters each.
    assert (await attack_in(box, DEEP_FILES)).ok
    assert not await box.delta()
    assert [note[-12:] for note in box.delta_notes] == [" is too deep"]
    bare = await without("bounded names")
    await attack_in(bare, DEEP_FILES)
    with pytest.raises(InfrastructureError, match="out of memory"):
        await bare.delta()


async def test_a_report_without_end_is_a_refusal(box: Sandbox, without: Without) -> None:
    assert (await attack_in(box, PIPES)).ok
    with pytest.raises(PatchError, match="files of the workspace changed"):
        await box.delta()
    bare = await without("bounded names")
    await attack_in(bare, PIPES)
    with pytest.raises(InfrastructureError, match="broke the protocol"):
        await bare.delta()


async def test_a_listing_is_cut_by_its_length_and_depth(box: Sandbox, without: Without) -> None:
    deep = "for n in range(2000): os.mkdir('d'); os.chdir('d')\n"
    assert (await attack_in(box, f"{LONG}os.chdir('/workspace')\n{deep}")).ok
    assert len(await box.list(depth=5000)) < 1000
    bare = await without("bounded depth")
    await attack_in(bare, deep)
    with pytest.raises(InfrastructureError):
        await bare.list(depth=5000)


async def test_a_tree_too_deep_to_name_is_removed(box: Sandbox) -> None:
    deep = (
        "for n in range(3000): os.mkdir('d'); os.chdir('d')\n"
        "open('f', 'w').close(); os.chmod('.', 0)\n"
    )
    assert (await attack_in(box, deep)).ok
    assert not await box.delta()
    assert any("too deep" in note for note in box.delta_notes)
    # The library's own way does not get to its end.
    plain = await attack_in(box, "import shutil; os.chdir('/'); shutil.rmtree('/workspace/d')\n")
    assert plain.exit_code == 1
    await box.reset()
    assert (await box.run("ls")).output.text == "kept.txt\n"


async def test_names_that_are_no_text_come_through(box: Sandbox) -> None:
    await box.run(["python3", "-c", "open(b'\\xff\\xfe\\n\\x1b[2J', 'w').close()"])
    names = [info.path for info in await box.list()]
    assert os.fsdecode(b"\xff\xfe\n\x1b[2J") in names
    assert not await box.delta()
    assert "\x1b" not in "".join(box.delta_notes)


async def test_a_closed_folder_does_not_hide_what_is_beside_it(
    box: Sandbox, without: Without
) -> None:
    close = "mkdir a b; touch b/seen; chmod 0 a"
    await box.run(close)
    assert "b/seen" in [info.path for info in await box.list(depth=2)]
    bare = await without("listing what is not closed")
    await bare.run(close)
    with pytest.raises(FileProblem, match="Permission denied"):
        await bare.list(depth=2)


# -- times and sizes ------------------------------------------------------------------------------


async def test_a_time_beyond_the_clock_s_does_not_end_the_supervisor(
    box: Sandbox, without: Without
) -> None:
    last = "times = struct.pack('4q', 2**63 - 1, 0, 2**63 - 1, 0)\n"
    script = f"{last}print(libc.utimensat(-100, b'kept.txt', times, 0))\n"
    assert (await attack_in(box, script)).output.text == "0\n"
    await box.apply(Patch((Change("kept.txt", FILE, b"new\n"),)))
    await attack_in(box, script)
    await box.write("kept.txt", b"newer\n")
    assert (await box.delta()).paths == ("kept.txt",)
    bare = await without("times within reason", "answering what cannot be done")
    await attack_in(bare, script)
    with pytest.raises(InfrastructureError):
        await bare.write("kept.txt", b"newer\n")


async def test_a_sparse_file_does_not_stop_a_search(box: Sandbox, without: Without) -> None:
    hide = "truncate -s 1G a; echo needle > z"
    await box.run(hide)
    assert [match.path for match in (await box.search("needle")).matches] == ["z"]
    bare = await without("bounded searching")
    await bare.run(hide)
    with pytest.raises(FileProblem, match="cannot be searched"):
        await bare.search("needle")


async def test_a_file_that_grows_while_it_is_fetched_is_a_refusal(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive = Wire.receive

    async def grown_first(wire: Wire, *args: Any, **options: Any) -> Any:
        if "names" in options:
            await box.run("truncate -s 1G it")
        return await receive(wire, *args, **options)

    # Small when it is reported, large when it comes: the worst moment, without waiting for luck.
    monkeypatch.setattr(Wire, "receive", grown_first)
    await box.run("echo small > it")
    with pytest.raises(PatchError, match="cannot be taken: the changed files are too large"):
        await box.delta()
    assert (await box.run("true")).ok
