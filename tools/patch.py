"""apply_patch: a patch in either format, read, fitted to the files in memory and then written."""

import asyncio
import os
from typing import Any

from sandbox.errors import InfrastructureError
from tools.changes import Outcome, apply_changes, named_paths, parse_patch, placed
from tools.content import decode
from tools.files import excerpt
from tools.syntax import syntax_note
from tools.tool import Tool, ToolContext, ToolError, ToolResult
from tools.workspace import existing, protection_note, write_bytes

_DESCRIPTION = """Change several places or files at once. The whole patch is applied, or none of it.
Form:
*** Begin Patch
*** Update File: src/a.py
@@ def name_of_the_function_or_class_around():
 a line of context, with a space before it
-a line to remove
+a line to add
*** Add File: src/new.py
+every line of a new file
*** Delete File: src/old.py
*** End Patch
After an Update line, `*** Move to: PATH` renames. Give about 3 lines of context around a change.
A unified diff (git diff) is understood too."""


async def _apply_patch(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return await apply_patch_text(context, arguments["patch"])


async def apply_patch_text(context: ToolContext, text: str) -> ToolResult:
    """Applies a patch to the workspace, all or nothing. ToolError says which hunk does not fit."""
    try:
        changes = placed(parse_patch(text), context.box.folder)
        before = {path: await existing(context, path) for path in named_paths(changes)}
        # In a thread: explaining a hunk that does not fit a large file takes a while.
        outcome = await asyncio.to_thread(apply_changes, changes, before)
    except ToolError as error:
        raise ToolError(f"{error.message}\nNothing was changed.", error.hint) from error
    await _write(context, outcome, before)
    said = [*outcome.said, *(f"Note: {note}." for note in outcome.notes)]
    for path, content in outcome.contents.items():
        if content is None:
            said.append(protection_note(context, path))
            continue
        shown = decode(content)
        if path in outcome.spans and shown is not None:
            said += [f"{path} is now:", excerpt(shown.text, outcome.spans[path])]
        said.append(
            await syntax_note(context, path, before[outcome.moved.get(path, path)], content)
        )
        said.append(protection_note(context, path))
    data = {"paths": tuple(outcome.contents)}
    return ToolResult("\n".join(line for line in said if line), data=data)


async def _write(context: ToolContext, outcome: Outcome, before: dict[str, bytes | None]) -> None:
    """Writes everything; what was written is taken back when one of the writes fails."""
    gone = [path for path, content in outcome.contents.items() if content is None]
    runnable = await _executable(context, [*gone, *outcome.executable, *outcome.moved.values()])
    modes = {new: old in runnable for new, old in outcome.moved.items()} | dict(outcome.executable)
    done: list[str] = []
    try:
        # Removals come last: a full disk is met before anything is lost.
        for path in dict.fromkeys([*(set(outcome.contents) - set(gone)), *modes, *gone]):
            done.append(path)
            content = outcome.contents.get(path, before[path])
            if content is None:
                await context.box.remove(path)
            else:
                await write_bytes(context, path, content, executable=modes.get(path))
    except InfrastructureError:
        raise  # there is no sandbox any more to put anything back in
    except Exception:  # raised again once every file is as it was
        for path in done:
            old = before[path]
            if old is not None:
                mode = path in runnable if path in modes or path in gone else None
                await context.box.write(path, old, executable=mode)
            elif await existing(context, path) is not None:
                await context.box.remove(path)
        raise


async def _executable(context: ToolContext, paths: list[str]) -> set[str]:
    """Those of the files that may be executed."""
    if not paths:
        return set()
    script = 'for path; do [ -x "$path" ] && printf "%s\\0" "$path"; done; true'
    result = await context.box.run(["sh", "-c", script, "sh", *paths])
    return {os.fsdecode(path) for path in result.output.head.split(b"\0") if path}


def apply_patch_tool() -> Tool:
    """`apply_patch(patch)`."""
    return Tool(
        "apply_patch",
        _DESCRIPTION,
        {
            "type": "object",
            "properties": {"patch": {"type": "string", "description": "The whole patch."}},
            "required": ["patch"],
            "additionalProperties": False,
        },
        _apply_patch,
        aliases={"input": "patch", "diff": "patch", "patch_text": "patch"},
    )
