"""The sandbox against a real engine. Most tests share one container, put back before each."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.container import FileProblem, Sandbox
from sandbox.engine import Engine
from sandbox.errors import InfrastructureError, UsageError
from sandbox.image import Image
from sandbox.policy import MIB, Policy
from sandbox.trees import Base

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

LARGE = os.urandom(3 * MIB + 17)
ODD = "na\udce4ve.txt"  # a byte that is not UTF-8
FILES = {
    "readme.md": "# hello\n",
    "src/main.py": "print('hi')\n",
    "src/empty.py": "",
    "run.sh": (0o100755, b"#!/bin/sh\necho ran\n"),
    "link": (0o120000, b"src/main.py"),
    "large.bin": LARGE,
    "sp ace/ünï.txt": "ü\n",
    ODD: b"\xff\x00",
}


@pytest.fixture(scope="module")
def base(make_base) -> Base:
    return make_base(FILES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(image: Image, base: Base) -> AsyncIterator[Sandbox]:
    async with Sandbox.open(image, base, Policy(), resettable=True) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(shared: Sandbox) -> Sandbox:
    await shared.reset()
    return shared


# -- what is inside -----------------------------------------------------------------------------


async def test_the_workspace_is_the_base(box: Sandbox) -> None:
    for path, content in FILES.items():
        raw = content[1] if isinstance(content, tuple) else content
        raw = raw.encode() if isinstance(raw, str) else raw
        expected = b"print('hi')\n" if path == "link" else raw
        assert await box.read(path, limit=4 * MIB) == expected
    result = await box.run("./run.sh; readlink link; stat -c %a run.sh readme.md src")
    assert result.output.text == "ran\nsrc/main.py\n755\n644\n755\n"


async def test_git_inside_knows_the_base(box: Sandbox) -> None:
    await box.write("readme.md", b"# bye\n")
    result = await box.run("git status --short; git diff --stat | tail -1; git log --format=%s")
    assert result.output.text == (
        " M readme.md\n 1 file changed, 1 insertion(+), 1 deletion(-)\nbase\n"
    )


async def test_commands_run_under_an_account_of_their_own(box: Sandbox) -> None:
    result = await box.run("whoami; echo $HOME; id -u; id -G; pwd; touch ~/x && echo ok")
    name, home, uid, groups, folder, written = result.output.text.splitlines()
    assert (name, home, folder, written) == ("sandbox", "/home/sandbox", "/workspace", "ok")
    assert int(uid) >= 0x10000000
    assert groups == uid


async def test_the_environment_is_the_documented_one(box: Sandbox) -> None:
    await box.run("mkdir -p ~/.local/bin && printf '#!/bin/sh\\necho mine' > ~/.local/bin/tool")
    result = await box.run("chmod +x ~/.local/bin/tool; tool; env", env={"EXTRA": "1"})
    lines = result.output.text.splitlines()
    assert lines[0] == "mine"
    assert {"LANG=C.UTF-8", "TERM=dumb", "CI=1", "PIP_NO_INDEX=1", "EXTRA=1"} <= set(lines)
    assert not any(line.startswith(("GREENROOM", "LC_CTYPE")) for line in lines)


async def test_it_knows_its_own_name_and_no_resolver(box: Sandbox) -> None:
    script = "import socket; print(socket.gethostbyname(socket.gethostname()))"
    result = await box.run(f"python3 -c '{script}'; grep nameserver /etc/resolv.conf")
    assert result.output.text == "127.0.0.1\nnameserver 127.0.0.1\n"


async def test_a_login_shell_finds_the_same_programs(box: Sandbox) -> None:
    plain = await box.run("echo $PATH")
    login = await box.run(["bash", "-lc", "echo $PATH"])
    assert login.output.text == plain.output.text


async def test_support_files_are_there_and_not_writable(image: Image, base: Base) -> None:
    support = {"plugin.py": b"x = 1\n", "deep/data.json": b"{}"}
    async with Sandbox.open(image, base, Policy(), support=support) as box:
        result = await box.run(
            "cat /run/greenroom/plugin.py /run/greenroom/deep/data.json; cd /run/greenroom;"
            " echo no > plugin.py || rm -f plugin.py || mv deep other || chmod 777 . || touch new"
        )
        assert result.output.text.startswith("x = 1\n{}")
        assert result.exit_code == 1
        assert (await box.run("cat /run/greenroom/plugin.py")).output.text == "x = 1\n"


# -- commands -----------------------------------------------------------------------------------


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


async def test_what_the_listener_raises_is_raised_to_the_caller(box: Sandbox) -> None:
    def fail(data: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await box.run("echo x; sleep 60", on_output=fail)
    assert (await box.run("pgrep -c sleep")).output.text == "0\n"


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
    await asyncio.sleep(0.2)
    assert (await box.run("pgrep -c sleep")).output.text == "0\n"


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
    await asyncio.sleep(0.2)
    assert (await box.run("pgrep -c sleep")).output.text == "0\n"


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


# -- files --------------------------------------------------------------------------------------


async def test_what_is_written_is_read(box: Sandbox) -> None:
    await box.write("new/deep/file.txt", b"text")
    assert await box.read("new/deep/file.txt") == b"text"
    assert await box.read("/workspace/new/deep/file.txt") == b"text"
    await box.write("empty", b"")
    assert await box.read("empty") == b""
    await box.write("big", LARGE)
    assert await box.read("big", limit=len(LARGE)) == LARGE


async def test_writing_keeps_the_mode_unless_told(box: Sandbox) -> None:
    await box.write("run.sh", b"#!/bin/sh\n")
    await box.write("readme.md", b"", executable=True)
    await box.write("src/main.py", b"")
    result = await box.run("stat -c %a run.sh readme.md src/main.py")
    assert result.output.text == "755\n755\n644\n"


async def test_a_rewrite_within_a_second_is_not_taken_for_the_old_module(box: Sandbox) -> None:
    for value in range(5):
        await box.write("module.py", f"value = {value}\n".encode())
        result = await box.run([*["python3", "-c"], "import module; print(module.value)"])
        assert result.output.text == f"{value}\n"


async def test_file_errors_say_what_is_wrong(box: Sandbox) -> None:
    await box.run(
        "mkfifo pipe; ln -s pipe to-pipe; echo secret > closed; chmod 000 closed; ln -s loop loop"
    )
    with pytest.raises(FileNotFoundError):
        await box.read("nothing")
    with pytest.raises(IsADirectoryError):
        await box.read("src")
    with pytest.raises(IsADirectoryError):
        await box.write("src", b"")
    with pytest.raises(NotADirectoryError):
        await box.write("readme.md/x", b"")
    for path, text in {
        "pipe": "not a regular file",
        "to-pipe": "not a regular file",
        "closed": "Permission denied",
        "loop": "symbolic links",
        "large.bin": "more than 1,048,576",
        "/etc/passwd": "out of the workspace",
        "src/../../etc/passwd": "out of the workspace",
    }.items():
        with pytest.raises(FileProblem, match=text):
            await box.read(path)


async def test_links_are_followed_inside_and_not_outside(box: Sandbox) -> None:
    await box.run(
        "ln -s /etc/hostname a; ln -s /workspace/src b; ln -s ../../etc c; ln -s /proc/self d"
    )
    assert await box.read("link") == b"print('hi')\n"
    assert await box.read("b/main.py") == b"print('hi')\n"
    for path in ("a", "c/hostname", "d/mem", "d/environ"):
        with pytest.raises(FileProblem, match="out of the workspace"):
            await box.read(path)
        with pytest.raises(FileProblem, match="out of the workspace"):
            await box.write(path, b"x")


async def test_files_and_folders_are_removed_and_links_are_not_followed(box: Sandbox) -> None:
    await box.run("mkdir -p d/e && touch d/e/f && chmod 000 d/e && ln -s /workspace/src d/src")
    await box.remove("d")
    await box.remove("run.sh")
    with pytest.raises(FileNotFoundError):
        await box.remove("run.sh")
    assert (await box.run("ls")).output.text.split("\n")[:2] == ["large.bin", "link"]
    assert await box.read("src/main.py")
    with pytest.raises(FileProblem):
        await box.remove(".")


async def test_a_folder_is_listed_to_a_depth_and_a_limit(box: Sandbox) -> None:
    await box.run("mkfifo pipe")
    kinds = {info.path: info.kind for info in await box.list()}
    assert kinds["src"] == "folder"
    assert kinds["link"] == "link"
    assert kinds["pipe"] == "pipe"
    assert "src/main.py" not in kinds
    assert ODD in kinds
    below = await box.list("src")
    assert [(info.path, info.size) for info in below] == [("src/empty.py", 0), ("src/main.py", 12)]
    assert "src/main.py" in {info.path for info in await box.list(depth=2)}
    short = await box.list(depth=3, limit=4)
    assert len(short) == 4
    assert short.truncated
    assert not below.truncated


async def test_lines_are_found_by_pattern_text_and_glob(box: Sandbox) -> None:
    await box.write("src/other.txt", b"def f(x):\r\n    return x+1\n")
    found = await box.search(r"^\s+return (\w)")
    assert [(m.path, m.line_number, m.line) for m in found.matches] == [
        ("src/other.txt", 2, "    return x+1")
    ]
    assert not (await box.search("x+1")).matches
    assert (await box.search("x+1", literal=True)).matches
    assert not (await box.search("return", glob="*.py")).matches
    assert (await box.search("hi", path="src/main.py")).matches[0].line == "print('hi')"
    cut = await box.search(".", limit=2)
    assert len(cut.matches) == 2
    assert cut.truncated


async def test_a_search_that_cannot_be_done_says_why(box: Sandbox, monkeypatch) -> None:
    with pytest.raises(FileProblem, match="not a regular expression"):
        await box.search("(")
    with pytest.raises(FileProblem, match="nowhere"):
        await box.search("x", path="nowhere")
    await box.write("slow.txt", b"a" * 40 + b"b")
    monkeypatch.setattr("sandbox.container.SEARCH_SECONDS", 0.5)
    with pytest.raises(FileProblem, match="took longer"):
        await box.search("(a+)+$")
    assert (await box.run("true")).ok


# -- closing and dying --------------------------------------------------------------------------


def containers(engine: Engine, ident: str) -> list[object]:
    return list(engine.api.containers(all=True, filters={"id": ident}))


async def test_closing_removes_the_container_at_once(
    image: Image, base: Base, engine: Engine
) -> None:
    async with Sandbox.open(image, base, Policy()) as box:
        running = asyncio.create_task(box.run("sleep 65"))
        await asyncio.sleep(0.1)
        assert containers(engine, box.container_id)
    assert not containers(engine, box.container_id)
    with pytest.raises(InfrastructureError, match="was closed"):
        await running
    with pytest.raises(InfrastructureError):
        await box.run("true")


async def test_a_container_that_dies_ends_what_waits_for_it(
    image: Image, base: Base, engine: Engine
) -> None:
    async with Sandbox.open(image, base, Policy()) as box:
        running = asyncio.create_task(box.run("sleep 66"))
        await asyncio.sleep(0.1)
        engine.api.kill(box.container_id)
        with pytest.raises(InfrastructureError, match=r"gone.*it was killed"):
            await running
        with pytest.raises(InfrastructureError):
            await box.read("readme.md")


async def test_an_opening_that_is_cancelled_leaves_nothing(
    image: Image, base: Base, engine: Engine
) -> None:
    async def opening() -> None:
        async with Sandbox.open(image, base, Policy()):
            await asyncio.sleep(60)

    for moment in (0.0, 0.03, 0.08, 0.15, 0.25):
        task = asyncio.create_task(opening())
        await asyncio.sleep(moment)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_sandbox_is_not_reset_unless_opened_so(image: Image, base: Base) -> None:
    async with Sandbox.open(image, base, Policy()) as box:
        with pytest.raises(UsageError, match="resettable"):
            await box.reset()


async def test_a_supervisor_without_a_host_ends_by_itself(
    image: Image, base: Base, engine: Engine, monkeypatch
) -> None:
    monkeypatch.setattr("sandbox.prepare.LEASE_SECONDS", 1.0)
    monkeypatch.setattr("sandbox.channel.PING_SECONDS", 60.0)
    async with Sandbox.open(image, base, Policy()) as box:
        await asyncio.sleep(3.5)
        with pytest.raises(InfrastructureError):
            await box.run("true")
        assert not containers(engine, box.container_id)


async def test_the_lease_is_kept_while_the_host_lives(
    image: Image, base: Base, monkeypatch
) -> None:
    monkeypatch.setattr("sandbox.prepare.LEASE_SECONDS", 1.5)
    monkeypatch.setattr("sandbox.channel.PING_SECONDS", 0.3)
    async with Sandbox.open(image, base, Policy()) as box:
        await asyncio.sleep(3)
        assert (await box.run("true")).ok
