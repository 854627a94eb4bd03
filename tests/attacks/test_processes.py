"""Attacks by processes: too many, too long, or out of sight of what ends them."""

import asyncio
import time

import pytest

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError
from tests.attacks.conftest import Attack, Without
from tests.attacks.controls import Control, appears, attack_in, meanwhile, verdicts

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def left(box: Sandbox, name: str = "python3") -> int:
    """How many processes of the commands' uid have that name."""
    result = await box.run(["pgrep", "-c", "-u", "sandbox", name])
    # Where they have taken all there may be, none can be started to count them.
    return box.policy.pids if result.exit_code == 126 else int(result.output.text)


# -- too many -------------------------------------------------------------------------------------


async def test_processes_end_at_their_limit(attack: Attack, without: Without) -> None:
    # Not more than so many: without a limit, a bomb would take the machine.
    script = (
        "made = 0\n"
        "try:\n"
        "    while made < 400:\n"
        "        if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "        made += 1\n"
        "except BlockingIOError: pass\n"
        "print('made', made)\n"
    )
    assert int(verdicts(await attack(script))["made"]) < 256
    bare = await without("process limit")
    assert int(verdicts(await attack_in(bare, script))["made"]) == 400


@pytest.mark.parametrize(
    "bomb",
    [
        "bomb() { bomb | bomb & }; bomb; sleep 60",
        "python3 -c 'import os\nwhile True:\n try: os.fork()\n except OSError: pass' & sleep 60",
    ],
    ids=["shell", "spinning"],
)
async def test_a_fork_bomb_ends_at_its_timeout_and_leaves_nothing(
    bomb: str, box: Sandbox, without: Without
) -> None:
    began = time.monotonic()
    result = await box.run(bomb, timeout=1)
    assert result.reason == "timeout"
    assert time.monotonic() - began < 20
    assert (await box.run("true")).ok
    if "python3" in bomb:  # the other one dies out now and then when nothing kills it
        bare = await without("killing what is left")
        await bare.run(bomb, timeout=1)
        assert (await bare.run("true")).exit_code == 126


async def test_zombies_do_not_use_up_the_processes(box: Sandbox, attack: Attack) -> None:
    # That they may be used up is seen by what the attack says: it is stopped.
    result = await attack(
        "made = 0\n"
        "try:\n"
        "    for made in range(1000):\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "except BlockingIOError: print('stopped')\n"
    )
    assert result.output.text == "stopped\n"
    assert (await box.run("true")).ok


async def test_without_a_process_left_another_command_says_so(box: Sandbox) -> None:
    hog = (
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0: time.sleep(60)\n"
        "except BlockingIOError: open('full', 'w').close()\n"
        "time.sleep(60)\n"
    )
    task = asyncio.create_task(attack_in(box, hog))
    await appears(box, "full")
    for result in await asyncio.gather(box.run("true"), box.run("true")):
        assert result.exit_code == 126
        assert "temporarily unavailable" in result.output.text
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(10):  # the kill comes a moment after the cancelling
        while not (await box.run("true")).ok:
            await asyncio.sleep(0.05)


# -- too long -------------------------------------------------------------------------------------


async def test_a_command_that_ignores_signals_ends_at_its_timeout(box: Sandbox) -> None:
    stubborn = "trap '' TERM INT HUP QUIT; sleep 1; echo survived"
    result = await box.run(stubborn.replace("1", "60"), timeout=0.5)
    assert (result.reason, result.output.text) == ("timeout", "")
    # Asked to end, as `timeout` does it, it goes on.
    plain = await box.run(f'timeout 0.3 bash -c "{stubborn}"')
    assert plain.output.text == "survived\n"


async def test_a_session_of_its_own_does_not_outlive_a_timeout(
    box: Sandbox, without: Without
) -> None:
    escape = "setsid sleep 100 & setsid setsid sleep 100 & sleep 60"
    assert (await box.run(escape, timeout=0.5)).reason == "timeout"
    assert await left(box, "sleep") == 0
    bare = await without("killing what is left")
    await bare.run(escape, timeout=0.5)
    assert await left(bare, "sleep") == 3


async def test_an_endless_spin_is_ended_and_bounded_in_cpu(box: Sandbox, without: Without) -> None:
    result = await box.run("for i in 1 2 3 4; do (while :; do :; done) & done; wait", timeout=2)
    assert result.reason == "timeout"
    assert result.cpu_seconds < 2 * 1.0 + 1  # of 4, on two cores or more
    quota = "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null"
    assert (await box.run(quota)).output.text.split()[0] == "100000"
    assert (await (await without("cpu limit")).run(quota)).output.text.split()[0] in ("max", "-1")


# -- out of sight ---------------------------------------------------------------------------------

