"""Whether a model's calls and its reasoning make it through the server, there and back."""

from dataclasses import replace

from agent.conversation import (
    AssistantMessage,
    Conversation,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import Sampling
from agent.models.doctor import beside
from agent.models.doctor.findings import Finding
from agent.models.doctor.look import HELLO, ONE_TOKEN, SYSTEM, Look
from agent.models.servers import ReasoningField
from agent.models.wire import request_body

_NOTE = ToolSpec(
    "take_note",
    "Keeps a note.",
    {
        "type": "object",
        "properties": {"text": {"type": "string", "description": "The note."}},
        "required": ["text"],
        "additionalProperties": False,
    },
)
_PICK = ToolSpec(
    "pick_colour",
    "Picks a colour.",
    {
        "type": "object",
        "properties": {"colour": {"type": "string", "enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    },
)
_THOUGHT = " ".join(f"Step {n}: I look at part {n} before I change it." for n in range(16))


async def tools(look: Look) -> Finding:
    asked = (SYSTEM, UserMessage("Call take_note twice in one turn: with 'a', and with 'b'."))
    # A model that thinks first needs room before it calls.
    with_tools = await look.turn(asked, [_NOTE], Sampling(max_output_tokens=look.room(600)))
    calls = with_tools.message.calls
    written = look.model.dialect.written_tools
    if calls and not written:
        many = f"{len(calls)} calls in one turn" if len(calls) > 1 else "one call a turn"
        known = all(call.name == _NOTE.name for call in calls)
        wrong = "" if known else f", of a tool that there is not ({calls[0].name})"
        return Finding("tool calls", "good" if known else "note", f"{many}{wrong}")
    if written:
        return Finding(
            "tool calls",
            "note",
            "none offered by the server; calls are written as text" + ("" if calls else ", or not"),
            "more calls are malformed, since nothing holds the model to their form",
            _TOOLS_ON.get(look.model.info.server, "Take a model whose template has tools."),
        )
    if await _dropped(look, asked):
        return Finding(
            "tool calls",
            "bad",
            "the server drops the tools: the prompt is no longer with them than without",
            "the model cannot act",
            _TOOLS_ON.get(look.model.info.server, "Take a model whose template has tools.")
            + " Or give --tool-calls text.",
        )
    return Finding(
        "tool calls",
        "note",
        "the model saw the tools, and called none when told to",
        "turns without a call are lost",
        "Check the server's tool call parser, or take a stronger model.",
    )


async def _dropped(look: Look, asked: Conversation) -> bool:
    """Whether the prompt is no longer with tools than without them. Counts come without a stream,
    too, from servers that give none in it."""
    prompts = []
    for tools in ([_NOTE], []):
        body = request_body(
            look.model.info.name, asked, tools, ONE_TOKEN, look.model.dialect, streamed=False
        )
        prompts.append(await beside.prompt_tokens(look.model.transport, body))
    return 0 < prompts[0] <= prompts[1]


#: What switches tool calls on, by server.
_TOOLS_ON = {
    "vllm": "Start it with --enable-auto-tool-choice --tool-call-parser PARSER (gpt-oss: openai).",
    "sglang": "Start it with --tool-call-parser PARSER (gpt-oss: gpt-oss).",
    "llamacpp": "Start llama-server with --jinja, and a model whose template has tools.",
    "ollama": "Take a model that `ollama show` lists with the capability tools.",
}


async def strict(look: Look) -> Finding:
    if look.model.dialect.written_tools:
        return Finding("strict tools", "untold", "there are no tool calls")
    asked = (SYSTEM, UserMessage("Call pick_colour with the colour purple, nothing else."))
    before = look.model.dialect
    look.model.dialect = replace(before, strict_tools=True)
    try:
        done = await look.turn(asked, [_PICK], Sampling(max_output_tokens=look.room(600)))
        taken = look.model.dialect.strict_tools
    finally:
        look.model.dialect = before
    used = "" if before.strict_tools else " (Greenroom does not ask this server for it)"
    if not taken:
        return Finding("strict tools", "note", "refused by the server", _UNHELD)
    if not done.message.calls:
        return Finding("strict tools", "untold", "the model called nothing")
    if "purple" in done.message.calls[0].arguments:
        return Finding("strict tools", "note", f"taken, and not held to{used}", _UNHELD)
    return Finding("strict tools", "good", f"a call kept to its schema, against its order{used}")


_UNHELD = "a call whose arguments do not fit costs a turn, in which the model is told"


async def reasoning(look: Look) -> Finding:
    """Whether reasoning sent back within a tool loop reaches the model: the prompt grows by it."""
    if not look.reasons:
        return Finding("reasoning", "untold", "this model was not seen to reason")
    if not look.usage or look.model.dialect.written_tools:
        return Finding("reasoning", "untold", "given; whether it is taken back cannot be counted")
    own = look.model.dialect.reasoning
    without = await _prompt_with(look, None)
    fields: list[ReasoningField] = ["reasoning", "reasoning_content"]
    if own in fields:
        fields.remove(own)
        fields.insert(0, own)
    for name in fields:
        if await _prompt_with(look, name) > without + 40:
            if name == own:
                return Finding("reasoning", "good", f"given, and taken back in `{name}`")
            return Finding(
                "reasoning",
                "note",
                f"taken back in `{name}` only, which Greenroom does not send to this server",
                _FORGETS,
                "Take a newer server, or name its kind, as in vllm:NAME.",
            )
    return Finding(
        "reasoning",
        "note",
        "given, and dropped when it is sent back within a tool loop",
        _FORGETS,
        "Take a newer server, or one that takes raw tokens.",
    )


_FORGETS = "the model forgets between two calls why it made the first; its later calls get worse"


async def _prompt_with(look: Look, name: ReasoningField | None) -> int:
    """Tokens of a prompt with reasoning in that field (None: without any)."""
    call = ToolCall("call00001", _NOTE.name, '{"text": "a"}')
    said = AssistantMessage(reasoning=_THOUGHT if name else "", calls=(call,))
    history = (*HELLO, said, ToolMessage(call.id, call.name, "kept"))
    before = look.model.dialect
    look.model.dialect = replace(before, reasoning=name, echo_reasoning=True)
    try:
        return (await look.turn(history, [_NOTE], ONE_TOKEN)).usage.input_tokens
    finally:
        look.model.dialect = before
