import re

import pytest

from sandbox.errors import UsageError
from sandbox.policy import Policy
from tools.tool import Toolbox
from tools.toolsets import toolset

GENERIC = {"read_file", "edit_file", "write_file", "apply_patch", "search", "shell", "run_tests",
           "finish"}  # fmt: skip


def test_the_generic_tools_have_names_that_every_server_takes_and_no_model_misreads():
    names = {tool.name for tool in toolset("generic").tools}
    assert names == GENERIC
    assert not names & {"python", "browser", "container", "bash"}
    assert all(re.fullmatch(r"[a-z_]{1,64}", name) for name in names)


@pytest.mark.parametrize("name", ["generic", "gpt-oss"])
def test_schemas_are_flat_and_closed(name):
    for spec in Toolbox(toolset(name).tools).specs:
        assert spec.description
        assert spec.parameters["additionalProperties"] is False
        for field in spec.parameters["properties"].values():
            assert field["description"]
            assert isinstance(field["type"], str)
            assert field["type"] != "object"
            assert not {"anyOf", "oneOf", "$ref", "properties"} & set(field)


def test_only_finish_ends_a_turn():
    assert [tool.name for tool in toolset("generic").tools if tool.ends_turn] == ["finish"]


def test_the_native_tools_of_gpt_oss_are_in_its_namespaces():
    assert {tool.name for tool in toolset("gpt-oss").tools} == {
        "container.exec",
        "repo_browser.print_tree",
        "repo_browser.search",
        "repo_browser.open_file",
        "repo_browser.apply_patch",
    }


def test_gpt_oss_can_start_processes_where_the_policy_allows_it():
    names = {tool.name for tool in toolset("gpt-oss", Policy(background=2)).tools}
    assert names > {"container.start_process", "container.read_process", "container.stop_process"}
    assert all(name.startswith(("container.", "repo_browser.")) for name in names)


def test_names_that_gpt_oss_makes_up_lead_to_the_tool_meant():
    box = Toolbox(toolset("gpt-oss").tools)
    for name, meant in [
        ("repo_browser.read_file", "repo_browser.open_file"),
        ("repo_browser.list_files", "repo_browser.print_tree"),
        ("list_dir", "repo_browser.print_tree"),
        ("repo_browser.find", "repo_browser.search"),
        ("apply_patch", "repo_browser.apply_patch"),
        ("functions.apply_patch", "repo_browser.apply_patch"),
        ("open_file", "repo_browser.open_file"),
        ("container.exec<|channel|>commentary", "container.exec"),
    ]:
        assert box.find(name).name == meant


def test_an_unknown_toolset_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="Is gpt-oss meant"):
        toolset("gpt_oss")


docker = pytest.mark.docker
module_loop = pytest.mark.asyncio(loop_scope="module")


@docker
@module_loop
async def test_finish_hands_over_the_summary(desk):
    result = await desk.call("finish", summary=" Fixed the sign. ")
    assert result.data["summary"] == "Fixed the sign."


@docker
@module_loop
async def test_the_native_tools_work_with_canonical_arguments_and_aliases(native):
    ran = await native.call("container.exec", command=["bash", "-lc", "python3 -V; pwd"])
    assert "Python 3" in ran.text
    assert "/workspace" in ran.text
    line = await native.call("container.exec", cmd="echo $((1 + 2))", timeout=10_000)
    assert "3\n" in line.text
    tree = await native.call("repo_browser.print_tree", path="", depth=2)
    assert "shop/cart.py" in tree.text
    assert ".git/\n" in tree.text
    assert ".git/HEAD" not in tree.text
    inside = await native.call("repo_browser.print_tree", path=".git")
    assert ".git/HEAD" in inside.text
    found = await native.call("repo_browser.search", path="shop", pattern="result -=")
    assert "shop/cart.py:4:" in found.text
    opened = await native.call("repo_browser.read_file", file_path="shop/cart.py", start_line=4)
    assert "4|         result -= price" in opened.text
    patched = await native.call(
        "apply_patch",
        patch="*** Begin Patch\n*** Update File: shop/cart.py\n@@\n-        result -= price\n"
        "+        result += price\n*** End Patch",
    )
    assert patched.ok, patched.text


@docker
@module_loop
async def test_an_empty_command_is_refused_by_its_schema(native):
    result = await native.call("container.exec", command=[])
    assert "/command: expected an array of at least 1 items" in result.text
