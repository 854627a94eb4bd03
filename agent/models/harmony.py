"""Harmony, the format that gpt-oss was trained on: conversations as its tokens.

Every message is rendered by itself, so that the library never drops reasoning of its own accord.
A turn that the model wrote goes back in the tokens in which it was written, as long as they still
say what the message says: what is rendered anew would differ, and the KV cache be lost.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from agent.conversation import (
    AssistantMessage,
    Conversation,
    SystemMessage,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.dialect import CallIds, Dialect, Effort, Prompt
from agent.models.harmony_header import Header
from agent.models.harmony_turn import CALL, END, END_OF_TEXT, RETURN, HarmonyParser
from tools.bounds import sendable

#: Reasoning at high effort may take some ten thousands of tokens.
_OUTPUT_BOUND = 32_768
#: Messages whose tokens are kept.
_KEPT = 1024


class HarmonyDialect(Dialect):
    """gpt-oss's own. The library (`oss-harmony`) carries the vocabulary and downloads nothing."""

    stop_ids = frozenset({RETURN, CALL, END_OF_TEXT})
    output_bound = _OUTPUT_BOUND
    temperature = 1.0
    top_p = 1.0
    toolset = "gpt-oss"
    #: As in the reproduction of the published scores.
    malformed_retries = 10

    def __init__(self) -> None:
        self._library, self._encoding = _loaded()
        self._opening = self.encode("<|start|>assistant")
        # A conversation is rendered anew for each turn, and most of its messages are the same.
        self._written = lru_cache(_KEPT)(self._as_written)
        self._rendered = lru_cache(_KEPT)(self._message)

    def prompt(
        self, conversation: Conversation, tools: Sequence[ToolSpec], effort: Effort
    ) -> Prompt:
        """Functions stand in the developer message; tools whose names have a namespace before a
        dot stand in the system message, where gpt-oss knows them from. Reasoning before the latest
        final answer is left out, as the format wants it."""
        count = _leading(conversation)
        ids = self._preface(conversation[:count], tools, effort)
        old = _last_answer(conversation)
        called: dict[str, Header] = {}
        for place, message in enumerate(conversation[count:], count):
            if isinstance(message, AssistantMessage) and place <= old:
                ids += self._anew(replace(message, reasoning=""))
            elif isinstance(message, AssistantMessage):
                written, headers = self._written(message)
                called |= {c.id: h for c, h in zip(message.calls, headers, strict=False)}
                ids += written or self._anew(message)
            elif isinstance(message, ToolMessage):
                ids += self._result(message, called.get(message.call_id))
            else:
                ids += self._render(message)
        return Prompt((*ids, *self._opening))

    def parser(
        self, conversation: Conversation, tools: Sequence[ToolSpec], prompt: Prompt
    ) -> HarmonyParser:
        return HarmonyParser(self.decode, CallIds(conversation), tools)

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._encoding.encode(text, allowed_special="all"))

    def decode(self, ids: Sequence[int]) -> str:
        try:
            return str(self._encoding.decode(ids))
        except self._library.HarmonyError:  # no token of this vocabulary
            return "\ufffd"

    def token_bytes(self, token: int) -> bytes:
        """What one token stands for; a character may span several."""
        text = self._encoding.decode([token], errors="surrogateescape")
        return bytes(text.encode("utf-8", "surrogateescape"))

    def _preface(
        self, leading: Conversation, tools: Sequence[ToolSpec], effort: Effort
    ) -> list[int]:
        """The system message (identity, cutoff and date as in training, effort, namespaces), and
        the developer message with our instructions where there is something to say."""
        library = self._library
        instructions = "\n\n".join(message.text for message in leading)
        system = library.SystemContent.new()
        days = [m.date for m in leading if isinstance(m, SystemMessage) and m.date]
        if days:
            system = system.with_conversation_start_date(days[0])
        system = system.with_reasoning_effort(library.ReasoningEffort((effort or "medium").title()))
        functions: list[Any] = []
        spaces: dict[str, list[Any]] = {}
        for spec in tools:
            space, _, name = spec.name.rpartition(".")
            described = library.ToolDescription.new(name, spec.description, dict(spec.parameters))
            (spaces.setdefault(space, []) if space else functions).append(described)
        for space, members in spaces.items():
            system = system.with_tools(library.ToolNamespaceConfig(name=space, tools=members))
        ids = self._content("system", system, with_functions=bool(functions))
        if not instructions and not functions:
            return ids
        developer = library.DeveloperContent.new()
        if instructions:
            developer = developer.with_instructions(sendable(instructions))
        if functions:
            developer = developer.with_function_tools(functions)
        return ids + self._content("developer", developer)

    def _render(self, message: SystemMessage | UserMessage) -> Sequence[int]:
        match message:
            case SystemMessage():
                content = self._library.DeveloperContent.new()
                return self._content("developer", content.with_instructions(sendable(message.text)))
            case UserMessage():
                return self._rendered("user", message.text)

    def _result(self, message: ToolMessage, call: Header | None) -> Sequence[int]:
        """A call's result, from whom it was asked of and on its channel."""
        channel = (call and call.channel) or "commentary"
        author = call.recipient if call else addressee(message.name)
        return self._rendered("tool", message.text, channel, "assistant", author=author)

    def _as_written(self, message: AssistantMessage) -> tuple[list[int], list[Header]]:
        """The turn's own tokens, and its calls' headers; none where they are not whole, were
        written in another vocabulary, had to be mended or say something else than the message."""
        ids = list(message.token_ids)
        if not ids or ids[-1] not in {RETURN, CALL}:
            return [], []
        parser = HarmonyParser(self.decode, CallIds(()))
        for token in ids:
            parser.feed(token)
        parser.close()
        parsed = parser.parsed()
        same = (
            parser.sound
            and parsed.kind is None
            and parsed.text == message.text
            and parsed.reasoning == message.reasoning
            and [(call.name, call.arguments) for call in parsed.calls]
            == [(call.name, call.arguments) for call in message.calls]
        )
        if not same:
            return [], []
        # Once others follow, a finished turn ends like any message.
        ending = END if ids[-1] == RETURN else CALL
        return [*self._opening, *ids[:-1], ending], parser.headers

    def _anew(self, message: AssistantMessage) -> list[int]:
        ids: list[int] = []
        if message.reasoning:
            ids += self._rendered("assistant", message.reasoning, "analysis")
        if message.text:
            # Text before calls is a preamble; the final channel would end the turn.
            channel = "commentary" if message.calls else "final"
            ids += self._rendered("assistant", message.text, channel)
        for call in message.calls:
            name = addressee(call.name)
            ids += self._rendered("assistant", call.arguments, "commentary", name, json=True)
        return ids

    def _message(
        self,
        role: str,
        text: str,
        channel: str = "",
        recipient: str = "",
        *,
        author: str = "",
        json: bool = False,
    ) -> tuple[int, ...]:
        library = self._library
        made = library.Message.from_author_and_content(
            library.Author(role=library.Role(role), name=sendable(author) or None), sendable(text)
        )
        if channel:
            made = made.with_channel(channel)
        if recipient:
            made = made.with_recipient(sendable(recipient))
        if json:
            made = made.with_content_type("<|constrain|>json")
        return tuple(self._encoding.render(made))

    def _content(self, role: str, content: Any, *, with_functions: bool = False) -> list[int]:
        library = self._library
        made = library.Message.from_role_and_content(library.Role(role), content)
        options = library.RenderOptions(conversation_has_function_tools=with_functions)
        return list(self._encoding.render(made, options))


@cache
def _loaded() -> tuple[Any, Any]:
    """The library, and its encoding, which takes half a second to build."""
    import openai_harmony  # noqa: PLC0415

    return openai_harmony, openai_harmony.load_harmony_encoding("HarmonyGptOss")


def addressee(tool: str) -> str:
    """Whom a call of `tool` is addressed to: functions of ours stand in a namespace."""
    return tool if "." in tool else f"functions.{tool}"


def _leading(conversation: Conversation) -> int:
    """How many system messages the conversation begins with."""
    for place, message in enumerate(conversation):
        if not isinstance(message, SystemMessage):
            return place
    return len(conversation)


def _last_answer(conversation: Conversation) -> int:
    """The place of the latest turn that ended in a final answer and that the user replied to; -1
    for none."""
    asked = False
    for place in range(len(conversation) - 1, -1, -1):
        message = conversation[place]
        asked = asked or isinstance(message, UserMessage)
        if asked and isinstance(message, AssistantMessage) and message.text and not message.calls:
            return place
    return -1
