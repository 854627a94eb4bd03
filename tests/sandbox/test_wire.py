"""Commands in a real container: how they start, what they give, how they end."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sandbox.container import Sandbox
from sandbox.errors import UsageError
from sandbox.image import Image
from sandbox.policy import MIB, Policy

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

LARGE = os.urandom(3 * MIB + 17)
FILES = {"readme.md": "# hello\n", "src/main.py": "print('hi')\n", "large.bin": LARGE}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(image: Image, make_base: Any) -> AsyncIterator[Sandbox]:
    async with Sandbox.open(image, make_base(FILES), Policy(), resettable=True) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(shared: Sandbox) -> Sandbox:
    await shared.reset()
    return shared


async def test_exit_codes_and_signals_are_told_apart(box: Sandbox) -> None:
    assert (await box.run("exit 3")).exit_code == 3
    killed = await box.run("kill -SEGV $$")
    assert (killed.exit_code, killed.signal, killed.reason) == (None, 11, "signal")
    fine = await box.run(["true"])
    assert fine.ok
    assert fine.reason == "exit"


async def test_both_outputs_come_merged_and_in_order(box: Sandbox) -> None:
    result = await box.run("echo a; echo b >&2; echo c; printf '\\xff' >&2")
    assert result.output.head == b"a\nb\nc\n\xff"
    assert result.output.text == "a\nb\nc\n�"


async def test_a_missing_program_ends_as_in_a_shell(box: Sandbox) -> None:
    missing = await box.run(["no-such-program"])
    assert missing.exit_code == 127
    assert "no-such-program" in missing.output.text
    assert (await box.run(["./readme.md"])).exit_code == 126


async def test_the_working_folder_is_relative_to_the_workspace(box: Sandbox) -> None:
    assert (await box.run("pwd", cwd="src")).output.text == "/workspace/src\n"
    assert (await box.run("pwd", cwd="/tmp")).output.text == "/tmp\n"
    with pytest.raises(FileNotFoundError):
        await box.run("pwd", cwd="nowhere")
    with pytest.raises(NotADirectoryError):
        await box.run("pwd", cwd="readme.md")


async def test_input_is_given_whole_and_may_be_left_unread(box: Sandbox) -> None:
    result = await box.run("md5sum", stdin=LARGE)
    plain = await box.run("md5sum < large.bin")
    assert result.output.text == plain.output.text
    assert (await box.run("true", stdin=LARGE)).ok
    with pytest.raises(UsageError, match="Write it to a file"):
        await box.run("true", stdin=bytes(17 * MIB))
    assert (await box.run("head -c 3", stdin=LARGE)).output.head == LARGE[:3]


async def test_of_long_output_head_and_tail_are_kept_and_all_is_counted(box: Sandbox) -> None:
    result = await box.run("seq 1 200000", output_limit=1000)
    whole = "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert result.output.total == len(whole)
    assert result.output.head == whole[:500]
    assert result.output.tail == whole[-500:]
    assert result.output.truncated
    assert "of 1,288,895 bytes cut" in result.output.text


@pytest.mark.parametrize("count", [999, 1000, 1001])
async def test_nothing_is_cut_or_doubled_at_the_limit(box: Sandbox, count: int) -> None:
    result = await box.run(f"head -c {count} large.bin", output_limit=1000)
    kept = result.output.head + result.output.tail
    assert result.output.truncated == (count > 1000)
    assert result.output.total == count
    assert kept == (LARGE[:500] + LARGE[count - 500 : count] if count > 1000 else LARGE[:count])


async def test_output_is_seen_as_it_comes(box: Sandbox) -> None:
    seen: list[tuple[float, bytes]] = []
    began = time.monotonic()
    result = await box.run(
        "echo one; sleep 0.5; echo two", on_output=lambda d: seen.append((time.monotonic(), d))
    )
    assert b"".join(part for _, part in seen) == result.output.head == b"one\ntwo\n"
    assert seen[0][0] - began < 0.45


async def test_output_seen_live_is_kept_as_otherwise(box: Sandbox) -> None:
    parts: list[bytes] = []
    result = await box.run("seq 1 400000", output_limit=1000, on_output=parts.append)
    plain = await box.run("seq 1 400000", output_limit=1000)
    assert result.output == plain.output
    assert len(b"".join(parts)) == MIB


async def no_sleep_is_left(box: Sandbox) -> None:
    """A command that nobody waits for any more is killed a moment later."""
    deadline = time.monotonic() + 5
    while (await box.run("pgrep -c sleep")).output.text != "0\n":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_what_the_listener_raises_is_raised_to_the_caller(box: Sandbox) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await box.run("echo x; sleep 60", on_output=fail)
    await no_sleep_is_left(box)


async def test_a_timeout_keeps_the_output_and_kills_everything(box: Sandbox) -> None:
    began = time.monotonic()
    result = await box.run(
        "echo before; setsid sleep 61 & (trap '' TERM; sleep 62) & sleep 63", timeout=0.5
    )
    assert time.monotonic() - began < 5
    assert (result.reason, result.exit_code, result.ok) == ("timeout", None, False)
    assert result.output.text == "before\n"
    assert (await box.run("pgrep -c sleep")).output.text == "0\n"


async def test_what_a_command_left_behind_dies_with_it(box: Sandbox) -> None:
    began = time.monotonic()
    await box.run("sleep 61 & setsid sleep 62 & (setsid bash -c 'sleep 63 & disown' &) ; exit 0")
    assert time.monotonic() - began < 5
    assert (await box.run("pgrep -c sleep")).output.text == "0\n"


async def test_cancelling_the_wait_kills_the_command(box: Sandbox) -> None:
    waiting = asyncio.create_task(box.run("sleep 64"))
    await asyncio.sleep(0.3)
    assert (await box.run("pgrep -c sleep")).output.text == "1\n"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await no_sleep_is_left(box)


async def test_a_command_cancelled_at_any_moment_is_killed_and_no_other(box: Sandbox) -> None:
    for n in range(40):
        waiting = asyncio.create_task(box.run("sleep 67"))
        await asyncio.sleep(0.0005 * n)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (await box.run("echo next")).output.text == "next\n"
    ended = asyncio.create_task(box.run("sleep 0.01"))
    for _ in range(20):  # cancelled at about the moment of its end
        ended = asyncio.create_task(box.run("sleep 0.01"))
        await asyncio.sleep(0.014)
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        assert (await box.run("sleep 0.02; echo next")).output.text == "next\n"
    await no_sleep_is_left(box)


async def test_commands_run_side_by_side_and_end_alone(box: Sandbox) -> None:
    server = asyncio.create_task(box.run("exec python3 -m http.server 8000 --bind 127.0.0.1"))
    probe = (
        "import socket,time\n"
        "for _ in range(100):\n"
        "    try: socket.create_connection(('127.0.0.1', 8000)); break\n"
        "    except OSError: time.sleep(0.1)\n"
        "else: raise SystemExit(1)\n"
    )
    assert (await box.run(["python3", "-c", probe])).ok
    results = await asyncio.gather(*(box.run(f"sleep 0.2; echo {n}") for n in range(8)))
    assert [result.output.text for result in results] == [f"{n}\n" for n in range(8)]
    assert not server.done()
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server


async def test_events_come_back_apart_from_the_output(box: Sandbox) -> None:
    script = "echo out; echo '{\"a\": 1}' >&$GREENROOM_EVENTS_FD; bash -c 'echo b >&1000'"
    result = await box.run(script, events_limit=1000)
    assert (result.output.text, result.events) == ("out\n", b'{"a": 1}\nb\n')
    assert result.events_total == len(result.events)


async def test_events_are_cut_at_their_limit_and_counted(box: Sandbox) -> None:
    result = await box.run("seq 1 50000 >&$GREENROOM_EVENTS_FD", events_limit=100)
    assert len(result.events) == 100
    assert result.events_total == 288894


async def test_time_and_memory_used_are_reported(box: Sandbox) -> None:
    script = (
        "import subprocess,sys;subprocess.run([sys.executable,'-c',"
        "'x=bytearray(150<<20)\\nfor _ in range(8000000): pass'])"
    )
    result = await box.run(["python3", "-c", script])
    assert 0.1 < result.cpu_seconds <= result.seconds * 2.5
    assert 150 * MIB < result.max_rss_bytes < 250 * MIB


async def test_signals_that_python_ignores_are_not_ignored_inside(box: Sandbox) -> None:
    result = await box.run("yes | head -1; echo ${PIPESTATUS[0]}")
    assert result.output.text == "y\n141\n"


async def test_a_large_environment_and_command_arrive(box: Sandbox) -> None:
    text = "x" * 120_000
    result = await box.run(
        ["bash", "-c", f"echo -n {text}; echo -n $BIG"], env={"BIG": text}, output_limit=MIB
    )
    assert result.output.total == 240_000
