"""Attacks by what a command prints: too much of it, without end, into the wrong place."""

import asyncio
import time

import pytest

from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError
from tests.attacks.conftest import Without
from tests.attacks.controls import attack_in, meanwhile

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
MIB = 1 << 20


async def test_much_output_is_counted_and_little_is_kept(box: Sandbox) -> None:
    result = await box.run("yes | head -c 200000000")
    assert result.output.total == 200_000_000
    assert len(result.output.head) + len(result.output.tail) == 65536
    # It does come, for one who asks for more of it.
    more = await box.run("yes | head -c 20000000", output_limit=16 * MIB)
    assert len(more.output.head) + len(more.output.tail) == 16 * MIB


async def test_endless_output_is_ended(box: Sandbox) -> None:
    policy = box.policy
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(policy.__dict__, "output_stop_bytes", 50 * MIB)
        result = await box.run("yes")
    assert result.reason == "output"
    assert 50 * MIB < result.output.total < 60 * MIB
    # Nothing else ends it before its time, in which it does not come to the usual bound of 1 GiB.
    assert (await box.run("yes", timeout=0.2)).reason == "timeout"


async def test_a_line_without_end_is_kept_within_bounds(box: Sandbox) -> None:
    line = "head -c 10000000 /dev/zero | tr '\\0' x"
    assert len((await box.run(line)).output.text) < 70_000
    # One that reads line by line has all of it in memory.
    reading = await attack_in(box, f"print(len(os.popen({line!r}).readline()))")
    assert reading.output.text == "10000000\n"


async def test_nothing_of_the_supervisor_s_stream_is_logged_by_the_engine(
    box: Sandbox, engine: Engine, without: Without
) -> None:
    def logged(room: Sandbox) -> int:
        described = engine.api.inspect_container(room.container_id)
        if described["HostConfig"]["LogConfig"]["Type"] == "none":
            return 0
        return len(engine.api.logs(room.container_id))

    print_much = "head -c 1000000 /dev/zero | tr '\\0' x"
    await box.run(print_much, output_limit=MIB)
    assert logged(box) == 0
    bare = await without("no log")
    await bare.run(print_much, output_limit=MIB)
    async with asyncio.timeout(20):
        while logged(bare) < 500_000:
            await asyncio.sleep(0.1)


async def test_the_supervisor_s_stream_cannot_be_written_to(box: Sandbox, without: Without) -> None:
    write = "yes 'a frame of my own' > /proc/1/fd/1"
    assert "Permission denied" in (await box.run(write)).output.text
    with pytest.raises(InfrastructureError, match="broke the protocol"):
        await (await without("another uid than the supervisor's")).run(write)


async def test_a_child_that_holds_the_output_does_not_hold_the_caller(box: Sandbox) -> None:
    began = time.monotonic()
    result = await box.run("sleep 100 & echo done")
    assert result.output.text == "done\n"
    assert time.monotonic() - began < 30
    # One that waits for the end of the output waits for the child.
    waiting = "import subprocess; subprocess.run('sleep 3 & echo done', shell=True, stdout=-1)"
    assert (await box.run(["python3", "-c", waiting], timeout=1)).reason == "timeout"


# Takes another command's output from it, and writes to it for ever.
HOLD = """
door = socket.socket(socket.AF_UNIX); door.bind('door'); door.listen(); ready()
given, _ = door.accept()
_, fds, _, _ = socket.recv_fds(given, 1, 1)
os.set_blocking(fds[0], True)
while True: os.write(fds[0], bytes(65536))
"""
GIVE = """
door = socket.socket(socket.AF_UNIX); door.connect('door')
socket.send_fds(door, [b'x'], [1]); time.sleep(0.3)
"""


async def test_one_command_cannot_hold_another_s_output_open(
    box: Sandbox, without: Without
) -> None:
    async with meanwhile(box, HOLD):
        # On a slow machine what is poured in may reach the bound on output first.
        assert (await attack_in(box, GIVE, timeout=20)).reason in ("exit", "output")
    bare = await without("an end to reading")
    async with meanwhile(bare, HOLD):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await attack_in(bare, GIVE)
        await bare.close()
