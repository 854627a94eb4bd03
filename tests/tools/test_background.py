from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tests.tools.conftest import FILES, Desk
from tools.toolsets import toolset

pytestmark = pytest.mark.docker
POLICY = Policy(background=2)
SERVE = "python3 -u -m http.server 8000 --bind 127.0.0.1"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(image: Image, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    store = TreeStore.create(tmp_path_factory.mktemp("store"))
    base = Base(store, store.add_tree(FILES))
    async with Sandbox.open(image, base, POLICY, resettable=True) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def desk(room: Sandbox) -> Desk:
    await room.reset()
    return Desk(room)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_is_started_asked_read_and_stopped(desk: Desk) -> None:
    started = await desk.call("start_process", command=SERVE, wait_for="Serving HTTP")
    assert started.ok
    assert started.text.startswith("Process 1 runs. It wrote:\nServing HTTP")
    fetch = "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:8000/run.sh')\""
    assert (await desk.call("shell", command=fetch)).data["exit_code"] == 0
    assert "GET /run.sh" in (await desk.call("read_process", process=1)).text
    assert "wrote nothing new" in (await desk.call("read_process", process=1)).text
    stopped = await desk.call("stop_process", process=1)
    assert "Process 1 was ended (SIGKILL" in stopped.text


@pytest.mark.asyncio(loop_scope="module")
async def test_one_that_ends_at_once_says_how(desk: Desk) -> None:
    result = await desk.call("start_process", command="echo no such thing >&2; exit 4")
    assert "has ended with exit code 4. It wrote:\nno such thing" in result.text


@pytest.mark.asyncio(loop_scope="module")
async def test_gpt_oss_has_them_in_its_container(desk: Desk) -> None:
    native = Desk(desk.box, "gpt-oss")
    started = await native.call(
        "container.start_process", command="echo up; sleep 60", wait_for="up"
    )
    assert "Process 1 runs. It wrote:\nup" in started.text
    assert "was ended (SIGKILL" in (await native.call("stop_process", process=1)).text


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_waited_for_and_does_not_come(desk: Desk) -> None:
    result = await desk.call(
        "start_process", command="echo other; sleep 60", wait_for="ready", timeout_seconds=0.5
    )
    assert not result.ok
    assert "Process 1 runs, without having written 'ready' within 0.5 s" in result.text
    assert "other" in result.text


@pytest.mark.asyncio(loop_scope="module")
async def test_mistakes_are_answered(desk: Desk) -> None:
    assert "Started were: none" in (await desk.call("read_process", process=7)).text
    missing = await desk.call("start_process", command="true", cwd="nowhere")
    assert "no folder nowhere" in missing.text
    for _ in range(2):
        await desk.call("start_process", command="sleep 60", timeout_seconds=0.1)
    full = await desk.call("start_process", command="true")
    assert "allows 2 commands" in full.text
    assert "stop_process" in full.text


def test_they_are_offered_only_where_the_policy_allows_it() -> None:
    names = {tool.name for tool in toolset("generic", POLICY).tools}
    assert {"start_process", "read_process", "stop_process"} <= names
    assert "start_process" not in {tool.name for tool in toolset("generic").tools}
