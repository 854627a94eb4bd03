import asyncio
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import InfrastructureError, UsageError
from tools.tool import Tool, Toolbox, ToolContext, ToolError, ToolLimits, ToolResult

PATH = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["path"],
    "additionalProperties": False,
}
NONE = {"type": "object", "properties": {}, "additionalProperties": False}
CONTEXT = ToolContext(box=SimpleNamespace(), task=SimpleNamespace())


async def echo(arguments, context):
    return ToolResult(json.dumps(arguments, sort_keys=True))


def raising(error: BaseException):
    async def handler(arguments, context):
        raise error

    return handler


def toolbox(**handlers) -> Toolbox:
    tools = [Tool("read_file", "Reads.", PATH, echo, other_names=("open_file",))]
    tools.append(Tool("container.exec", "Runs.", NONE, echo))
    tools += [Tool(name, "Fails.", NONE, handler) for name, handler in handlers.items()]
    return Toolbox(tools)


async def test_a_good_call_reaches_its_handler():
    result = await toolbox().call("read_file", '{"path": "a"}', CONTEXT)
    assert (result.text, result.ok) == ('{"path": "a"}', True)


async def test_a_bad_call_says_what_is_wrong_and_what_the_tool_takes():
    result = await toolbox().call("read_file", '{"count": "x"}', CONTEXT)
    assert not result.ok
    assert result.data["bad_call"]
    assert "read_file was not run." in result.text
    assert "/path: required" in result.text
    assert "It takes: path: string, count?: integer." in result.text


async def test_an_unknown_tool_is_answered_with_the_nearest_names():
    result = await toolbox().call("read_fil_e", "{}", CONTEXT)
    assert not result.ok
    assert 'no tool named "read_fil_e". The nearest: read_file.' in result.text
    assert "The tools are: read_file, container.exec." in result.text


@pytest.mark.parametrize(
    "name",
    [
        "Read_File",
        "functions.read_file",
        "read-file",
        "read_file<|channel|>commentary",
        "open_file",
    ],
)
async def test_a_name_in_another_spelling_is_understood(name):
    assert (await toolbox().call(name, '{"path": "a"}', CONTEXT)).ok


async def test_a_name_without_its_namespace_is_understood():
    assert (await toolbox().call("exec", "{}", CONTEXT)).ok


async def test_a_name_that_could_mean_two_tools_is_not_guessed():
    box = Toolbox([Tool("one.exec", "", NONE, echo), Tool("two.exec", "", NONE, echo)])
    assert "no tool named" in (await box.call("exec", "{}", CONTEXT)).text


async def test_a_repair_is_said_above_the_result_and_kept_in_data():
    result = await toolbox().call("Read_File", '{"path": "a", "count": "3"}', CONTEXT)
    first, second = result.text.split("\n")
    assert first.startswith('(Repaired: the tool "Read_File" was read as "read_file"; "count"')
    assert second == '{"count": 3, "path": "a"}'
    assert len(result.data["repairs"]) == 2


async def test_a_known_other_name_needs_no_remark():
    result = await toolbox().call("open_file", '{"path": "a"}', CONTEXT)
    assert result.text == '{"path": "a"}'


async def test_a_handlers_own_errors_become_answers():
    tools = toolbox(refuse=raising(ToolError("No.", "Try this.")), defect=raising(KeyError("x")))
    refused = await tools.call("refuse", "{}", CONTEXT)
    assert (refused.ok, refused.text) == (False, "No.\nTry this.")
    failed = await tools.call("defect", "{}", CONTEXT)
    assert not failed.ok
    assert "KeyError: 'x'" in failed.text
    assert "Traceback" in failed.data["exception"]


async def test_any_error_meant_for_a_user_is_an_answer_too():
    result = await toolbox(x=raising(UsageError("bad path"))).call("x", "{}", CONTEXT)
    assert (result.ok, result.text) == (False, "bad path")


async def test_a_dead_sandbox_ends_the_call():
    with pytest.raises(InfrastructureError):
        await toolbox(x=raising(InfrastructureError("gone"))).call("x", "{}", CONTEXT)


async def test_cancellation_goes_through():
    with pytest.raises(asyncio.CancelledError):
        await toolbox(x=raising(asyncio.CancelledError())).call("x", "{}", CONTEXT)


async def test_a_result_is_bounded_and_free_of_lone_surrogates():
    async def flood(arguments, context):
        return ToolResult("\udcff" + "x" * 100_000)

    context = ToolContext(SimpleNamespace(), SimpleNamespace(), ToolLimits(output_characters=500))
    result = await toolbox(flood=flood).call("flood", "{}", context)
    assert len(result.text) < 4_000
    assert result.text[0] == "\ufffd"


def test_specs_tell_name_description_and_schema_in_order():
    specs = toolbox().specs
    assert [spec.name for spec in specs] == ["read_file", "container.exec"]
    assert specs[0].parameters == PATH


def test_two_tools_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two tools are named a"):
        Toolbox([Tool("a", "", NONE, echo), Tool("a", "", NONE, echo)])


def test_a_tool_with_a_broken_schema_is_refused_by_name():
    with pytest.raises(ValueError, match="tool a: not a JSON Schema"):
        Toolbox([Tool("a", "", {"type": "object", "properties": 3}, echo)])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.text() | st.sampled_from(["read_file", "exec", "container.exec"])
RAW = st.text() | JSON.map(json.dumps) | st.binary().map(lambda raw: raw.decode("latin-1"))
RAW |= st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(name=NAMES, raw=RAW)
def test_no_call_ever_raises(name, raw):
    result = asyncio.run(toolbox().call(name, raw, CONTEXT))
    result.text.encode("utf-8")
    assert len(result.text) < 14_000
