"""Attacks on the bound of memory: too much of it, and memory that belongs to nobody."""

import asyncio

import pytest

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError
from tests.attacks.conftest import Attack, Without
from tests.attacks.controls import attack_in

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

FILL = "def fill(size): x = bytearray(size); x[::4096] = bytes(b'x') * len(x[::4096]); return x\n"


async def test_too_much_memory_ends_the_command_and_nothing_else(
    box: Sandbox, attack: Attack, without: Without
) -> None:
    script = f"{FILL}x = fill(768 << 20)\n"
    background = asyncio.create_task(box.run("sleep 2; echo alive"))
    result = await attack(script)
    assert (result.reason, result.signal) == ("memory", 9)
    assert (await background).output.text == "alive\n"
    assert (await attack_in(await without("memory limit"), script)).ok


async def test_memory_taken_below_a_shell_is_named_too(box: Sandbox) -> None:
    result = await box.run("python3 -c 'x = b\"x\" * (1 << 30)'; exit $?")
    assert (result.reason, result.exit_code) == ("memory", 137)
    # A kill that looks the same is not taken for it.
    plain = await box.run("python3 -c 'import os; os.kill(os.getpid(), 9)'; exit $?")
    assert (plain.reason, plain.exit_code) == ("exit", 137)


async def test_many_small_processes_cannot_end_the_supervisor(box: Sandbox, attack: Attack) -> None:
    result = await attack(
        f"{FILL}for n in range(60):\n"
        "    if os.fork() == 0: x = fill(12 << 20); time.sleep(60)\n"
        "time.sleep(1)\n"
    )
    assert result.reason in ("memory", "exit")
    assert (await box.run("true")).ok


# Memory that counts for the sandbox, and for none of its processes: 700 MiB of it.
FILE_WITHOUT_A_NAME = (
    "fd = os.memfd_create('x', 0)\n"
    "os.execvp('dd', ['dd', 'if=/dev/zero', f'of=/proc/self/fd/{fd}', 'bs=1M', 'count=700'])\n"
)
SOCKETS = (
    "kept = []\n"
    "for n in range(1900):\n"
    "    kept += socket.socketpair()\n"
    "    for end in kept[-2:]:\n"
    "        end.setblocking(False)\n"
    "        try:\n"
    "            while True: end.send(bytes(65536))\n"
    "        except BlockingIOError: pass\n"
)


@pytest.mark.parametrize("script", [FILE_WITHOUT_A_NAME, SOCKETS], ids=["file", "sockets"])
async def test_memory_that_is_no_process_s_is_counted_and_ends_the_command(
    script: str, box: Sandbox, without: Without
) -> None:
    assert (await attack_in(box, script)).reason == "memory"
    assert (await box.run("true")).ok
    assert (await attack_in(await without("memory limit"), script)).ok


async def test_a_small_process_that_holds_much_does_not_end_the_supervisor(
    box: Sandbox, without: Without
) -> None:
    # The kernel ends the largest process with the highest score, and this one is small.
    assert (await attack_in(box, FILE_WITHOUT_A_NAME)).signal == 9
    assert (await box.run("true")).ok
    bare = await without("commands as first victims")
    with pytest.raises(InfrastructureError, match="out of memory"):
        await attack_in(bare, FILE_WITHOUT_A_NAME)


# -- what outlives the command that took it -------------------------------------------------------


async def test_shared_memory_of_system_v_is_counted_and_goes(
    box: Sandbox, attack: Attack, without: Without
) -> None:
    script = (
        "libc.shmat.restype = ctypes.c_void_p\n"
        "for n in range(20):\n"
        "    place = libc.shmat(libc.shmget(0, SIZE, 0o1600), None, 0)\n"
        "    ctypes.memset(place, 1, SIZE)\n"
    )
    left = "tail -n +2 /proc/sysvipc/shm | wc -l"
    assert (await attack(script.replace("SIZE", str(64 << 20)))).reason == "memory"
    assert (await box.run(left)).output.text == "0\n"
    bare = await without("limits of System V objects")
    await attack_in(bare, script.replace("SIZE", str(1 << 20)))
    assert (await bare.run(left)).output.text == "20\n"


