"""A tool, and the toolbox that checks each call of a model and answers it, whatever came.

A call never ends an attempt by being wrong: invalid JSON, an unknown tool, a missing field or a
handler's error become a `ToolResult` that tells the model what to do better. Only a dead sandbox
(`InfrastructureError`) and cancellation go through.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sandbox.errors import GreenroomError, InfrastructureError
from tools.arguments import ArgumentsCheck, BadArguments, nearest
from tools.bounds import bound_text, sendable

if TYPE_CHECKING:  # the annotations' types only: the check of a call needs no engine
    from sandbox.container import Background, Sandbox
    from tasks.task import Task, TestReport

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class ToolError(GreenroomError):
    """A call that cannot be done: no such file, text not found... Its text goes to the model."""


@dataclass(frozen=True)
class ToolSpec:
    """What a model is told of a tool: name, description written for it, flat JSON Schema."""

    name: str
    description: str
    parameters: dict[str, object]


@dataclass(frozen=True)
class ToolResult:
    """The answer to one call.

    `ok` is false when the call did not do its work (bad arguments, no such file, a command that
    was stopped); a command or test that ran and failed is an ordinary answer. `data` holds what
    the harness wants to know beyond the text: an exit code, a test report, a changed path.
    """

    text: str
    ok: bool = True
    data: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True)
class ToolLimits:
    """Bounds of what a call gives back and how long it runs.

    Characters for texts, lines for a page of a file, bytes for a file, seconds for a command.
    `check_syntax` has each edited Python file read by the sandbox's interpreter, at 20 ms or more.
    """

    output_characters: int = 10_000
    line_characters: int = 1_000
    page_lines: int = 200
    file_bytes: int = 8 * 1024 * 1024
    search_results: int = 50
    command_seconds: float = 120.0
    check_syntax: bool = True


@dataclass
class ToolContext:
    """What the handlers work on, for one attempt.

    `on_output` sees a running command's output as it comes. `last_report` is the latest run of
    the whole test command (never of a selection); `run_tests` sets it. `fresh_report` is that too,
    until a call may have changed the workspace. `processes` are those started in the background,
    by the number that the model knows them by.
    """

    box: Sandbox
    task: Task
    limits: ToolLimits = field(default_factory=ToolLimits)
    on_output: Callable[[bytes], None] | None = None
    last_report: TestReport | None = None
    fresh_report: TestReport | None = None
    processes: dict[int, Background] = field(default_factory=dict)


Handler = Callable[[dict[str, Any], ToolContext], Awaitable[ToolResult]]


@dataclass(frozen=True)
class Tool:
    """One tool. `ends_turn` marks the one that says the work is done, `reads_only` those that
    cannot change the workspace.

    `parameters` is a flat JSON Schema (draft 2020-12) of an object. `aliases` (other name of a
    field: its name) and `other_names` (of the tool) are understood, and never shown.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    handler: Handler
    ends_turn: bool = False
    reads_only: bool = False
    aliases: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    other_names: tuple[str, ...] = ()


class Toolbox:
    """The tools of one attempt. ValueError for a name given twice or a schema that is not one."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        self._checks: dict[str, ArgumentsCheck] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools are named {tool.name}")
            try:
                self._checks[tool.name] = ArgumentsCheck(tool.parameters, tool.aliases)
            except ValueError as error:
                raise ValueError(f"tool {tool.name}: {error}") from error
            self._tools[tool.name] = tool
        self._spellings = self._all_spellings()

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(self._tools.values())

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """What a model is told, in the order in which the tools were given."""
        return tuple(
            ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in self.tools
        )

    def find(self, name: str) -> Tool | None:
        """The tool that a model means by `name`; None when it could be none or several."""
        if name in self._tools:
            return self._tools[name]
        known = self._spellings.get(_spelling(name))
        return self._tools[known] if known else None

    async def call(self, name: str, arguments_json: str, context: ToolContext) -> ToolResult:
        """Checks one call and runs it.

        `arguments_json` is the text as the model wrote it. Raises InfrastructureError when the
        sandbox died, and lets cancellation through; any other trouble is in the result.
        """
        tool = self.find(name)
        if tool is None:
            return self._answer(self._unknown(name), context)
        check = self._checks[tool.name]
        try:
            arguments = check.check(arguments_json)
        except BadArguments as error:
            text = f"{tool.name} was not run. {error}\nIt takes: {check.signature() or 'nothing'}."
            return self._answer(ToolResult(text, ok=False, data={"bad_call": True}), context)
        if not tool.reads_only:
            context.fresh_report = None
        result = await _handled(tool, arguments.values, context)
        notes = list(arguments.notes)
        if tool.name != name and name not in tool.other_names:
            notes.insert(0, f'the tool "{name[:60]}" was read as "{tool.name}"')
        if notes:
            said = f"(Repaired: {'; '.join(notes)}.)\n"
            result = ToolResult(said + result.text, result.ok, {**result.data, "repairs": notes})
        return self._answer(result, context)

    def _answer(self, result: ToolResult, context: ToolContext) -> ToolResult:
        """The result in a form that any model input can hold. The handlers keep to the limit
        themselves; this is the bound that holds for all that they forgot."""
        most = context.limits.output_characters + 3_000
        text = bound_text(sendable(result.text), most, "ask for less at a time")
        return ToolResult(text, result.ok, result.data)

    def _unknown(self, name: str) -> ToolResult:
        near = nearest(_base_name(name), self._tools)
        meant = f" The nearest: {', '.join(near)}." if near else ""
        text = (
            f'There is no tool named "{name[:80]}".{meant} The tools are: {", ".join(self._tools)}.'
        )
        return ToolResult(text, ok=False, data={"bad_call": True})

    def _all_spellings(self) -> dict[str, str]:
        """Every other spelling under which exactly one tool is meant, to that tool's name."""
        meant: dict[str, set[str]] = {}
        for tool in self._tools.values():
            for name in (tool.name, *tool.other_names):
                meant.setdefault(_spelling(name), set()).add(tool.name)
                meant.setdefault(_spelling(name.rpartition(".")[2]), set()).add(tool.name)
        return {spelling: next(iter(names)) for spelling, names in meant.items() if len(names) == 1}


async def _handled(tool: Tool, values: dict[str, Any], context: ToolContext) -> ToolResult:
    try:
        return await tool.handler(values, context)
    except InfrastructureError:
        raise
    except GreenroomError as error:
        return ToolResult(str(error), ok=False)
    except Exception as error:  # a defect of one tool must not cost the attempt; it is kept in data
        text = f"{tool.name} failed inside: {type(error).__name__}: {str(error)[:500]}"
        return ToolResult(text, ok=False, data={"exception": traceback.format_exc(limit=-12)})


def _base_name(name: str) -> str:
    """The name without what models put around it: control tokens, the namespace `functions`."""
    bare = name.partition("<|")[0].strip()
    return bare.removeprefix("functions.")


def _spelling(name: str) -> str:
    return _base_name(name).lower().replace("-", "_")
