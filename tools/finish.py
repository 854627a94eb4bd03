"""finish: the model says that its work is done."""

from typing import Any

from tools.tool import Tool, ToolContext, ToolResult


async def _finish(arguments: dict[str, Any], context: ToolContext) -> ToolResult:
    summary = arguments["summary"].strip()
    return ToolResult("Noted.", data={"summary": summary})


def finish_tool() -> Tool:
    """`finish(summary)`, which ends the turn; the summary is in the result's data."""
    return Tool(
        "finish",
        "Say that the work is done, or that it cannot be done. Call it once, at the end. What is "
        "done is then verified in a fresh sandbox.",
        {
            "type": "object",
            "properties": {
                "summary": {
                    "type": "string",
                    "description": "What was wrong and what you changed, or why not.",
                }
            },
            "required": ["summary"],
            "additionalProperties": False,
        },
        _finish,
        ends_turn=True,
        reads_only=True,
        aliases={"message": "summary", "text": "summary", "answer": "summary"},
        other_names=("done", "submit"),
    )
