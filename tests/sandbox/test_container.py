"""The sandbox against a real engine. Most tests share one container, put back before each."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio

from sandbox import source
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


async def test_a_program_is_found_as_a_shell_finds_it(box: Sandbox) -> None:
    await box.write("first/tool", b"#!/bin/sh\necho first\n", executable=False)
    await box.write("second/tool", b"#!/bin/sh\necho second\n", executable=True)
    first, second = "/workspace/first", "/workspace/second"
    for search, cwd, expected in (
        (f"/nowhere:{first}:{second}", ".", (0, "second\n")),
        (f"/workspace/readme.md:{second}:{first}", ".", (0, "second\n")),
        (f":{first}", "second", (0, "second\n")),
        ("", "second", (0, "second\n")),
        (f"{first}:/nowhere", ".", (126, None)),
        ("/nowhere", ".", (127, None)),
    ):
        result = await box.run(["tool"], cwd=cwd, env={"PATH": search})
        text = result.output.text if result.ok else None
        assert (result.exit_code, text) == expected, search


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
    # Podman gives a container without a network no such file at all.
    show = "test ! -e /etc/resolv.conf || cat /etc/resolv.conf"
    result = await box.run(f"python3 -c '{script}'; {show}")
    address, *resolver = result.output.text.splitlines()
    assert address == "127.0.0.1"
    assert {line for line in resolver if "nameserver" in line} <= {"nameserver 127.0.0.1"}


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


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "src/\0"])
async def test_text_that_is_no_file_name_is_refused(box: Sandbox, path: str) -> None:
    for work in (
        box.read(path),
        box.write(path, b"x"),
        box.remove(path),
        box.list(path),
        box.search("x", path=path),
    ):
        with pytest.raises(FileProblem, match="no file name"):
            await work
    with pytest.raises(FileProblem, match="cannot be worked in"):
        await box.run("true", cwd=path)
    assert (await box.run("true")).ok


async def test_a_request_too_large_for_a_frame_is_refused(box: Sandbox) -> None:
    for work in (box.run("true " + "x" * 2 * MIB), box.read("x/" * MIB), box.search("x" * 2 * MIB)):
        with pytest.raises(UsageError, match="too long for a sandbox"):
            await work
    assert (await box.run("true")).ok


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


async def test_closed_and_deep_folders_do_not_end_a_listing_or_a_search(box: Sandbox) -> None:
    deep = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
    await box.run(["python3", "-c", deep])
    await box.run("mkdir shut half; touch half/f; chmod 0 shut; chmod 444 half")
    found = {info.path for info in await box.list(depth=10_000)}
    assert {"shut", "half", "src/main.py", "d/d/d"} <= found
    assert "half/f" not in found
    assert (await box.search("print")).matches[0].path == "src/main.py"


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
    # Python warns of this one, where the lines are written too.
    assert (await box.search("[[d]ef")).matches[0].line == "def f(x):"
    cut = await box.search(".", limit=2)
    assert len(cut.matches) == 2
    assert cut.truncated


async def test_a_search_that_cannot_be_done_says_why(box: Sandbox, monkeypatch) -> None:
    with pytest.raises(FileProblem, match="not a regular expression"):
        await box.search("(")
    for pattern in ("a{99999999999}", "(" * 5000, "(?u)a", "\ud800"):
        with pytest.raises(FileProblem, match="not a regular expression"):
            await box.search(pattern)
    with pytest.raises(FileProblem, match="cannot be searched for"):
        await box.search("\ud800", literal=True)
    with pytest.raises(FileProblem, match="nowhere"):
        await box.search("x", path="nowhere")
    await box.write("slow.txt", b"a" * 40 + b"b")
    monkeypatch.setattr("sandbox.search.SEARCH_SECONDS", 0.5)
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


async def test_leftovers_that_cannot_be_removed_do_not_stop_the_work(
    image: Image, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(api: object) -> None:
        raise OSError("driver failed to remove")

    monkeypatch.setattr("sandbox.lifecycle.remove_leftovers", fail)
    async with Sandbox.open(image, base, Policy()) as box:
        assert (await box.run("true")).ok


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


@pytest.fixture
def useless_code(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(source, "compiled", lambda name, text: b"no code")
    source.supervisor_source.cache_clear()
    yield
    source.supervisor_source.cache_clear()


@pytest.mark.usefixtures("useless_code")
async def test_another_python_than_the_host_s_takes_the_text(
    image: Image, make_base: Callable[..., Base], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAGIC_NUMBER", b"\0\0\r\n")
    async with Sandbox.open(image, make_base({"a": "a"}), Policy()) as box:
        assert (await box.run(["true"])).ok


@pytest.mark.usefixtures("useless_code")
async def test_a_supervisor_that_does_not_start_says_why(
    image: Image, make_base: Callable[..., Base]
) -> None:
    with pytest.raises(InfrastructureError, match="bad marshal data"):
        async with Sandbox.open(image, make_base({"a": "a"}), Policy()):
            pass
