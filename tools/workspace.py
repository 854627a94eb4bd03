"""Files of the workspace for the tools: read, written back, and what to say when one is missing."""

import difflib
import posixpath

from sandbox.patch import FILE, Change, Patch
from sandbox.results import FileProblem
from tasks.protection import PROTECTED, violations
from tools.content import TextContent, decode, size_text
from tools.paths import workspace_path
from tools.tool import ToolContext, ToolError

_LOOKED_THROUGH = 5000
_DEEPEST = 12


async def read_bytes(context: ToolContext, path: str) -> bytes:
    """A file's bytes; ToolError says what is there instead, or which names are near."""
    try:
        return await context.box.read(
            workspace_path(path, context.box.folder), limit=context.limits.file_bytes
        )
    except FileNotFoundError as error:
        raise ToolError(await _missing(context, path)) from error
    except IsADirectoryError as error:
        raise ToolError(f"{path} is a folder, not a file.") from error
    except NotADirectoryError as error:
        raise ToolError(f"There is no file {path}: a part of that path is a file.") from error


async def read_text(context: ToolContext, path: str) -> TextContent:
    """A text file's text; ToolError also for a binary file, with its size."""
    content = await read_bytes(context, path)
    decoded = decode(content)
    if decoded is None:
        raise ToolError(
            f"{path} is a binary file of {size_text(len(content))}; its text cannot be edited."
        )
    return decoded


async def existing(context: ToolContext, path: str) -> bytes | None:
    """A file's bytes, or None when there is no file; ToolError when something else is there."""
    try:
        return await context.box.read(path, limit=context.limits.file_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError as error:
        raise ToolError(f"{path} is a folder, not a file.") from error


async def write_bytes(
    context: ToolContext, path: str, content: bytes, *, executable: bool | None = None
) -> None:
    """Writes a file, making its folders; ToolError when a part of the path is a file."""
    try:
        await context.box.write(path, content, executable=executable)
    except NotADirectoryError as error:
        raise ToolError(f"{path} cannot be written: a part of that path is a file.") from error
    except IsADirectoryError as error:
        raise ToolError(f"{path} is a folder, not a file.") from error


async def _missing(context: ToolContext, path: str) -> str:
    said = f"There is no file {path}."
    near = await _near_names(context, workspace_path(path, context.box.folder))
    if near:
        return f"{said} Is one of these meant: {', '.join(near)}?"
    return f"{said} Look with the shell command `ls` or with search."


async def _near_names(context: ToolContext, path: str) -> list[str]:
    """Up to five files with the same name elsewhere, else with a similar path."""
    try:
        listing = await context.box.list(".", depth=_DEEPEST, limit=_LOOKED_THROUGH)
    except (FileProblem, OSError):  # only a hint is lost; the missing file is said anyway
        return []
    files = [entry.path for entry in listing if entry.kind == "file"]
    files = [file for file in files if not file.startswith(".git/")]
    name = posixpath.basename(path).lower()
    same = [file for file in files if posixpath.basename(file).lower() == name]
    if same:
        return same[:5]
    return difflib.get_close_matches(path, files, n=3, cutoff=0.7)


def protection_note(context: ToolContext, path: str) -> str:
    """A sentence for the model when `path` is an existing file that a patch may not change, or a
    new one that it may not add; else empty."""
    touched = Patch((Change(path, FILE, b""),))
    found = violations(context.task.checks, context.box.base, touched)
    if not found:
        return ""
    if found[0].reason == PROTECTED:
        return (
            f"Note: {path} is protected. The change works here, but the file is put back before "
            "the result is verified: the code has to pass the tests as they were."
        )
    return f"Note: {found[0]}. The result would be refused with it."
