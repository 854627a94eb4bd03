"""Attacks that leave something for the next candidate, across a reset."""

import asyncio

import pytest

from sandbox.container import Sandbox
from sandbox.errors import InfrastructureError
from tests.attacks.conftest import Without
from tests.attacks.controls import attack_in, meanwhile

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def test_no_file_is_left(box: Sandbox, without: Without) -> None:
    hide = (
        "for place in ('/workspace', '/tmp', '/dev/shm', os.path.expanduser('~')):\n"
        "    os.makedirs(place + '/.hidden/deep'); open(place + '/.hidden/deep/f', 'w').close()\n"
        "    os.chmod(place + '/.hidden/deep', 0)\n"
        "    os.mkfifo(place + '/.pipe'); os.symlink('/etc', place + '/.etc')\n"
        "    socket.socket(socket.AF_UNIX).bind(place + '/.sock')\n"
    )
    look = "ls -A . ~ /tmp /dev/shm /dev/mqueue | grep -e hidden -e pipe -e etc -e sock | wc -l"

    async def left(room: Sandbox) -> str:
        assert (await attack_in(room, hide)).ok
        await room.reset()
        return (await room.run(look)).output.text

    assert await left(box) == "0\n"
    assert await left(await without("emptying all at a reset")) == "16\n"


async def test_no_process_is_left(box: Sandbox, without: Without) -> None:
    hide = "if os.fork() == 0: os.setsid()\nready()\n"

    async def left(room: Sandbox) -> int:
        async with meanwhile(room, hide):
            await room.reset()
            return int((await room.run("pgrep -c -u $(id -u) python3")).output.text)

    assert await left(box) == 0
    assert await left(await without("killing all at a reset")) == 2


async def test_no_object_of_system_v_is_left(box: Sandbox, without: Without) -> None:
    make = "libc.semget(1, 1, 0o1600); libc.msgget(2, 0o1600)\n"

    async def left(room: Sandbox) -> str:
        await attack_in(room, make)
        await room.reset()
        return (
            await room.run("tail -qn +2 /proc/sysvipc/sem /proc/sysvipc/msg | wc -l")
        ).output.text

    assert await left(box) == "0\n"
    assert await left(await without("removing objects at a reset")) == "2\n"


async def test_a_hidden_write_does_not_survive(box: Sandbox) -> None:
    # Through a shared mapping: the times of the file, by which others compare, stay as they were.
    look = "stat -c '%s %y %z' kept.txt"
    before = await box.run(look)
    await attack_in(
        box,
        "import mmap\nm = mmap.mmap(os.open('kept.txt', os.O_RDWR), 5); m[0]\n"
        "m[0:4] = b'evil'; m.close()\n",
    )
    assert await box.read("kept.txt") == b"evil\n"
    assert (await box.run(look)).output == before.output
    await box.reset()
    assert await box.read("kept.txt") == b"kept\n"


async def test_a_changed_top_folder_is_put_back(box: Sandbox, without: Without) -> None:
    change = "chmod 000 ~ .; cd /; rm -rf /workspace/.git"
    await box.run(change)
    await box.reset()
    result = await box.run("stat -c %a . ~; git status --short")
    assert result.output.text == "755\n755\n"
    bare = await without("undoing modes at a reset")
    await bare.run(change)
    with pytest.raises(InfrastructureError, match="Permission denied"):
        await bare.reset()


async def test_an_access_list_on_a_top_folder_does_not_survive(
    box: Sandbox, without: Without
) -> None:
    # Inherited by all that is made below: here, the next candidate could run no script.
    script = (
        "def entries(*each):\n"
        "    return struct.pack('<I', 2) + b''.join(\n"
        "        struct.pack('<HHI', tag, mode, 0xffffffff) for tag, mode in each)\n"
        "wanted = entries((1, 6), (4, 4), (0x20, 4))\n"
        "for place in ('/workspace', os.path.expanduser('~')):\n"
        "    print(attempt(os.setxattr, place, 'system.posix_acl_default', wanted))\n"
        "    print(attempt(os.setxattr, place, 'user.message', b'to the next'))\n"
    )
    use = (
        "umask 0; mkdir -m 777 d; stat -c %a d; python3 -c 'import os; print(os.listxattr(\".\"))'"
    )

    async def next_one(room: Sandbox) -> str:
        assert "worked" in (await attack_in(room, script)).output.text
        await room.reset()
        return (await room.run(use)).output.text

    assert await next_one(box) == "777\n[]\n"
    bare = await without("undoing attributes at a reset")
    with pytest.raises(InfrastructureError, match="Permission denied"):
        await next_one(bare)


async def test_a_port_is_free_again(box: Sandbox) -> None:
    listen = "it = socket.create_server(('127.0.0.1', 8765)); ready()\n"
    bind = "print(attempt(lambda: socket.create_server(('127.0.0.1', 8765), reuse_port=False)))\n"
    async with meanwhile(box, listen):
        assert (await attack_in(box, bind)).output.text == "EADDRINUSE\n"
        await box.reset()
        assert (await attack_in(box, bind)).output.text == "worked\n"


async def test_two_resets_at_once_and_a_command_between_leave_nothing(box: Sandbox) -> None:
    commands = [asyncio.create_task(box.run(f"touch left{n}; sleep 30")) for n in range(4)]
    await asyncio.gather(box.reset(), box.reset())
    for ended in await asyncio.gather(*commands):
        assert ended.signal == 9
    assert (await box.run("ls")).output.text == "kept.txt\n"
