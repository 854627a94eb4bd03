"""Toolsets: the same handlers under the names and descriptions that a family of models knows.

`generic` is for any model that takes functions. `gpt-oss` are the tools that gpt-oss calls of its
own accord; its names have a namespace before a dot, which only harmony can write, in the system
message.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sandbox.errors import UsageError
from sandbox.policy import Policy
from tools.arguments import nearest
from tools.background import background_tools
from tools.files import (
    PATH_ALIASES,
    edit_file_tool,
    read_file_tool,
    show_file,
    show_folder,
    write_file_tool,
)
from tools.finish import finish_tool
from tools.patch import apply_patch_text, apply_patch_tool
from tools.search import search_text, search_tool
from tools.shell import run_command, shell_tool
from tools.tests import run_tests_tool
from tools.tool import Tool, ToolContext, ToolResult

STRICT = Policy()
_MOST_DEPTH = 6
_LONGEST_SECONDS = 1000


@dataclass(frozen=True)
class Toolset:
    """Tools by the name of their set."""

    name: str
    tools: tuple[Tool, ...]


def generic(policy: Policy) -> Toolset:
    """The tools under plain function names, as far as the policy allows what they do."""
    return Toolset(
        "generic",
        (
            read_file_tool(),
            edit_file_tool(),
            write_file_tool(),
            apply_patch_tool(),
            search_tool(),
            shell_tool(),
            *(background_tools() if policy.background else ()),
            run_tests_tool(),
            finish_tool(),
        ),
    )


def gpt_oss(policy: Policy) -> Toolset:
    """The tools that gpt-oss was trained with, in its namespaces; where the policy allows commands
    in the background, ours for them in its `container`. It ends a turn by answering, so there is no
    `finish`, and runs the tests as a command."""
    background = background_tools() if policy.background else ()
    return Toolset(
        "gpt-oss",
        (
            _exec_tool(),
            *(replace(tool, name=f"container.{tool.name}") for tool in background),
            _print_tree_tool(),
            _repo_search_tool(),
            _open_file_tool(),
            _repo_patch_tool(),
        ),
    )


_TOOLSETS: dict[str, Callable[[Policy], Toolset]] = {"generic": generic, "gpt-oss": gpt_oss}


def toolset(name: str, policy: Policy = STRICT, *, visible: bool = True) -> Toolset:
    """The toolset of that name, for sandboxes under `policy`, without the tool that runs the task's
    tests where they are not `visible`; UsageError names the nearest when there is none."""
    if name not in _TOOLSETS:
        near = nearest(name, _TOOLSETS)
        hint = f"Is {near[0]} meant? " if near else ""
        raise UsageError(
            f"There is no toolset {name}.", f"{hint}The toolsets are: {', '.join(_TOOLSETS)}."
        )
    found = _TOOLSETS[name](policy)
    kept = (tool for tool in found.tools if visible or tool.name != "run_tests")
    return replace(found, tools=tuple(kept))


def _schema(properties: dict[str, Any], required: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


async def _exec(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    words: list[str] = arguments["command"]
    command = words[0] if len(words) == 1 else words  # one word may be a whole command line
    timeout = arguments.get("timeout")
    if timeout is not None and timeout > _LONGEST_SECONDS:
        timeout /= 1000  # it can only be meant in milliseconds, as other harnesses have it
    return await run_command(context, command, arguments.get("workdir") or ".", timeout)


def _exec_tool() -> Tool:
    return Tool(
        "container.exec",
        "Run a command in the container and get its exit code and output.",
        _schema(
            {
                "command": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "description": 'The program and its arguments, such as ["bash", "-lc", "ls"].',
                },
                "workdir": {"type": "string", "description": "Folder to run in."},
                "timeout": {"type": "number", "description": "Seconds; default 120."},
            },
            ["command"],
        ),
        _exec,
        aliases={"cmd": "command", "commands": "command", "cwd": "workdir"},
        other_names=("container.shell", "shell"),
    )


async def _print_tree(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    depth = max(1, min(arguments.get("depth") or 1, _MOST_DEPTH))
    return await show_folder(context, arguments.get("path") or ".", depth)


def _print_tree_tool() -> Tool:
    return Tool(
        "repo_browser.print_tree",
        "List a folder's entries, some levels deep.",
        _schema(
            {
                "path": {"type": "string", "description": "The folder; default the repository."},
                "depth": {"type": "integer", "description": "Levels, 1 to 6; default 1."},
            },
            [],
        ),
        _print_tree,
        reads_only=True,
        aliases={"max_depth": "depth", "dir": "path", "directory": "path"},
        other_names=("repo_browser.list_files", "repo_browser.list_dir", "repo_browser.ls"),
    )


async def _repo_search(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return await search_text(
        context,
        arguments["query"],
        arguments.get("path") or ".",
        None,
        literal=False,
        limit=arguments.get("max_results"),
    )


def _repo_search_tool() -> Tool:
    return Tool(
        "repo_browser.search",
        "Find lines that match a regular expression.",
        _schema(
            {
                "path": {"type": "string", "description": "Folder or file; default all."},
                "query": {"type": "string", "description": "The regular expression."},
                "max_results": {"type": "integer", "description": "Default 50."},
            },
            ["query"],
        ),
        _repo_search,
        reads_only=True,
        aliases={"pattern": "query", "limit": "max_results"},
        other_names=("repo_browser.find", "repo_browser.grep"),
    )


async def _open_file(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return await show_file(
        context, arguments["path"], arguments.get("line_start"), arguments.get("line_end")
    )


def _open_file_tool() -> Tool:
    return Tool(
        "repo_browser.open_file",
        "Show a file with line numbers, 200 lines at a time.",
        _schema(
            {
                "path": {"type": "string", "description": "The file."},
                "line_start": {"type": "integer", "description": "First line; default 1."},
                "line_end": {"type": "integer", "description": "Last line."},
            },
            ["path"],
        ),
        _open_file,
        reads_only=True,
        aliases=PATH_ALIASES | {"start_line": "line_start", "end_line": "line_end"},
        other_names=("repo_browser.read_file",),
    )


async def _repo_patch(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return await apply_patch_text(context, arguments["patch"])


def _repo_patch_tool() -> Tool:
    return Tool(
        "repo_browser.apply_patch",
        'Change files: "*** Begin Patch", "*** Update File: PATH" (or Add, Delete), hunks that '
        'begin with @@, "*** End Patch".',
        _schema({"patch": {"type": "string", "description": "The whole patch."}}, ["patch"]),
        _repo_patch,
        aliases={"input": "patch", "diff": "patch"},
        other_names=("apply_patch", "functions.apply_patch"),
    )
