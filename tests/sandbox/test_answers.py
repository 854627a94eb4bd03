"""Whatever a sandbox answers: only the documented errors come out, in time, and nothing is left."""

import asyncio
import gc
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox import protocol
from sandbox.channel import Channel
from sandbox.container import FileProblem, Sandbox
from sandbox.delta import BaseIndex
from sandbox.engine import Address
from sandbox.errors import InfrastructureError, PatchError
from sandbox.patch import FILE, Change, Patch
from sandbox.policy import MIB, Policy
from sandbox.recipe import Recipe
from tests.sandbox.played import ENDED, HANGING, Answer, Lent, answers, played
from tests.sandbox.test_channel import UPGRADED, engine, wrapped

SECONDS = 0.02  # what an answer may take here
FILE_ERRORS = (FileProblem, FileNotFoundError, IsADirectoryError, NotADirectoryError)
PATCH = Patch((Change("a.py", FILE, b"new\n"),))

Call = Callable[[Sandbox], Awaitable[Any]]
CALLS: dict[str, tuple[Call, tuple[type[Exception], ...]]] = {
    "run": (lambda box: box.run("true", timeout=SECONDS, output_limit=100), FILE_ERRORS),
    "events": (
        lambda box: box.run(
            ["true"], timeout=SECONDS, events_limit=50, on_output=len, on_events=len
        ),
        FILE_ERRORS,
    ),
    "read": (lambda box: box.read("a.py", limit=1000), FILE_ERRORS),
    "write": (lambda box: box.write("a.py", b"x"), FILE_ERRORS),
    "remove": (lambda box: box.remove("a.py"), FILE_ERRORS),
    "list": (lambda box: box.list(depth=2), FILE_ERRORS),
    "search": (lambda box: box.search("x"), FILE_ERRORS),
    "delta": (lambda box: box.delta(), (PatchError,)),
    "apply": (lambda box: box.apply(PATCH), (PatchError,)),
    "reset": (lambda box: box.reset(), ()),
    "shell": (lambda box: box.shell(), ()),
}


@pytest.fixture(scope="module")
def index(make_base: Any) -> BaseIndex:
    return BaseIndex(make_base({"a.py": "a = 1\n", "lib/x.py": "x\n"}))


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("wire.ANSWER_SECONDS", "wire.UPLOAD_SECONDS", "search.SEARCH_SECONDS"):
            patch.setattr(f"sandbox.{name}", SECONDS)
        yield


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """A loop for all examples. What nobody caught in it fails the test."""
    uncaught: list[Any] = []
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _, context: uncaught.append(context))
        yield runner
        gc.collect()
    assert uncaught == []


async def answered(index: BaseIndex, call: Call, given: Sequence[Answer], *, ends: bool) -> None:
    """A call, answered so; raises what it raises."""
    async with played(given, ends=ends) as address:
        await called(index, call, address)


