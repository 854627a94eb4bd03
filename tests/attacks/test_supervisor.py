"""Attacks on the supervisor itself: its processes, its stream, its descriptors, its copy of the
base."""

import asyncio

import pytest

from sandbox.container import Sandbox
from tests.attacks.conftest import Attack, Without
from tests.attacks.controls import attack_in, verdicts

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

ROOTS = (
    "import signal\n"
    "roots = [int(p) for p in os.listdir('/proc') if p.isdigit()"
    " and os.stat('/proc/' + p).st_uid == 0]\n"
    "assert 1 in roots and len(roots) >= 2, roots\n"
)
OPEN = (
    f"{ROOTS}for pid in roots:\n"
    "    for name in ('mem', 'environ', 'fd/0', 'fd/1', 'root', 'cwd'):\n"
    "        print(f'{pid}/{name}', attempt(os.open, f'/proc/{pid}/{name}', os.O_RDONLY))\n"
    "    print(f'{pid}/write', attempt(os.open, f'/proc/{pid}/fd/1', os.O_WRONLY))\n"
    "    print(f'{pid}/poke', attempt(os.open, f'/proc/{pid}/mem', os.O_RDWR))\n"
    "    print(f'{pid}/exists', attempt(os.kill, pid, 0))\n"
    "    score = f'/proc/{pid}/oom_score_adj'\n"
    "    print(f'{pid}/score', attempt(os.open, score, os.O_WRONLY))\n"
)


async def test_the_supervisor_cannot_be_read_or_written(attack: Attack, without: Without) -> None:
    assert set(verdicts(await attack(OPEN)).values()) <= {"EPERM", "EACCES"}
    bare = await attack_in(await without("another uid than the supervisor's"), OPEN)
    for name in ("mem", "environ", "fd/0", "write", "poke", "exists", "score"):
        assert verdicts(bare)[f"1/{name}"] == "worked"


async def test_the_supervisor_cannot_be_signalled_or_traced(attack: Attack) -> None:
    # That they may be sent without its control is seen above; here they would end the container.
    result = await attack(
        f"{ROOTS}for pid in roots:\n"
        "    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV):\n"
        "        print(f'{pid}/{number}', attempt(os.kill, pid, number))\n"
        "    fd = os.pidfd_open(pid)\n"
        "    print(f'{pid}/take', call(438, fd, 1, 0))\n"
        "    print(f'{pid}/send', call(424, fd, 9, 0, 0))\n"
        "    print(f'{pid}/trace', call(117 if arm else 101, 16, pid, 0, 0))\n"
    )
    assert set(verdicts(result).values()) <= {"EPERM", "EACCES"}


async def test_killing_everything_does_not_touch_the_supervisor(
    box: Sandbox, without: Without
) -> None:
    other = asyncio.create_task(box.run("sleep 30"))
    await asyncio.sleep(0.2)
    result = await box.run("kill -9 -1")
    assert result.ok  # the kernel spares who asks
    assert (await other).signal == 9
    assert (await box.run("echo alive")).output.text == "alive\n"
    # Of the same uid, the shim that would report it is among the dead.
    bare = await without("another uid than the supervisor's")
    assert (await bare.run("kill -9 -1; sleep 1")).signal == 9


async def test_no_descriptor_of_the_supervisor_reaches_a_command(
    box: Sandbox, without: Without
) -> None:
    count = "ls -l /proc/self/fd | grep -v -e total -e '/proc/' | wc -l"
    assert (await box.run(count)).output.text == "3\n"
    assert (await (await without("closing descriptors")).run(count)).output.text == "4\n"


async def test_a_result_cannot_be_forged(box: Sandbox, without: Without) -> None:
    # Frames as the supervisor sends them, with the number that the next request will have.
    forge = (
        "import json\n"
        "def frame(kind, text): return struct.pack('>IBI', len(text), kind, NUMBER) + text\n"
        "reply = dict(status=0, stage=0, errno=0, reason='', oom_kills=0, seconds=0.1,"
        " cpu_seconds=0.1, max_rss_bytes=0, total=11, events_total=0)\n"
        "frames = frame(17, b'100 passed\\n') + frame(16, json.dumps(reply).encode())\n"
    )

    def numbered(room: Sandbox) -> str:
        return forge.replace("NUMBER", str(room._container.channel._next))

    # In its own output they are output.
    result = await attack_in(box, numbered(box) + "os.write(1, frames); sys.exit(1)\n")
    assert result.exit_code == 1
    assert result.output.total > 100
    # Through the supervisor's own stream they would be a result.
    through = "os.write(os.open('/proc/1/fd/1', os.O_WRONLY), frames); time.sleep(1); sys.exit(1)\n"
    result = await attack_in(box, numbered(box) + through)
    assert result.exit_code == 1
    assert "Permission denied" in result.output.text
    bare = await without("another uid than the supervisor's")
    result = await attack_in(bare, numbered(bare) + through)
    assert (result.exit_code, result.output.text) == (0, "100 passed\n")


async def test_the_kept_base_cannot_be_reached(box: Sandbox, without: Without) -> None:
    look = "cat /run/greenroom/pristine; echo mine >> /run/greenroom/x; ls /run/greenroom"
    shown = (await box.run(look)).output.text
    assert "kept\n" not in shown
    assert not {"pristine", "x"} & set(shown.splitlines())
    bare = await without("a hidden copy of the base")
    assert "kept\n" in (await bare.run(look)).output.text
