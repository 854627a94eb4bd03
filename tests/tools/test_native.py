"""Calls as gpt-oss writes them, from its tokens to the handler in a real sandbox."""

import json

import pytest

from agent.models.dialect import CallIds
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import HarmonyParser
from tests.faults.tokens import encode
from tests.tools.conftest import Desk

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

TREE, SEARCH, OPEN = "repo_browser.print_tree", "repo_browser.search", "repo_browser.open_file"
EXEC, PATCH = "container.exec", "repo_browser.apply_patch"
FOUND, OPENED, LISTED = "shop/cart.py:4:", "4|         result -= price", "shop/cart.py"
#: Name and arguments as they were seen, and what the answer has to show.
SEEN: list[tuple[str, dict[str, object], str]] = [
    (EXEC, {"command": ["bash", "-lc", "echo $((40 + 2))"]}, "42"),
    (EXEC, {"command": ["bash", "-lc", "pwd"], "workdir": "shop", "timeout": 10_000}, "shop"),
    (EXEC, {"cmd": ["echo", "42"]}, "42"),
    (EXEC, {"cmd": "echo $((40 + 2))"}, "42"),
    (EXEC, {"commands": ["echo", "42"]}, "42"),
    ("exec", {"command": ["echo", "42"]}, "42"),
    ("functions.container.exec", {"command": ["echo", "42"]}, "42"),
    ("functions.exec", {"command": ["echo", "42"]}, "42"),
    (TREE, {"path": ".", "depth": 2}, LISTED),
    (TREE, {"path": "", "depth": 2}, LISTED),
    ("repo_browser.list_files", {"path": "shop"}, LISTED),
    ("repo_browser.list_dir", {"path": "shop"}, LISTED),
    ("list_files", {"path": "shop"}, LISTED),
    ("list_dir", {"path": "shop"}, LISTED),
    ("functions.print_tree", {"path": "shop", "depth": 1}, LISTED),
    (SEARCH, {"path": "shop", "query": "result -=", "max_results": 5}, FOUND),
    (SEARCH, {"path": "shop", "pattern": "result -="}, FOUND),
    ("repo_browser.find", {"query": "result -="}, FOUND),
    ("find", {"pattern": "result -="}, FOUND),
    ("functions.search", {"query": "result -="}, FOUND),
    (OPEN, {"path": "shop/cart.py", "line_start": 3, "line_end": 5}, OPENED),
    (OPEN, {"file_path": "shop/cart.py", "start_line": 4, "end_line": 4}, OPENED),
    (OPEN, {"path": "shop/cart.py", "line_start": "4"}, OPENED),
    ("repo_browser.read_file", {"path": "shop/cart.py"}, OPENED),
    ("read_file", {"file_path": "shop/cart.py"}, OPENED),
    ("functions.open_file", {"path": "shop/cart.py"}, OPENED),
]


def edit(before: str, after: str) -> str:
    change = f"@@\n-        result {before} price\n+        result {after} price\n"
    return f"*** Begin Patch\n*** Update File: shop/cart.py\n{change}*** End Patch"


async def said(desk: Desk, name: str, arguments: dict[str, object]) -> str:
    """What answers the call when the model writes it in its own tokens."""
    header = f"<|channel|>commentary to={name} <|constrain|>json"
    parser = HarmonyParser(HarmonyDialect().decode, CallIds(()), desk.toolbox.specs)
    for token in encode(f"{header}<|message|>{json.dumps(arguments)}<|call|>"):
        parser.feed(token)
    [call] = parser.parsed().calls
    result = await desk.toolbox.call(call.name, call.arguments, desk.context)
    assert result.ok, (name, arguments, result.text)
    return result.text


async def test_every_name_and_argument_that_was_seen_reaches_its_tool(native: Desk) -> None:
    for name, arguments, shown in SEEN:
        assert shown in await said(native, name, arguments), (name, arguments)


async def test_a_patch_is_applied_under_each_of_its_names(native: Desk) -> None:
    signs = ["-=", "+=", "*=", "/=", "//="]
    seen = [(PATCH, "patch"), ("apply_patch", "patch"), ("functions.apply_patch", "input")]
    for number, (name, field) in enumerate(seen):
        await said(native, name, {field: edit(signs[number], signs[number + 1])})
        text = await native.call(OPEN, path="shop/cart.py")
        assert f"result {signs[number + 1]} price" in text.text
