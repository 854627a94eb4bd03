"""shell: runs a command in the sandbox and says how it ended, with the output bounded."""

from collections.abc import Sequence
from typing import Any

from sandbox.policy import MIB, Policy
from sandbox.results import CommandResult, signal_name
from tools.bounds import bound_output
from tools.paths import workspace_path
from tools.tool import Tool, ToolContext, ToolError, ToolResult

_ADVICE = (
    "to see it, run again with `| grep PATTERN` or `> /tmp/out.txt 2>&1`, then "
    "`sed -n '1,100p' /tmp/out.txt`"
)
_DESCRIPTION = (
    "Run a command with bash in the project's folder and get its exit code and output (standard "
    "output and standard error together). Each call starts a new shell: `cd` and variables are not "
    "kept, and processes left in the background end with the call. There is no keyboard, and no "
    "network but what you were told of. Long output is shortened in the middle. A command is "
    "stopped after timeout_seconds (default 120)."
)


async def run_command(
    context: ToolContext, command: str | Sequence[str], cwd: str, timeout: float | None
) -> ToolResult:
    """Runs a command (text: under bash) in `cwd` and tells the model how it ended.

    `timeout` is in seconds, None for the usual one; the policy's limit holds above it. Raises
    ToolError for a folder that is not there.
    """
    if any("\0" in word for word in ([command] if isinstance(command, str) else command)):
        raise ToolError("The command holds a NUL character, which no program can be given.")
    policy = context.box.policy
    wanted = context.limits.command_seconds if timeout is None else max(1.0, timeout)
    seconds = min(wanted, policy.command_timeout)
    folder = workspace_path(cwd, context.box.folder)
    try:
        result = await context.box.run(
            command, cwd=folder, timeout=seconds, on_output=context.on_output
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ToolError(f"There is no folder {cwd} in the workspace to run in.") from error
    text = _text(result, seconds, policy, context.limits.output_characters)
    if timeout is not None and wanted > seconds:
        text = f"(The longest time allowed is {seconds:g} seconds.)\n{text}"
    data = {"exit_code": result.exit_code, "reason": result.reason, "seconds": result.seconds}
    return ToolResult(text, ok=result.reason in ("exit", "signal"), data=data)


def _text(result: CommandResult, timeout: float, policy: Policy, limit: int) -> str:
    output = result.output
    shown = bound_output(output.head, output.tail, output.total, limit, _ADVICE)
    head = ended(result, timeout, policy)
    if not shown:
        return f"{head}\n(no output)"
    return f"{head}\n{shown}"


def ended(result: CommandResult, timeout: float, policy: Policy) -> str:
    """How a command ended, in one line."""
    after = f"after {result.seconds:.1f} s"
    match result.reason:
        case "timeout":
            return (
                f"Stopped {after}: it was still running at its time limit of {timeout:g} s. "
                "What it had written until then:"
            )
        case "memory":
            limit = f"{policy.memory_bytes / MIB:,.0f} MiB"
            return f"Out of memory {after}: a process was killed at the sandbox's limit of {limit}."
        case "output":
            return f"Stopped {after}: it wrote {result.output.total:,} bytes, which is too much."
        case "signal":
            return f"Killed by {signal_name(result.signal or 0)} {after}."
        case "exit":
            return f"Exit code {result.exit_code} {after}."


async def _shell(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return await run_command(
        context, arguments["command"], arguments.get("cwd", "."), arguments.get("timeout_seconds")
    )


def shell_tool() -> Tool:
    """`shell(command, timeout_seconds?, cwd?)`."""
    return Tool(
        "shell",
        _DESCRIPTION,
        {
            "type": "object",
            "properties": {
                "command": {"type": "string", "description": "The command, as typed in bash."},
                "timeout_seconds": {
                    "type": "number",
                    "description": "Stop the command after so many seconds. Default 120.",
                },
                "cwd": {
                    "type": "string",
                    "description": "Folder to run in, relative to the project's folder.",
                },
            },
            "required": ["command"],
            "additionalProperties": False,
        },
        _shell,
        aliases={"cmd": "command", "timeout": "timeout_seconds", "workdir": "cwd"},
        other_names=("run_command", "execute_command", "terminal"),
    )
