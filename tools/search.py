"""search: lines of the workspace's text files that match a pattern."""

from typing import Any

from sandbox.results import FileProblem
from tools.bounds import clip_line, count
from tools.paths import workspace_path
from tools.tool import Tool, ToolContext, ToolError, ToolResult

_MOST_RESULTS = 500
_LINE_CHARACTERS = 240


async def search_text(
    context: ToolContext, pattern: str, path: str, glob: str | None, *, literal: bool,
    limit: int | None,
) -> ToolResult:  # fmt: skip
    """Lines that match, as `path:line: text`, at most `limit` of them (None: the usual number).

    Raises ToolError for a pattern that is no regular expression, or a path that is not there.
    """
    if not pattern:
        raise ToolError("The pattern is empty.")
    most = max(1, min(limit or context.limits.search_results, _MOST_RESULTS))
    try:
        found = await context.box.search(
            pattern,
            path=workspace_path(path, context.box.folder),
            glob=_without_double_stars(glob),
            literal=literal,
            limit=most,
        )
    except FileProblem as error:
        about_pattern = error.path == pattern and not literal
        hint = "To look for the text as it stands, set literal to true." if about_pattern else ""
        raise ToolError(error.message, hint) from error
    if not found.matches:
        where = "" if path == "." else f" in {path}"
        files = f" in files like {glob}" if glob else ""
        hint = _hint(pattern, literal)
        return ToolResult(f"Nothing matches {pattern!r}{where}{files}.{hint}", data={"matches": 0})
    return _listed(context, found.matches, found.truncated)


def _hint(pattern: str, literal: bool) -> str:
    if "\n" in pattern or (not literal and "\\n" in pattern):
        return " Lines are searched one by one: a pattern with a line break matches none."
    return "" if literal else " The pattern was read as a regular expression, case-sensitively."


def _without_double_stars(glob: str | None) -> str | None:
    """`**/` means any folders or none; in the sandbox a single star crosses folders already."""
    return glob.removeprefix("**/").replace("**/", "*") if glob else None


def _listed(context: ToolContext, matches: Any, truncated: bool) -> ToolResult:
    lines: list[str] = []
    size = 0
    for match in matches:
        text = clip_line(match.line.strip("\r\n"), _LINE_CHARACTERS)
        line = f"{match.path}:{match.line_number}: {text}"
        size += len(line) + 1
        if lines and size > context.limits.output_characters:
            truncated = True
            break
        lines.append(line)
    files = len({match.path for match in matches[: len(lines)]})
    head = f"{count(len(lines), 'match', 'matches')} in {count(files, 'file')}"
    if truncated:
        head += "; there are more: narrow it with path or glob, or raise max_results"
    return ToolResult("\n".join([f"{head}:", *lines]), data={"matches": len(lines)})


async def _search(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    return await search_text(
        context,
        arguments["pattern"],
        arguments.get("path", "."),
        arguments.get("glob"),
        literal=arguments.get("literal", False),
        limit=arguments.get("max_results"),
    )


def search_tool() -> Tool:
    """`search(pattern, path?, glob?, literal?, max_results?)`."""
    return Tool(
        "search",
        "Find lines in the project's text files. Each result is `path:line: text`. The pattern is "
        "a regular expression (Python's), unless literal is true. At most 50 results, unless "
        "max_results says more.",
        {
            "type": "object",
            "properties": {
                "pattern": {"type": "string", "description": "What to look for in each line."},
                "path": {
                    "type": "string",
                    "description": "File or folder to search in. Default: the whole project.",
                },
                "glob": {
                    "type": "string",
                    "description": 'Only files whose name or path matches, such as "*.py".',
                },
                "literal": {
                    "type": "boolean",
                    "description": "Take the pattern as plain text. Default false.",
                },
                "max_results": {"type": "integer", "description": "At most so many results."},
            },
            "required": ["pattern"],
            "additionalProperties": False,
        },
        _search,
        reads_only=True,
        aliases={"query": "pattern", "regex": "pattern", "include": "glob", "limit": "max_results"},
        other_names=("grep", "find_in_files", "search_files"),
    )
