"""read_file, write_file and edit_file: text files of the workspace, shown and changed."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tools.bounds import clip_line, count
from tools.content import TextContent, body, decode, size_text, split_lines
from tools.edit import replace_text, summary
from tools.paths import workspace_path
from tools.syntax import syntax_note
from tools.tool import Tool, ToolContext, ToolError, ToolLimits, ToolResult
from tools.workspace import existing, protection_note, read_bytes, read_text, write_bytes

_AROUND = 3
_MOST_SHOWN = 30
_LISTED = 200
_LOOKED_THROUGH = 5000
_BY_PRODUCTS = frozenset((".git", "__pycache__", "node_modules", ".pytest_cache", ".venv"))
_PATH = {"type": "string", "description": "Path of the file, relative to the project's folder."}
PATH_ALIASES = {"file_path": "path", "filename": "path", "file": "path", "filepath": "path"}


async def show_file(
    context: ToolContext, path: str, start: int | None, end: int | None
) -> ToolResult:
    """A page of a text file with line numbers; a folder's entries; a binary file's size."""
    try:
        content = await read_bytes(context, path)
    except ToolError as error:
        if not isinstance(error.__cause__, IsADirectoryError):
            raise
        return await show_folder(context, path, depth=1)
    decoded = decode(content)
    if decoded is None:
        text = f"{path} is a binary file of {size_text(len(content))}; it is not shown."
        return ToolResult(text, data={"path": path, "binary": True})
    lines = split_lines(decoded.text)
    if not lines:
        return ToolResult(f"{path} is empty.", data={"path": path})
    return ToolResult(_page(path, decoded, lines, start, end, context.limits), data={"path": path})


async def show_folder(context: ToolContext, path: str, depth: int) -> ToolResult:
    """A folder's entries, `depth` levels down; folders end with a slash."""
    folder = workspace_path(path, context.box.folder)
    try:
        listing = await context.box.list(folder, depth=depth, limit=_LOOKED_THROUGH)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ToolError(f"There is no folder {path}.") from error
    names = [
        f"{entry.path}/" if entry.kind == "folder" else entry.path
        for entry in listing
        if not _inside_by_products(entry.path, folder)
    ]
    if not names:
        return ToolResult(f"{path} is an empty folder.")
    more = f"\n[only the first {_LISTED} are listed; look into a subfolder]"
    cut = listing.truncated or len(names) > _LISTED
    shown = "\n".join(names[:_LISTED]) + (more if cut else "")
    return ToolResult(f"{path} is a folder with:\n{shown}")


def _inside_by_products(path: str, folder: str) -> bool:
    """Whether an entry lies in a folder, below the one asked for, that nobody wants to look at."""
    above = path.split("/")[:-1]
    asked = 0 if folder == "." else folder.count("/") + 1
    return not _BY_PRODUCTS.isdisjoint(above[asked:])


def _page(
    path: str, decoded: TextContent, lines: Sequence[str], start: int | None, end: int | None,
    limits: ToolLimits,
) -> str:  # fmt: skip
    total = len(lines)
    first = max(1, start or 1)
    if first > total:
        raise ToolError(
            f"{path} has only {count(total, 'line')}; it was to be shown from line {first}."
        )
    if end is not None and end < first:
        raise ToolError(f"The last line ({end}) is before the first ({first}).")
    wanted = min(total, end if end is not None else first + limits.page_lines - 1)
    width = len(str(wanted))
    shown: list[str] = []
    size = 0
    for number in range(first, wanted + 1):
        line = clip_line(body(lines[number - 1]), limits.line_characters)
        size += len(line) + width + 3
        if shown and size > limits.output_characters:
            break
        shown.append(f"{number:>{width}}| {line}")
    last = first + len(shown) - 1
    remarks = [
        remark for remark in (decoded.encoding.description, _line_ends(decoded.text)) if remark
    ]
    head = f"{path}: lines {first} to {last} of {total}"
    if remarks:
        head += f" ({'; '.join(remarks)})"
    if last < total and (end is None or last < end):
        left = count(total - last, "more line")
        shown.append(f"[{left}; to see them, read on from line {last + 1}]")
    return "\n".join([head, *shown])


def _line_ends(text: str) -> str:
    pairs, feeds = text.count("\r\n"), text.count("\n")
    if not pairs:
        return ""
    return "lines end with CRLF" if pairs == feeds else "some lines end with CRLF, some with LF"