async def called(index: BaseIndex, call: Call, address: Address) -> None:
    channel = await Channel.attach(address, "1.41", "name")
    try:
        recipe = Recipe(None, index._base, Policy(), resettable=True)  # type: ignore[arg-type]
        box = Sandbox(Lent(channel), recipe, None)  # type: ignore[arg-type]
        box._index = index
        async with asyncio.timeout(HANGING):
            await call(box)
    finally:
        await channel.close()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input and output that are no terminal, for `shell`."""
    read, write = os.pipe()
    with open(read, "rb") as source, open(os.devnull, "wb") as target, open(write, "wb"):
        monkeypatch.setattr("sandbox.terminal.sys", SimpleNamespace(stdin=source, stdout=target))
        yield


@settings(
    max_examples=settings.default.max_examples * 2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(sorted(CALLS)), st.lists(answers, min_size=1, max_size=2), st.booleans())
def test_any_answer_gives_a_result_or_a_documented_error(
    runner: asyncio.Runner,
    index: BaseIndex,
    terminal: None,
    name: str,
    said: list[Answer],
    ends: bool,
) -> None:
    call, documented = CALLS[name]
    if name == "shell":  # a person's; it may take as long as they like
        said, ends = said[:1], True
    before = open_sockets()
    with suppress(InfrastructureError, *documented):
        runner.run(answered(index, call, said, ends=ends))
    runner.run(settled())
    assert asyncio.all_tasks(runner.get_loop()) == set()
    assert open_sockets() == before


def open_sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the folder's own
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


async def settled() -> None:
    """What is closed is gone a few rounds of the loop later."""
    for _ in range(5):
        await asyncio.sleep(0)


HALF_A_FILE = protocol.encode_record(protocol.FILE, b"a.py", b"content")[:-1]
CHANGED = json.dumps({"changed": [["a.py", "file", 7, False]], "deleted": [], "notes": []})
FAULT = {"error": {"errno": 2, "text": "x"}}


@pytest.mark.parametrize(
    ("name", "bodies", "ended", "reply"),
    [
        ("search", {"search": b"no json\n"}, ENDED, {}),
        ("search", {"search": b'["a", 1e999, "x"]\n'}, ENDED, {}),
        ("shell", {}, {}, {}),
        ("shell", {}, {"status": 2**70}, {}),
        ("run", {}, {**ENDED, "status": float("inf")}, {}),
        ("run", {}, {**ENDED, "seconds": float("nan")}, {}),
        ("run", {}, {**ENDED, "stage": 2, "errno": 2**70}, {}),
        ("read", {}, {}, {"error": {"errno": float("inf"), "text": ""}}),
        ("delta", {"changes": CHANGED.encode(), "fetch": HALF_A_FILE}, {}, {}),
        ("delta", {"changes": b'{"too_many": 1e999}'}, {}, {}),
        ("reset", {}, {}, FAULT),
    ],
)
async def test_an_answer_of_another_form_is_the_sandbox_s_failure(
    index: BaseIndex, terminal: None, name: str, bodies: dict[str, bytes], ended: Any, reply: Any
) -> None:
    answer = Answer(bodies, ended, reply, b"", 0, [])
    with pytest.raises(InfrastructureError, match=r"wrongly|could not be reset"):
        await answered(index, CALLS[name][0], [answer, answer], ends=False)


async def test_a_delta_that_the_sandbox_cannot_give_is_a_patch_s_error(index: BaseIndex) -> None:
    answer = Answer({}, {}, FAULT, b"", 0, [])
    with pytest.raises(PatchError, match="cannot be taken"):
        await answered(index, CALLS["delta"][0], [answer], ends=False)


@pytest.mark.parametrize(
    ("name", "kind", "most"),
    [
        ("run", protocol.OUTPUT, 0),
        ("run", protocol.TAIL, 0),
        ("events", protocol.EVENTS, 0),
        ("events", protocol.OUTPUT, MIB),
        ("read", protocol.OUTPUT, 0),
        ("write", protocol.OUTPUT, 0),
        ("list", protocol.OUTPUT, 32 * MIB),
        ("delta", protocol.OUTPUT, 32 * MIB),
    ],
)
async def test_bytes_without_end_are_not_taken(
    index: BaseIndex, monkeypatch: pytest.MonkeyPatch, name: str, kind: int, most: int
) -> None:
    monkeypatch.setattr("sandbox.wire.ANSWER_SECONDS", HANGING)
    monkeypatch.setattr("sandbox.wire.UPLOAD_SECONDS", HANGING)
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(UPGRADED)
        while (await reader.readexactly(protocol.HEADER.size))[4] != protocol.REQUEST:
            pass  # a sign of life
        part = wrapped(protocol.encode(kind, 1, bytes(200_000)))
        with suppress(ConnectionError):
            while sent < 100 * MIB:
                writer.write(part)
                await writer.drain()
                sent += len(part)

    async with engine(flood) as address:
        with pytest.raises(InfrastructureError, match=r"asked for|where a reply was due"):
            await called(index, CALLS[name][0], address)
    assert sent < most + 4 * MIB
