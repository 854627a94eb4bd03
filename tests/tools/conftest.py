"""One sandbox for each module of tool tests, put back to its base before each test."""

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import pytest_asyncio

from sandbox.container import Sandbox
from sandbox.image import Image
from sandbox.patch import EXECUTABLE, FILE
from sandbox.policy import MIB, Policy
from sandbox.trees import Base, TreeStore
from tasks.runner import support_files
from tasks.task import Checks
from tools.tool import Toolbox, ToolContext, ToolResult
from tools.toolsets import toolset

FILES = [
    ("shop/__init__.py", FILE, b""),
    (
        "shop/cart.py",
        FILE,
        b"def total(prices):\n    result = 0\n    for price in prices:\n        result -= price\n"
        b"    return result\n",
    ),
    ("tests/__init__.py", FILE, b""),
    (
        "tests/test_cart.py",
        FILE,
        b"from shop.cart import total\n\n\ndef test_empty():\n    assert total([]) == 0\n\n\n"
        b"def test_sum():\n    assert total([1, 2]) == 3\n",
    ),
    ("docs/long.txt", FILE, b"".join(b"line %d\n" % number for number in range(1, 501))),
    ("docs/crlf.txt", FILE, b"one\r\ntwo\r\nthree\r\n"),
    ("docs/latin.txt", FILE, b"caf\xe9\nmenu\n"),
    ("docs/logo.png", FILE, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    ("docs/empty.txt", FILE, b""),
    ("run.sh", EXECUTABLE, b"#!/bin/sh\necho run\n"),
    ("with space/na\xc3\xafve.txt".encode("latin-1").decode("utf-8"), FILE, b"hello\n"),
]
CHECKS = Checks(
    "python3 -m pytest -q",
    "pytest",
    timeout=60.0,
    protected=("tests/test_*.py",),
    forbidden_additions=("conftest.py",),
)


class Desk:
    """A toolbox and its context, with short ways to use them."""

    def __init__(self, box: Sandbox, name: str = "generic") -> None:
        self.box = box
        self.context = ToolContext(box, SimpleNamespace(checks=CHECKS))
        self.toolbox = Toolbox(toolset(name, box.policy).tools)

    async def call(self, name: str, **arguments: object) -> ToolResult:
        return await self.toolbox.call(name, json.dumps(arguments), self.context)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox(image: Image, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    store = TreeStore.create(tmp_path_factory.mktemp("store"))
    base = Base(store, store.add_tree(FILES))
    policy = Policy(
        memory_bytes=700 * MIB,
        workspace_bytes=64 * MIB,
        workspace_inodes=16_384,
        tmp_bytes=64 * MIB,
        command_timeout=60.0,
    )
    opening = Sandbox.open(image, base, policy, resettable=True, support=support_files())
    async with opening as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def desk(sandbox: Sandbox) -> Desk:
    await sandbox.reset()
    return Desk(sandbox)


@pytest_asyncio.fixture(loop_scope="module")
async def native(desk: Desk) -> Desk:
    """The same sandbox behind the tools that gpt-oss knows."""
    return Desk(desk.box, "gpt-oss")
