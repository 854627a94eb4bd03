"""Conversations through a tokenizer's own chat template.

A template that takes tools gets them and the calls as it wants them. One that does not gets the
plain-text protocol. Templates refuse what their model was not trained on (a system message, two
messages of one role in a row, several calls at once): then the same is said in another form.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.conversation import (
    AssistantMessage,
    Conversation,
    SystemMessage,
    ToolMessage,
    ToolSpec,
    object_in,
)
from agent.models.base import ModelError
from agent.models.dialect import CallIds, Dialect, Effort, Prompt
from agent.models.plaintext import as_chat
from agent.models.tooltags import TagParser
from tools.bounds import sendable

Chat = list[dict[str, Any]]

_OUTPUT_BOUND = 4_096
#: Where a model thinks before it answers, a turn is longer.
_THINKING_BOUND = 16_384
_PROBE = ToolSpec("greenroom_probe", "Probes.", {"type": "object", "properties": {}})
#: What templates call a turn's reasoning.
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_OPENED = re.compile(r"<(?:think|thought)>\s*\Z")


class TemplateDialect(Dialect):
    """Any tokenizer with a chat template. ModelError where the template refuses the simplest chat.

    `stop_ids` are what the model's generation configuration says ends a turn.
    """

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        own = tokenizer.eos_token_id
        self.stop_ids = stop_ids | (frozenset() if own is None else {own})
        template = str(tokenizer.chat_template)
        self.thinks = "think" in template or "thought" in template
        self.output_bound = _THINKING_BOUND if self.thinks else _OUTPUT_BOUND
        self._fields = [name for name in _REASONING_FIELDS if re.search(rf"\b{name}\b", template)]
        self._special = _special_tokens(tokenizer)
        hello = [{"role": "user", "content": "Hello"}]
        self.takes_tools = _PROBE.name in self._render(hello, [_PROBE], None)

    def prompt(
        self, conversation: Conversation, tools: Sequence[ToolSpec], effort: Effort
    ) -> Prompt:
        if self.takes_tools:
            chat, given = self._with_tools(conversation), tools
        else:
            chat = [{"role": r, "content": self._plain(t)} for r, t in as_chat(conversation, tools)]
            given = ()
        text = self._render(chat, given, effort)
        ids = self.encode(text)
        if not ids:
            raise ModelError(
                "the model's chat template writes nothing",
                "It may be damaged; get the model's files anew, or take another model.",
            )
        return Prompt(ids, thinking=_OPENED.search(text) is not None)

    def parser(
        self, conversation: Conversation, tools: Sequence[ToolSpec], prompt: Prompt
    ) -> TagParser:
        return TagParser(
            self._decode, self.stop_ids, tools, CallIds(conversation), thinking=prompt.thinking
        )

    def rendered(self, message: AssistantMessage) -> str:
        """How the template writes this turn, without the marks that end it; empty where it refuses
        one like it."""
        chat: Chat = [{"role": "user", "content": "Hello"}]
        try:
            before = self._render(chat, [_PROBE], None)
            whole = self._render([*chat, self._turn(message, message.text)], [_PROBE], None)
        except ModelError:
            return ""
        same = zip(before, whole, strict=False)
        start = next((n for n, (mine, other) in enumerate(same) if mine != other), len(before))
        opened = whole.rfind("<", 0, start)
        if opened > whole.rfind(">", 0, start):
            start = opened  # both begin with a tag, and the tags alike
        turn = whole[start:]
        ends = [turn.find(mark) for mark in self._tokenizer.convert_ids_to_tokens(self.stop_ids)]
        return turn[: min((end for end in ends if end >= 0), default=None)]

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def _plain(self, text: str) -> str:
        """Text that cannot pass for the template's own marks: a file that the model reads could
        else end its message and begin another."""
        return self._special.sub(lambda match: f"{match[0][0]}\u200b{match[0][1:]}", sendable(text))

    def _with_tools(self, conversation: Conversation) -> Chat:
        chat: Chat = []
        for message in conversation:
            text = self._plain(message.text)
            if isinstance(message, AssistantMessage):
                chat.append(self._turn(message, text))
            elif isinstance(message, ToolMessage):
                known = {"tool_call_id": message.call_id, "name": message.name}
                chat.append({"role": "tool", "content": text, **known})
            else:
                system = isinstance(message, SystemMessage)
                chat.append({"role": "system" if system else "user", "content": text})
        return chat

    def _turn(self, message: AssistantMessage, text: str) -> dict[str, Any]:
        made: dict[str, Any] = {"role": "assistant", "content": text}
        if message.reasoning:
            made |= dict.fromkeys(self._fields, self._plain(message.reasoning))
        if message.calls:
            made["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": self._plain(call.name),
                        "arguments": _arguments(self._plain(call.arguments)),
                    },
                }
                for call in message.calls
            ]
        return made

    def _render(self, chat: Chat, tools: Sequence[ToolSpec], effort: Effort) -> str:
        """The chat as text, in the first form that the template takes."""
        functions = [
            {
                "type": "function",
                "function": {
                    "name": spec.name,
                    "description": spec.description,
                    "parameters": spec.parameters,
                },
            }
            for spec in tools
        ]
        more: Mapping[str, Any] = {"reasoning_effort": effort} if effort else {}
        refused: Exception | None = None
        for form in _FORMS:
            try:
                return str(
                    self._tokenizer.apply_chat_template(
                        form(chat),
                        tools=functions or None,
                        tokenize=False,
                        add_generation_prompt=True,
                        **more,
                    )
                )
            # A template is a program of the model's author, and may fail in any way.
            except Exception as error:
                refused = refused or error
        raise ModelError(
            f"the model's chat template refuses the conversation:"
            f" {str(refused) or type(refused).__name__}",
            "It may not be made for chat; take a model that is tuned for instructions.",
        ) from refused


def _special_tokens(tokenizer: Any) -> re.Pattern[str]:
    """Matches every token that the tokenizer reads as a mark wherever it stands."""
    added = tokenizer.added_tokens_decoder.values()
    marks = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
    longest_first = sorted((mark for mark in marks if len(mark) > 1), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")


def _arguments(text: str) -> object:
    """Arguments as an object, which templates write as JSON; as text where they are none."""
    made = object_in(text)
    return text if made is None else made


def _as_it_is(chat: Chat) -> Chat:
    return chat


def _one_call_each(chat: Chat) -> Chat:
    """Each call in a message of its own, followed by its result."""
    made: Chat = []
    results = {m.get("tool_call_id"): m for m in chat if m["role"] == "tool"}
    placed: set[str] = set()
    for message in chat:
        calls = message.get("tool_calls", [])
        if len(calls) < 2:
            if message.get("tool_call_id") not in placed:
                made.append(message)
            continue
        for number, call in enumerate(calls):
            first = message if number == 0 else {"role": "assistant", "content": ""}
            made.append({**first, "tool_calls": [call]})
            if call["id"] in results:
                made.append(results[call["id"]])
                placed.add(call["id"])
    return made


def _without_system(chat: Chat) -> Chat:
    """System messages as what the user says, neighbours of one role as one message."""
    made: Chat = []
    for message in chat:
        role = "user" if message["role"] == "system" else message["role"]
        last = made[-1] if made else None
        plain = last is not None and not (message.keys() | last.keys()) - {"role", "content"}
        if last is not None and plain and last["role"] == role:
            made[-1] = {"role": role, "content": f"{last['content']}\n\n{message['content']}"}
        else:
            made.append({**message, "role": role})
    return made


_FORMS: tuple[Callable[[Chat], Chat], ...] = (
    _as_it_is,
    _one_call_each,
    _without_system,
    lambda chat: _without_system(_one_call_each(chat)),
)