async def _read_file(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return await show_file(
        context, arguments["path"], arguments.get("start_line"), arguments.get("end_line")
    )


async def _write_file(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    path, text = workspace_path(arguments["path"], context.box.folder), arguments["content"]
    before = await existing(context, path)
    content, remark = _as_before(text, before)
    await write_bytes(context, path, content)
    lines = count(len(split_lines(text)), "line")
    if before is None:
        said = [f"Created {path} ({lines})."]
    else:
        old = decode(before)
        was = size_text(len(before)) if old is None else count(len(split_lines(old.text)), "line")
        said = [f"Replaced all of {path}: it had {was} and has {lines} now."]
    said += [remark, await syntax_note(context, path, before, content)]
    said.append(protection_note(context, path))
    return ToolResult("\n".join(line for line in said if line), data={"path": path})


def _as_before(text: str, before: bytes | None) -> tuple[bytes, str]:
    """The bytes to write, with the line ends and byte order mark that the file had, and what the
    model should know of it."""
    plain = text.encode("utf-8")
    old = decode(before) if before else None
    if old is None or "\r" in text or not _line_ends(old.text).startswith("lines end"):
        return plain, ""
    mark = old.encoding.mark if old.encoding.name == "utf-8" else b""
    return mark + plain.replace(b"\n", b"\r\n"), "Its lines end with CRLF, as before."


async def _edit_file(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    path = workspace_path(arguments["path"], context.box.folder)
    decoded = await read_text(context, path)
    # In a thread: explaining a near miss in a large file takes a while.
    edited = await asyncio.to_thread(
        replace_text, decoded.text, arguments["old_text"], arguments["new_text"],
        replace_all=arguments.get("replace_all") or False,
    )  # fmt: skip
    content = decoded.encoding.encode(edited.text, path)
    await write_bytes(context, path, content)
    before = decoded.encoding.encode(decoded.text, path)
    said = [
        summary(edited, path),
        excerpt(edited.text, edited.spans),
        await syntax_note(context, path, before, content),
        protection_note(context, path),
    ]
    return ToolResult("\n".join(line for line in said if line), data={"path": path})


def excerpt(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The changed lines (first, last) with those around them, numbered; a screenful at most."""
    lines = split_lines(text)
    wanted: list[int] = []
    for first, last in spans:
        around = range(max(1, first - _AROUND), min(len(lines), last + _AROUND) + 1)
        wanted += [number for number in around if not wanted or number > wanted[-1]]
        if len(wanted) > _MOST_SHOWN:
            break
    width = len(str(wanted[min(len(wanted), _MOST_SHOWN) - 1])) if wanted else 1
    shown: list[str] = []
    for place, number in enumerate(wanted[:_MOST_SHOWN]):
        if place and number != wanted[place - 1] + 1:
            shown.append("...")
        shown.append(f"{number:>{width}}| {clip_line(body(lines[number - 1]), 200)}")
    if len(wanted) > _MOST_SHOWN:
        shown.append("...")
    return "\n".join(shown)


def read_file_tool() -> Tool:
    """`read_file(path, start_line?, end_line?)`."""
    return Tool(
        "read_file",
        "Show a text file with line numbers, at most 200 lines at a time unless end_line says "
        "more. The numbers and the bar (`12| `) are not part of the file. For a folder its entries "
        "are listed.",
        {
            "type": "object",
            "properties": {
                "path": _PATH,
                "start_line": {
                    "type": "integer",
                    "description": "First line to show, counted from 1. Default 1.",
                },
                "end_line": {"type": "integer", "description": "Last line to show."},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
        _read_file,
        reads_only=True,
        aliases=PATH_ALIASES | {"line_start": "start_line", "line_end": "end_line"},
        other_names=("open_file", "cat", "view_file"),
    )


def write_file_tool() -> Tool:
    """`write_file(path, content)`."""
    return Tool(
        "write_file",
        "Create a file, or replace all of an existing one, with the given text. Folders are made. "
        "To change a part of a file, use edit_file.",
        {
            "type": "object",
            "properties": {
                "path": _PATH,
                "content": {"type": "string", "description": "The whole text of the file."},
            },
            "required": ["path", "content"],
            "additionalProperties": False,
        },
        _write_file,
        aliases=PATH_ALIASES | {"text": "content", "contents": "content", "file_text": "content"},
        other_names=("create_file",),
    )


def edit_file_tool() -> Tool:
    """`edit_file(path, old_text, new_text, replace_all?)`."""
    return Tool(
        "edit_file",
        "Change a part of a file: old_text is replaced by new_text. old_text has to stand in the "
        "file exactly once, character by character with its indentation and without line numbers; "
        "give whole lines, and enough of them to be unique. An empty new_text deletes.",
        {
            "type": "object",
            "properties": {
                "path": _PATH,
                "old_text": {"type": "string", "description": "The text to replace, exactly."},
                "new_text": {"type": "string", "description": "The text to put in its place."},
                "replace_all": {
                    "type": "boolean",
                    "description": "Replace every place where old_text stands. Default false.",
                },
            },
            "required": ["path", "old_text", "new_text"],
            "additionalProperties": False,
        },
        _edit_file,
        aliases=PATH_ALIASES
        | {
            "old_string": "old_text", "old_str": "old_text", "old": "old_text",
            "new_string": "new_text", "new_str": "new_text", "new": "new_text",
        },
        other_names=("str_replace", "replace_in_file"),
    )  # fmt: skip
