"""Attacks on the supervisor, its files, and the host's reading of what a sandbox holds."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from sandbox.container import CommandResult, FileProblem, Sandbox

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
Attack = Callable[[str], Awaitable[CommandResult]]


async def test_the_supervisor_cannot_be_signalled_traced_or_read(attack: Attack) -> None:
    result = await attack(
        "import signal\n"
        "roots = [int(p) for p in os.listdir('/proc') if p.isdigit()"
        " and os.stat('/proc/' + p).st_uid == 0]\n"
        "assert 1 in roots and len(roots) >= 2, roots\n"
        "for pid in roots:\n"
        "    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV):\n"
        "        print(attempt(os.kill, pid, number))\n"
        "    for name in ('mem', 'environ', 'maps', 'fd/0', 'fd/1', 'root', 'cwd', 'syscall'):\n"
        "        print(attempt(os.open, f'/proc/{pid}/{name}', os.O_RDONLY))\n"
        "    print(attempt(os.open, f'/proc/{pid}/fd/1', os.O_WRONLY))\n"
        "    print(attempt(os.open, f'/proc/{pid}/mem', os.O_RDWR))\n"
        "    fd = os.pidfd_open(pid); print(call(438, fd, 1, 0))\n"
    )
    assert result.ok, result.output.text
    assert set(result.output.text.split()) <= {"EPERM", "EACCES"}


async def test_killing_everything_does_not_touch_the_supervisor(box: Sandbox) -> None:
    other = asyncio.create_task(box.run("sleep 30"))
    await asyncio.sleep(0.2)
    result = await box.run("kill -9 -1")
    assert result.ok  # the kernel spares who asks
    assert (await other).signal == 9
    assert (await box.run("echo alive")).output.text == "alive\n"


async def test_no_descriptor_of_the_supervisor_reaches_a_command(box: Sandbox) -> None:
    result = await box.run("ls -l /proc/self/fd | grep -v -e total -e '/proc/' | wc -l", stdin=b"")
    assert result.output.text == "3\n"
    other = asyncio.create_task(box.run("cat; echo ended"))
    assert (await other).output.text == "ended\n"


async def test_its_own_output_cannot_be_forged(box: Sandbox, attack: Attack) -> None:
    forged = "b'\\x01\\0\\0\\0\\0\\0\\0\\x09' + b'\\0\\0\\0\\0\\x10\\0\\0\\0\\x01'"
    result = await attack(f"sys.stdout.buffer.write({forged}); print('100 passed')")
    assert result.output.head.endswith(b"100 passed\n")
    assert result.output.total == len(result.output.head)


async def test_a_link_to_the_supervisor_s_own_files_is_not_followed(box: Sandbox) -> None:
    await box.run(
        "for n in mem environ fd/1 fd/0 maps; do ln -s /proc/self/$n $(basename $n)$RANDOM; done;"
        " ln -s /proc/1/root out; ln -s /dev/shm shm; ln -s / root"
    )
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
    assert (await box.run("true")).ok


async def test_a_pipe_or_device_never_blocks_the_supervisor(box: Sandbox) -> None:
    await box.run("mkfifo a b; ln -s a c; python3 -c \"import os; os.mkfifo('d')\"")
    async with asyncio.timeout(10):
        for path in ("a", "b", "c", "d"):
            with pytest.raises(FileProblem):
                await box.read(path)
            with pytest.raises(FileProblem):
                await box.write(path, b"x")
        assert not await box.delta()
        assert not (await box.search("x")).matches


async def test_a_folder_swapped_for_a_link_while_read_leads_nowhere(
    box: Sandbox, attack: Attack
) -> None:
    swapping = asyncio.create_task(
        box.run(
            "mkdir real; echo inside > real/passwd; ln -s /etc etc;"
            "while :; do mv real a; mv etc real; mv real etc; mv a real; done 2>/dev/null",
            timeout=20,
        )
    )
    await asyncio.sleep(0.3)
    seen = set()
    for _ in range(300):
        try:
            seen.add(await box.read("real/passwd"))
        except (FileNotFoundError, NotADirectoryError, FileProblem):
            continue
    swapping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await swapping
    assert seen <= {b"inside\n"}


async def test_the_kept_base_cannot_be_reached(box: Sandbox) -> None:
    result = await box.run("ls -la /run/greenroom; cat /run/greenroom/pristine; df /run/greenroom")
    assert "pristine" not in result.output.text.replace("/run/greenroom/pristine: No such", "")
    await box.run("touch /run/greenroom/x || mkdir /run/greenroom/y")
    assert "x\n" not in (await box.run("ls /run/greenroom")).output.text


async def test_a_changed_top_folder_is_put_back(box: Sandbox) -> None:
    await box.run("chmod 000 . ~; rm -rf .git")
    await box.reset()
    result = await box.run("stat -c %a . ~; git status --short")
    assert result.output.text == "755\n755\n"


async def test_what_a_reset_must_not_leave(box: Sandbox, attack: Attack) -> None:
    background = asyncio.create_task(box.run("setsid sleep 1000 & sleep 1000"))
    await attack(
        "for place in ('/workspace', '/tmp', '/dev/shm', os.path.expanduser('~')):\n"
        "    os.makedirs(place + '/.hidden/deep'); open(place + '/.hidden/deep/f', 'w').close()\n"
        "    os.chmod(place + '/.hidden/deep', 0)\n"
        "    os.mkfifo(place + '/.pipe'); os.symlink('/etc', place + '/.etc')\n"
        "    socket.socket(socket.AF_UNIX).bind(place + '/.sock')\n"
        "libc.semget(1, 1, 0o1600); libc.msgget(2, 0o1600); libc.shmget(3, 4096, 0o1600)\n"
    )
    await box.reset()
    assert (await asyncio.gather(background, return_exceptions=True))[0].signal == 9
    result = await box.run(
        "ls -A . ~ /tmp /dev/shm /dev/mqueue; tail -qn +2 /proc/sysvipc/*; pgrep -c sleep"
    )
    assert result.output.text == (
        ".:\n.git\nkept.txt\n\n/dev/mqueue:\n\n/dev/shm:\n\n/home/sandbox:\n.profile\n\n/tmp:\n0\n"
    )


async def test_a_hidden_write_does_not_survive_a_reset(box: Sandbox, attack: Attack) -> None:
    await attack(
        "import mmap\nf = os.open('kept.txt', os.O_RDWR); m = mmap.mmap(f, 5); m[0]\n"
        "m[0:4] = b'evil'; m.close()\n"
    )
    assert await box.read("kept.txt") == b"evil\n"
    await box.reset()
    assert await box.read("kept.txt") == b"kept\n"


async def test_names_that_are_no_text_come_through(box: Sandbox) -> None:
    await box.run(["python3", "-c", "open(b'\\xff\\xfe\\n\\x1b[2J', 'w').close()"])
    names = [info.path for info in await box.list()]
    assert os.fsdecode(b"\xff\xfe\n\x1b[2J") in names
    assert not await box.delta()
    assert "\x1b" not in "".join(box.delta_notes)


async def test_two_sandboxes_do_not_share_what_the_kernel_counts_by_user(
    box: Sandbox, attack: Attack
) -> None:
    result = await attack("count = 0\nwhile libc.inotify_init1(0) >= 0: count += 1\nprint(count)\n")
    assert int(result.output.text) >= 100
    async with box.fork(patch=None) as other:
        script = "import ctypes; print(ctypes.CDLL(None).inotify_init1(0) >= 0)"
        running = asyncio.create_task(
            attack("while libc.inotify_init1(0) >= 0: pass\nimport time; time.sleep(20)")
        )
        await asyncio.sleep(0.5)
        assert (await other.run(["python3", "-c", script])).output.text == "True\n"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