HIDING = {
    "sessions": "for _ in range(100):\n    if os.fork() == 0: os.setsid(); os.fork(); rest()\n",
    "relay": (
        "if os.fork() == 0:\n"
        "    while True:\n"
        "        try: os.setsid()\n"
        "        except OSError: pass\n"
        "        try:\n"
        "            if os.fork(): os._exit(0)\n"
        "        except OSError: pass\n"
    ),
    "own reaper": (
        "if os.fork() == 0:\n"
        "    libc.prctl(36, 1, 0, 0, 0); os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0: rest()\n"
        "        os._exit(0)\n"
        "    rest()\n"
    ),
    "no signal to the parent": "if clone(0) == 0: rest()\n",
    "the parent's child": "if os.fork() == 0:\n    clone(0x8000 | 17); rest()\n",
    "stopped": "if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP); rest()\n",
    "name of a dead one": "if os.fork() == 0: libc.prctl(15, b') Z 1 1 (', 0, 0, 0); rest()\n",
}


@pytest.mark.parametrize("how", HIDING)
async def test_no_process_outlives_its_command(how: str, box: Sandbox, without: Without) -> None:
    script = (
        "import signal\n"
        "def rest():\n"
        "    for number in range(1, 32):\n"
        "        if number not in (9, 19): signal.signal(number, signal.SIG_IGN)\n"
        "    while True: time.sleep(60)\n"
        "def clone(flags): return libc.syscall(220 if arm else 56, flags, 0, 0, 0, 0)\n"
        f"{HIDING[how]}time.sleep(0.2)\n"
    )
    name = "." if how.startswith("name") else "python3"
    result = await attack_in(box, script)
    assert result.ok, result.output.text
    # pgrep itself does not count.
    assert await left(box, name) == 0
    bare = await without("killing what is left")
    await attack_in(bare, script)
    assert await left(bare, name) > 0


async def test_a_leader_that_ends_before_its_thread_dies_all_the_same(
    attack: Attack, box: Sandbox, without: Without
) -> None:
    script = (
        "import threading\n"
        "if os.fork() == 0:\n"
        "    def run():\n"
        "        while True: time.sleep(1)\n"
        "    threading.Thread(target=run).start()\n"
        "    libc.syscall(93 if arm else 60, 0)\n"  # exit of this thread alone
        "time.sleep(0.3)\n"
    )
    result = await attack(script)
    assert result.ok
    assert await left(box) == 0
    # Taken for the dead process that it looks like, it is never killed, and waited for.
    bare = await without(
        Control(
            source=(
                (" or int(fields[17]) > 1\n", "\n"),
                ("SHIM_PATIENCE = 30.0\n", "SHIM_PATIENCE = 1.0\n"),
            )
        )
    )
    with pytest.raises(InfrastructureError):
        await attack_in(bare, script, timeout=1)


async def test_a_relay_of_short_lives_does_not_outlive_a_shim_that_was_killed(
    box: Sandbox, engine: Engine, without: Without
) -> None:
    # Only the kernel kills a shim, for want of memory; the engine's own exec stands in for it.
    async def relay_in(room: Sandbox) -> int:
        async with meanwhile(room, HIDING["relay"] + "ready()\n"):
            shims = await room.run("pgrep -u root -P 1")
            for pid in shims.output.text.split():
                made = engine.api.exec_create(room.container_id, ["kill", "-9", pid], user="0:0")
                engine.api.exec_start(made)
        await room.run("true")
        return await left(room)

    assert await relay_in(box) == 0
    assert await relay_in(await without("killing what a dead shim left")) > 0


# -- against another command ----------------------------------------------------------------------


# Stops every other process of its uid.
STOP_ALL = """
import signal
ready()
while True:
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) != os.getpid():
            try: os.kill(int(name), signal.SIGSTOP)
            except OSError: pass
"""


async def test_one_command_stopped_by_another_ends_at_its_timeout(without: Without) -> None:
    # What is attacked lasts a few microseconds, in which the process has its uid and is not yet its
    # program; here it lasts longer.
    moment = '        os.chdir(command["folder"])\n'
    longer = Control(source=((moment, f"        time.sleep(1)\n{moment}"),))

    async def attacked(room: Sandbox) -> str:
        async with meanwhile(room, STOP_ALL):
            return (await room.run("true", timeout=1.5)).reason

    room = await without(longer)
    assert await attacked(room) == "timeout"
    await asyncio.sleep(1)  # the attacker, told to stop, may have stopped others until it was gone
    assert (await room.run("true")).ok
    # Its shim would wait for it to become its program, and the container would have to end.
    with pytest.raises(InfrastructureError):
        await attacked(await without(longer, "not waiting for a command's start"))


async def test_one_command_cannot_write_into_another_s_reports(
    box: Sandbox, without: Without
) -> None:
    # Both have one uid, so much is open between them; these pipes are root's.
    report = "open('pid', 'w').write(str(os.getpid()))\nready()\n"
    forge = (
        "pid = open('pid').read()\n"
        "def write(fd): os.write(os.open(f'/proc/{pid}/fd/{fd}', os.O_WRONLY), b'forged')\n"
        "for fd in (1, 1000): print(fd, attempt(write, fd))\n"
    )
    async with meanwhile(box, report, events_limit=100):
        assert set(verdicts(await attack_in(box, forge)).values()) == {"EACCES"}
    bare = await without("pipes of root's")
    async with meanwhile(bare, report, events_limit=100):
        assert verdicts(await attack_in(bare, forge))["1000"] == "worked"
