from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.container import Background, Sandbox
from sandbox.errors import InfrastructureError, UsageError
from sandbox.image import Image
from sandbox.policy import KIB, Policy
from tests.sandbox.conftest import MakeBase

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]
POLICY = Policy(background=2, output_bytes=4 * KIB)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def room(image: Image, make_base: MakeBase) -> AsyncIterator[Sandbox]:
    base = make_base({"page.txt": "hello\n"})
    async with Sandbox.open(image, base, POLICY, resettable=True) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def box(room: Sandbox) -> Sandbox:
    await room.reset()
    return room


async def until(command: Background, text: str) -> str:
    found = ""
    while text not in found:
        found += (await command.read()).text
        assert await command.poll() is None, found
    return found


async def test_a_server_answers_other_commands_while_it_runs(box: Sandbox) -> None:
    server = await box.start(["python3", "-u", "-m", "http.server", "8000", "--bind", "127.0.0.1"])
    await until(server, "Serving HTTP")
    fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8000/page.txt').read())"
    assert (await box.run(["python3", "-c", fetch])).output.text == "b'hello\\n'\n"
    assert '"GET /page.txt' in await until(server, "GET")
    assert (await server.kill()).signal == 9
    assert (await box.run(["pgrep", "-f", "http.server"])).exit_code == 1


async def test_a_command_that_ends_tells_how(box: Sandbox) -> None:
    command = await box.start("echo out; echo err >&2; exit 3", env={"A": "b"})
    result = await command.wait(20)
    assert result is not None
    assert result.exit_code == 3
    assert (await command.read()).text == "out\nerr\n"
    assert (await command.read()).text == ""
    assert await command.kill() == result
    assert not command.running


async def test_waiting_ends_when_the_time_is_up(box: Sandbox) -> None:
    command = await box.start("sleep 100")
    assert await command.wait(0.2) is None
    await command.kill()


async def test_what_it_leaves_behind_dies_with_it(box: Sandbox) -> None:
    command = await box.start("setsid sleep 300 & echo ready; wait")
    await until(command, "ready")
    await command.kill()
    assert (await box.run(["pgrep", "sleep"])).exit_code == 1


async def test_it_ends_at_its_own_time(box: Sandbox) -> None:
    command = await box.start("echo begun; sleep 300", timeout=0.3)
    result = await command.wait(30)
    assert result is not None
    assert result.reason == "timeout"
    assert (await command.read()).text == "begun\n"


async def test_only_the_last_of_much_output_is_kept_and_all_is_counted(box: Sandbox) -> None:
    command = await box.start("seq 100000; echo done")
    await command.wait(30)
    output = await command.read()
    assert output.total == len("".join(f"{n}\n" for n in range(1, 100_001))) + len("done\n")
    assert output.truncated
    assert output.tail.endswith(b"99999\n100000\ndone\n")
    assert len(output.tail) == 4 * KIB


async def test_there_are_no_more_than_the_policy_allows(box: Sandbox) -> None:
    first, second = await box.start("sleep 300"), await box.start("sleep 300")
    with pytest.raises(UsageError, match="allows 2 commands in the background"):
        await box.start("true")
    await first.kill()
    third = await box.start("true")
    await third.wait(20)
    await second.kill()


async def test_the_strict_policy_allows_none(image: Image, make_base: MakeBase) -> None:
    async with Sandbox.open(image, make_base({"a": "a"}), Policy()) as box:
        with pytest.raises(UsageError, match="allows 0 commands"):
            await box.start("true")


async def test_a_program_or_folder_that_is_not_there(box: Sandbox) -> None:
    missing = await box.start(["no-such-program"])
    result = await missing.wait(20)
    assert result is not None
    assert result.exit_code == 127
    elsewhere = await box.start(["true"], cwd="no/such/folder")
    with pytest.raises(FileNotFoundError):
        await elsewhere.wait(20)


async def test_a_reset_ends_it(box: Sandbox) -> None:
    await box.start("sleep 300")
    await box.start("sleep 300")
    await box.reset()
    assert (await box.run(["pgrep", "sleep"])).exit_code == 1
    await (await box.start("true")).wait(20)


async def test_a_change_made_in_the_background_is_in_the_delta(box: Sandbox) -> None:
    command = await box.start("sleep 0.3; echo changed > page.txt; sleep 300")
    assert not await box.delta()
    while not (patch := await box.delta()):
        assert command.running
    assert patch.paths == ("page.txt",)
    await command.kill()


async def test_it_does_not_hold_up_the_end(image: Image, make_base: MakeBase) -> None:
    async with Sandbox.open(image, make_base({"a": "a"}), POLICY) as box:
        command = await box.start("trap '' TERM HUP; sleep 300")
    with pytest.raises(InfrastructureError):
        await command.poll()