OBJECTS = {
    "semaphores": (
        "while libc.semget(0, 250, 0o1600) >= 0: pass\n"
        "while libc.semget(0, 32000, 0o1600) >= 0: pass\n"
    ),
    "messages": (
        "message = struct.pack('l', 1) + bytes(8000)\n"
        "while (queue := libc.msgget(0, 0o1600)) >= 0:\n"
        "    while libc.msgsnd(queue, message, 8000, 0o4000) == 0: pass\n"
    ),
}


@pytest.mark.parametrize("kind", OBJECTS)
async def test_objects_of_system_v_do_not_use_up_the_memory_of_later_commands(
    kind: str, box: Sandbox, without: Without
) -> None:
    use = f"{FILL}x = fill(200 << 20)\n"
    assert (await attack_in(box, OBJECTS[kind])).ok
    assert (await attack_in(box, use)).ok
    bare = await without("limits of System V objects")
    await attack_in(bare, OBJECTS[kind])
    assert (await attack_in(bare, use)).reason == "memory"


async def test_message_queues_of_posix_are_none(attack: Attack, without: Without) -> None:
    script = "print('open', call(180 if arm else 240, ctypes.c_char_p(b'q'), 0o102, 0o600, 0))\n"
    assert (await attack(script)).output.text == "open EMFILE\n"
    bare = await attack_in(await without("limits of a process"), script)
    assert bare.output.text == "open worked\n"


# -- what is known and not excluded: these fail as soon as it is ----------------------------------


@pytest.mark.xfail(
    strict=True,
    reason="a command may lower its score to the container's own",
    raises=InfrastructureError,
)
async def test_a_command_that_lowers_its_score_does_not_end_the_supervisor(
    without: Without,
) -> None:
    lower = "open('/proc/self/oom_score_adj', 'w').write('500')\n"
    box = await without()
    await attack_in(box, lower + FILE_WITHOUT_A_NAME)
    assert (await box.run("true")).ok


@pytest.mark.xfail(strict=True, reason="the kernel charges a netlink socket's queue to nobody")
async def test_what_waits_in_netlink_sockets_is_counted(attack: Attack) -> None:
    result = await attack(
        "import glob\n"
        "usage = glob.glob('/sys/fs/cgroup/memory/memory.usage_in_bytes')"
        " or ['/sys/fs/cgroup/memory.current']\n"
        "def used(): return int(open(usage[0]).read())\n"
        "ask = struct.pack('=LHHLLBxHiII', 32, 18, 1, 1, 0, 0, 0, 1, 0, 0)\n"
        "before, kept = used(), []\n"
        "for _ in range(300):\n"
        "    s = socket.socket(16, 3, 0); s.setblocking(False); kept.append(s)\n"
        "    for _ in range(120): s.send(ask)\n"
        "lines = open('/proc/net/netlink').read().splitlines()[1:]\n"
        "waiting = sum(int(line.split()[4]) for line in lines)\n"
        "print(waiting > 40 << 20, used() - before > waiting // 2)\n"
    )
    counted = result.output.text.split()
    assert counted == ["True", "True"]


async def test_what_waits_in_tcp_sockets_is_counted(attack: Attack, engine: Engine) -> None:
    if engine.abilities.cgroup == "1":
        pytest.xfail("cgroup v1 counts it only where the machine's owner says so")
    result = await attack(
        "server = socket.create_server(('127.0.0.1', 0)); kept = []\n"
        "for n in range(200):\n"
        "    kept += [socket.create_connection(server.getsockname()), server.accept()[0]]\n"
        "    for end in kept[-2:]:\n"
        "        end.setblocking(False)\n"
        "        try:\n"
        "            while True: end.send(bytes(65536))\n"
        "        except BlockingIOError: pass\n"
    )
    assert result.reason == "memory"
