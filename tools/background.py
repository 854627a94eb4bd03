"""start_process, read_process, stop_process: a server that runs while other commands ask it.

Offered only where the sandbox's policy allows commands in the background.
"""

import asyncio
import time
from typing import Any

from sandbox.background import Background
from sandbox.errors import UsageError
from sandbox.results import FileProblem, Output, signal_name
from tools.bounds import bound_output
from tools.paths import workspace_path
from tools.tool import Tool, ToolContext, ToolError, ToolResult

LONGEST_WAIT = 60.0
POLL_SECONDS = 0.1
_ADVICE = "start it again with its output in a file (`> /tmp/out.txt 2>&1`) to see all of it"


async def _start(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    command, awaited = arguments["command"], arguments.get("wait_for", "")
    if "\0" in command:
        raise ToolError("The command holds a NUL character, which no program can be given.")
    cwd = arguments.get("cwd", ".")
    try:
        process = await context.box.start(command, cwd=workspace_path(cwd, context.box.folder))
    except (UsageError, FileProblem) as error:
        raise ToolError(
            f"{error}\nEnd one that is not needed any more with stop_process."
        ) from error
    number = len(context.processes) + 1
    context.processes[number] = process
    try:
        seconds = min(arguments.get("timeout_seconds", 1.0 if not awaited else 30.0), LONGEST_WAIT)
        found, output = await _output(process, awaited, seconds)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ToolError(f"There is no folder {cwd} in the workspace to run in.") from error
    text = f"Process {number} {_state(process)}"
    if awaited and not found:
        text += f", without having written {awaited!r} within {seconds:g} s"
    return ToolResult(f"{text}.{_shown(output, context)}", ok=found or not awaited)


async def _output(process: Background, awaited: str, seconds: float) -> tuple[bool, Output]:
    """What it writes, until it has written `awaited`, has ended, or `seconds` are over; and whether
    the text was there."""
    deadline = time.monotonic() + seconds
    collected = await process.read()
    while True:
        found = bool(awaited) and awaited.encode() in collected.tail
        if found or not process.running or time.monotonic() > deadline:
            return found, collected
        await asyncio.sleep(POLL_SECONDS)
        more = await process.read()
        collected = Output(b"", collected.tail + more.tail, collected.total + more.total)


async def _read(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    process = _process(arguments, context)
    output = await process.read()
    text = f"Process {arguments['process']} {_state(process)}."
    return ToolResult(text + _shown(output, context))


async def _stop(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    process = _process(arguments, context)
    await process.kill()
    output = await process.read()
    text = f"Process {arguments['process']} {_state(process)}."
    return ToolResult(text + _shown(output, context))


def _process(arguments: dict[str, Any], context: ToolContext) -> Background:
    number = arguments["process"]
    if number not in context.processes:
        known = ", ".join(map(str, context.processes)) or "none"
        raise ToolError(f"There is no process {number}. Started were: {known}.")
    return context.processes[number]


def _state(process: Background) -> str:
    result = process.result
    if result is None:
        return "runs"
    if result.exit_code is not None:
        return f"has ended with exit code {result.exit_code}"
    return f"was ended ({signal_name(result.signal or 0)}, {result.reason})"


def _shown(output: Output, context: ToolContext) -> str:
    limit = context.limits.output_characters
    text = bound_output(output.head, output.tail, output.total, limit, _ADVICE)
    return f" It wrote:\n{text}" if text else " It wrote nothing new."


def background_tools() -> tuple[Tool, ...]:
    """`start_process`, `read_process`, `stop_process`."""
    number = {"process": {"type": "integer", "description": "The process's number."}}
    start = {
        "command": {"type": "string", "description": "The command, as typed in bash."},
        "wait_for": {
            "type": "string",
            "description": 'Text in its output that says it is ready, such as "Listening".',
        },
        "timeout_seconds": {
            "type": "number",
            "description": "How long to wait for that. Default 30.",
        },
        "cwd": {
            "type": "string",
            "description": "Folder to run in, relative to the project's folder.",
        },
    }
    return (
        Tool(
            "start_process",
            "Start a command that runs on, such as a server, and get its number and first output. "
            "Other commands reach it on 127.0.0.1.",
            _schema(start, "command"),
            _start,
            aliases={"cmd": "command", "timeout": "timeout_seconds", "workdir": "cwd"},
        ),
        Tool(
            "read_process",
            "Get what a started process has written since it was last read, and whether it runs.",
            _schema(number, "process"),
            _read,
            reads_only=True,
        ),
        Tool(
            "stop_process",
            "End a started process with all that it started.",
            _schema(number, "process"),
            _stop,
        ),
    )


def _schema(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [required],
        "additionalProperties": False,
    }
