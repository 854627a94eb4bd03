"""The protocol for models whose chat template knows no tools: everything is plain text.

The system message lists the tools, one a line, with a JSON Schema of each one's arguments. The
model calls one by ending its answer with a block like this, and nothing after it:

    ```json
    {"name": "read_file", "arguments": {"path": "a.py"}}
    ```

The result comes as a user message that begins with "Result of read_file:".
"""

import json
from collections.abc import Sequence

from agent.conversation import (
    AssistantMessage,
    Conversation,
    Message,
    SystemMessage,
    ToolMessage,
    ToolSpec,
)

_HOW = """\
You work with tools. To call one, end your answer with one block like this, and write nothing after
it:

```json
{"name": "TOOL", "arguments": {...}}
```

The result follows as a message. Call one tool at a time. The tools, each with the JSON Schema of
its arguments:"""


def explain(tools: Sequence[ToolSpec]) -> str:
    """How to call tools, and which there are; empty where there are none."""
    if not tools:
        return ""
    lines = [f"- {t.name}: {t.description} {json.dumps(t.parameters)}" for t in tools]
    return "\n".join([_HOW, *lines])


def written(message: AssistantMessage) -> str:
    """A turn as its model wrote it, calls as blocks."""
    blocks = [
        f'```json\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments.strip() or "{}"}'
        "}\n```"
        for call in message.calls
    ]
    return "\n\n".join(part for part in [message.text, *blocks] if part)


def as_chat(conversation: Conversation, tools: Sequence[ToolSpec]) -> list[tuple[str, str]]:
    """The conversation as roles (system, user, assistant) and texts."""
    chat = [_plain(message) for message in conversation]
    how = explain(tools)
    if not how:
        return chat
    if chat and chat[0][0] == "system":
        return [("system", f"{chat[0][1]}\n\n{how}"), *chat[1:]]
    return [("system", how), *chat]


def _plain(message: Message) -> tuple[str, str]:
    if isinstance(message, AssistantMessage):
        return "assistant", written(message)
    if isinstance(message, ToolMessage):
        return "user", f"Result of {message.name}:\n{message.text}"
    return ("system" if isinstance(message, SystemMessage) else "user"), message.text
