"""Attacks that use up what there is: processes, memory, space, time, output."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from sandbox.container import CommandResult, Sandbox
from sandbox.engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
Attack = Callable[[str], Awaitable[CommandResult]]
MIB = 1 << 20


async def test_a_fork_bomb_ends_at_its_timeout_and_leaves_nothing(box: Sandbox) -> None:
    began = time.monotonic()
    result = await box.run("bomb() { bomb | bomb & }; bomb; sleep 60", timeout=1)
    assert result.reason == "timeout"
    assert time.monotonic() - began < 6
    assert (await box.run("true")).ok


async def test_a_fork_bomb_that_spins_leaves_nothing(box: Sandbox) -> None:
    script = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    began = time.monotonic()
    result = await box.run(f"python3 -c '{script}' & sleep 100", timeout=1)
    assert result.reason == "timeout"
    assert time.monotonic() - began < 10
    assert (await box.run("true")).ok


async def test_a_relay_of_short_lived_processes_is_caught(box: Sandbox, attack: Attack) -> None:
    result = await attack(
        "if os.fork() == 0:\n"
        "    while True:\n"
        "        try:\n"
        "            os.setsid()\n"
        "        except OSError: pass\n"
        "        try:\n"
        "            if os.fork(): os._exit(0)\n"
        "        except OSError: pass\n"
    )
    assert result.ok
    assert (await box.run("pgrep -c -u $(id -u) python3")).output.text == "0\n"


async def test_a_storm_of_sessions_dies_with_its_command(box: Sandbox) -> None:
    await box.run("for i in $(seq 100); do setsid setsid sleep 100 & done; exit 0")
    assert (await box.run("pgrep -c sleep")).output.text == "0\n"


async def test_a_leader_that_ends_before_its_thread_dies_all_the_same(
    box: Sandbox, attack: Attack
) -> None:
    result = await attack(
        "import threading, time\n"
        "if os.fork() == 0:\n"
        "    def run():\n"
        "        while True: time.sleep(1)\n"
        "    threading.Thread(target=run).start()\n"
        "    libc.syscall(93 if arm else 60, 0)\n"  # exit of this thread alone
        "time.sleep(0.3)\n"
    )
    assert result.ok
    assert (await box.run("pgrep -c -u $(id -u) python3")).output.text == "0\n"


async def test_zombies_do_not_use_up_the_processes(box: Sandbox, attack: Attack) -> None:
    result = await attack(
        "made = 0\n"
        "try:\n"
        "    for made in range(1000):\n"
        "        if os.fork() == 0: os._exit(0)\n"
        "except BlockingIOError: print('stopped')\n"
    )
    assert result.output.text == "stopped\n"
    assert (await box.run("true")).ok


async def test_without_a_process_left_another_command_says_so(box: Sandbox, attack: Attack) -> None:
    hog = asyncio.create_task(
        attack(
            "import time\n"
            "try:\n"
            "    while True:\n"
            "        if os.fork() == 0: time.sleep(60)\n"
            "except BlockingIOError: open('full', 'w').close()\n"
            "time.sleep(60)\n"
        )
    )
    for _ in range(200):
        await asyncio.sleep(0.05)
        if any(info.path == "full" for info in await box.list()):
            break
    for result in await asyncio.gather(box.run("true"), box.run("true")):
        assert result.exit_code == 126
        assert "temporarily unavailable" in result.output.text
    hog.cancel()
    await asyncio.gather(hog, return_exceptions=True)
    await asyncio.sleep(0.3)
    assert (await box.run("true")).ok


async def test_too_much_memory_ends_the_command_and_nothing_else(
    box: Sandbox, attack: Attack
) -> None:
    background = asyncio.create_task(box.run("sleep 2; echo alive"))
    result = await attack("x = bytearray(1 << 30)\nfor n in range(0, 1 << 30, 4096): x[n] = 1")
    assert (result.reason, result.signal) == ("memory", 9)
    assert (await background).output.text == "alive\n"


async def test_memory_taken_below_a_shell_is_named_too(box: Sandbox) -> None:
    result = await box.run("python3 -c 'x = b\"x\" * (1 << 30)'; exit $?")
    assert (result.reason, result.exit_code) == ("memory", 137)
    plain = await box.run("python3 -c 'import os; os.kill(os.getpid(), 9)'; exit $?")
    assert (plain.reason, plain.exit_code) == ("exit", 137)


async def test_many_small_processes_cannot_end_the_supervisor(box: Sandbox, attack: Attack) -> None:
    result = await attack(
        "open('/proc/self/oom_score_adj', 'w').write('500')\n"
        "import time\n"
        "for n in range(60):\n"
        "    if os.fork() == 0:\n"
        "        x = bytearray(12 << 20)\n"
        "        for n in range(0, 12 << 20, 4096): x[n] = 1\n"
        "        time.sleep(60)\n"
        "time.sleep(1)\n"
    )
    assert result.reason in ("memory", "exit")
    assert (await box.run("true")).ok


async def test_shared_memory_of_system_v_is_counted_and_goes(box: Sandbox, attack: Attack) -> None:
    result = await attack(
        "libc.shmat.restype = ctypes.c_void_p\n"
        "for n in range(20):\n"
        "    key = libc.shmget(0, 64 << 20, 0o1600)\n"
        "    place = libc.shmat(key, None, 0)\n"
        "    ctypes.memset(place, 1, 64 << 20)\n"
    )
    assert result.reason == "memory"
    assert (await box.run("tail -n +2 /proc/sysvipc/shm | wc -l")).output.text == "0\n"


async def test_a_full_memory_file_system_is_full_and_no_more(box: Sandbox) -> None:
    result = await box.run(
        "for d in . /tmp ~ /dev/shm; do dd if=/dev/zero of=$d/fill bs=1M count=700 2>&1"
        " | grep -c 'No space left'; done"
    )
    assert result.output.text == "1\n1\n1\n1\n"
    assert (await box.run("echo still working")).ok


async def test_small_files_end_at_the_count_of_files(box: Sandbox, attack: Attack) -> None:
    result = await attack(
        "n = 0\n"
        "try:\n"
        "    while True: os.close(os.open(f'f{n}', os.O_CREAT)); n += 1\n"
        "except OSError as error: print(errno.errorcode[error.errno], n < 20000)\n"
    )
    assert result.output.text == "ENOSPC True\n"


async def test_a_sparse_file_ends_at_the_file_size(box: Sandbox) -> None:
    result = await box.run("truncate -s 1T huge; ulimit -c; ulimit -l; ulimit -q")
    assert "File size limit exceeded" in result.output.text
    assert result.output.text.endswith("0\n0\n0\n")


async def test_open_files_end_at_their_limit(attack: Attack) -> None:
    result = await attack(
        "try:\n    fds = [os.open('/', os.O_RDONLY) for _ in range(100000)]\n"
        "except OSError as error: print(errno.errorcode[error.errno])\n"
    )
    assert result.output.text == "EMFILE\n"


async def test_the_root_is_read_only(box: Sandbox) -> None:
    result = await box.run(
        "for p in /x /etc/x /usr/bin/x /var/tmp/x /run/x /dev/x /proc/x /sys/x; do"
        " touch $p && echo $p; done 2>&1"
    )
    assert "Read-only file system" in result.output.text
    assert not [line for line in result.output.text.splitlines() if line.startswith("/")]


async def test_much_output_is_counted_and_little_is_kept(box: Sandbox) -> None:
    result = await box.run("yes | head -c 200000000")
    assert result.output.total == 200_000_000
    assert len(result.output.head) + len(result.output.tail) == 65536


async def test_endless_output_is_ended(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = box.policy
    object.__setattr__(policy, "output_stop_bytes", 50 * MIB)
    result = await box.run("yes")
    object.__setattr__(policy, "output_stop_bytes", 1024 * MIB)
    assert result.reason == "output"
    assert 50 * MIB < result.output.total < 60 * MIB


async def test_a_line_without_end_is_kept_within_bounds(box: Sandbox) -> None:
    result = await box.run("head -c 10000000 /dev/zero | tr '\\0' x")
    assert len(result.output.text) < 70_000


async def test_nothing_of_the_supervisor_s_stream_is_logged_by_the_engine(
    box: Sandbox, engine: Engine
) -> None:
    state = engine.api.inspect_container(box.container_id)
    assert state["HostConfig"]["LogConfig"]["Type"] == "none"
    result = await box.run("yes > /proc/1/fd/1")
    assert "Permission denied" in result.output.text


async def test_an_endless_spin_is_ended_and_bounded_in_cpu(box: Sandbox) -> None:
    result = await box.run("for i in 1 2 3 4; do (while :; do :; done) & done; wait", timeout=2)
    assert result.reason == "timeout"
    assert result.cpu_seconds < 2 * 1.0 + 1  # of 4, on two cores or more


async def test_a_child_that_holds_the_output_does_not_hold_the_caller(box: Sandbox) -> None:
    began = time.monotonic()
    result = await box.run("sleep 100 & echo done")
    assert result.output.text == "done\n"
    assert time.monotonic() - began < 5


async def test_one_command_cannot_hold_another_s_output_open(box: Sandbox) -> None:
    holder = asyncio.create_task(
        box.run(
            [
                "python3",
                "-c",
                "import socket,time\n"
                "s=socket.socket(socket.AF_UNIX);s.bind('s');s.listen();c,_=s.accept()\n"
                "m,f,_,_=socket.recv_fds(c,1,1)\n"
                "import os\n"
                "os.set_blocking(f[0], True)\n"
                "while True: os.write(f[0], b'x'*4096)\n",
            ]
        )
    )
    giver = (
        "import socket,time\n"
        "s=socket.socket(socket.AF_UNIX)\n"
        "for _ in range(50):\n"
        "    try: s.connect('s'); break\n"
        "    except OSError: time.sleep(0.1)\n"
        "socket.send_fds(s,[b'x'],[1])\n"
    )
    began = time.monotonic()
    result = await box.run(["python3", "-c", giver], timeout=20)
    assert result.reason == "exit"
    assert time.monotonic() - began < 15
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder


async def test_a_tree_too_deep_to_name_is_removed(box: Sandbox, attack: Attack) -> None:
    result = await attack(
        "for n in range(3000):\n"
        "    os.mkdir('d'); os.chdir('d')\n"
        "open('f', 'w').close()\n"
        "os.chmod('.', 0)\n"
        "print('made')\n"
    )
    assert result.output.text == "made\n"
    assert not await box.delta()
    assert any("too deep" in note for note in box.delta_notes)
