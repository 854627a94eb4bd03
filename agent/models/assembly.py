"""The pieces of a streamed answer put together: events while they come, one message at the end.

Servers agree on little here. Calls come in deltas keyed by an index, or whole; without ids, or
with a new id on each piece; with the name repeated; with arguments as text or as an object.
Reasoning comes as `reasoning` or `reasoning_content`. All of it ends as the same message.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agent.conversation import AssistantMessage, ToolCall, ToolSpec, object_in
from agent.models.base import CallStarted, Event, ReasoningDelta, TextDelta, Usage
from agent.models.leaks import CALL_MARK, ThoughtInText, read_leaked
from agent.models.meant import meant_tool, plain_arguments, tool_name
from agent.models.secret import Redactor, Secret
from agent.models.servers import ReasoningField

#: Beyond these a number of tokens or of milliseconds is no count, and arithmetic with it fails.
_MOST = 1 << 40
#: Parts of a content lie within each other no deeper than this.
_DEEPEST = 4
#: After so many calls a stream is left: a turn that means them all there is none.
_MOST_CALLS = 256
#: The longest id of a call that goes back to the server with each turn.
_LONGEST_ID = 200

_SURROGATES = re.compile("[\ud800-\udfff]")
#: What servers call the end by a limit of output.
_LIMITED = frozenset({"length", "max_tokens", "model_length"})


@dataclass
class _Call:
    """One call as far as it has come. `shown` is set once the user was told its name."""

    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    shown: bool = False

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def complete(self) -> bool:
        """Whether the arguments so far are a whole JSON object."""
        # Only the last piece is looked at first: this is asked once for each piece that comes.
        return bool(self.pieces) and self.pieces[-1].rstrip()[-1:] == "}" and self.is_object

    @property
    def is_object(self) -> bool:
        return object_in(self.arguments) is not None


class Assembly:
    """One answer. `tools` are those offered; `taken` the call ids used earlier.

    A `secret` that a server echoes goes no further. `called` is true once the text itself holds a
    whole call, so that all that follows is invented, or calls come without end; `problem` says what
    of it could not be read.
    """

    def __init__(self, tools: Sequence[ToolSpec], taken: Collection[str], secret: Secret) -> None:
        self._known = {spec.name: spec for spec in tools}
        self._taken = taken
        self._redact = secret.redact
        self._shown: dict[type[ReasoningDelta] | type[TextDelta], Redactor] = {
            kind: secret.redactor() for kind in (ReasoningDelta, TextDelta)
        }
        self._thought = ThoughtInText()
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._finish: str | None = None
        self._usage: dict[str, Any] | None = None
        self.reasoning_field: ReasoningField | None = None
        self.timings: dict[str, float] = {}
        self.characters = 0
        self.called = False
        self.problem = ""

    @property
    def finished(self) -> bool:
        """Whether the server said why the answer ended."""
        return self._finish is not None

    @property
    def complete(self) -> bool:
        """Whether nothing can follow: the answer ended and its tokens were counted."""
        return self.finished and self._usage is not None

    @property
    def server_finish(self) -> str:
        """The server's own word for the end, empty when it gave none."""
        return self._finish or ""

    def take(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """The events of one chunk: a piece of an answer, or a whole one."""
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        if isinstance(chunk.get("timings"), dict):
            self._take_timings(chunk["timings"])
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or (choice.get("index") or 0) != 0:
                continue
            if isinstance(choice.get("delta"), dict):
                yield from self._take_delta(choice["delta"])
            elif isinstance(choice.get("message"), dict) and not (self.characters or self._calls):
                yield from self._take_delta(choice["message"])
            if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]:
                self._finish = choice["finish_reason"]

    def _take_timings(self, timings: Mapping[str, Any]) -> None:
        """llama.cpp's own clock, in milliseconds."""
        for theirs, ours in (("prompt_ms", "prompt_seconds"), ("predicted_ms", "output_seconds")):
            value = timings.get(theirs)
            # NaN is not between two numbers.
            if isinstance(value, int | float) and 0 <= value <= _MOST:
                self.timings[ours] = value / 1000

    def _take_delta(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        fields: tuple[ReasoningField, ...] = ("reasoning", "reasoning_content")
        for name in fields:
            # A server in transition sends the same text in both fields: only one may count.
            reasoning = _parts(delta.get(name), "thinking")
            if reasoning:
                self.reasoning_field = name
                yield from self._show(reasoning, self._reasoning, ReasoningDelta)
                break
        content = delta.get("content")
        thought = _thoughts(content)
        if thought:
            yield from self._show(thought, self._reasoning, ReasoningDelta)
        text = _parts(content, "text") or _parts(delta.get("refusal"), "text")
        if text:
            yield from self._show(text, self._text, TextDelta)
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else ():
            if isinstance(piece, dict):
                yield from self._take_call(piece)
        if isinstance(delta.get("function_call"), dict):
            yield from self._take_call({"index": 0, "function": delta["function_call"]})

    def _show(
        self, text: str, pieces: list[str], kind: type[ReasoningDelta] | type[TextDelta]
    ) -> Iterator[Event]:
        pieces.append(text)
        self.characters += len(text)
        if kind is TextDelta and ">" in text:
            self.called = self.called or CALL_MARK in "".join(pieces[-len(CALL_MARK) :])
        told = self._thought.feed(text) if kind is TextDelta else [(True, text)]
        yield from self._told(told)

    def _told(self, pieces: Sequence[tuple[bool, str]]) -> Iterator[Event]:
        for thought, text in pieces:
            kind = ReasoningDelta if thought else TextDelta
            yield from self._events(kind, self._shown[kind].feed(text))

    def close(self) -> Iterator[Event]:
        """What was held back of the text, and the calls that stand in it, once nothing follows."""
        yield from self._told(self._thought.rest())
        for kind, redactor in self._shown.items():
            yield from self._events(kind, redactor.rest())
        leaked = None if self._calls else read_leaked("".join(self._text), [*self._known.values()])
        if leaked is not None:
            self._text = [leaked.text]
            self._reasoning.append(leaked.reasoning)
            self._calls = [_Call(name=name, pieces=[text]) for name, text in leaked.calls]
            self.problem = leaked.problem
            for position, call in enumerate(self._calls):
                yield CallStarted(position, self._redact(self._tool_name(call)))

    @staticmethod
    def _events(kind: type[ReasoningDelta] | type[TextDelta], text: str) -> Iterator[Event]:
        if text:
            yield kind(_SURROGATES.sub("\ufffd", text))

    def _take_call(self, piece: Mapping[str, Any]) -> Iterator[Event]:
        function = piece.get("function")
        function = function if isinstance(function, dict) else piece
        name = function.get("name") if isinstance(function.get("name"), str) else ""
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = _written(arguments)
        call = self._call_of(piece, name or "", arguments or "")
        self._name(call, name or "")
        if arguments:
            call.pieces.append(arguments)
            self.characters += len(arguments)
        if not call.shown and call.name and (arguments or call.name in self._known):
            call.shown = True
            position = next(n for n, other in enumerate(self._calls) if other is call)
            yield CallStarted(position, self._redact(tool_name(call.name, self._known)))

    def _call_of(self, piece: Mapping[str, Any], name: str, arguments: str) -> _Call:
        """The call that `piece` belongs to; a new one where it cannot be a continuation."""
        given = piece.get("id")
        call_id = given if isinstance(given, str) else str(given) if given is not None else ""
        index = piece.get("index")
        if isinstance(index, int):
            call = self._by_index.get(index)
        else:
            call = self._with_id(call_id) or (self._calls[-1] if self._calls else None)
        if call is not None and not _starts_anew(call, call_id, name, arguments):
            call.id = call.id or call_id
            return call
        call = _Call(id=call_id)
        self._calls.append(call)
        self.called = self.called or len(self._calls) >= _MOST_CALLS
        if isinstance(index, int):
            self._by_index[index] = call
        return call

    def _with_id(self, call_id: str) -> _Call | None:
        return next((call for call in self._calls if call_id and call.id == call_id), None)

    def _name(self, call: _Call, name: str) -> None:
        if not call.name:
            call.name = name
        elif name and name != call.name and not call.pieces and call.name not in self._known:
            call.name += name

    def _tool_name(self, call: _Call) -> str:
        return meant_tool(call.name, call.arguments, self._known)

    def message(self) -> AssistantMessage:
        """The answer so far as a message; calls without a name are left out."""
        calls = []
        taken = set(self._taken)
        for call in self._calls:
            if made := self._tool_name(call):
                call_id = _unused("" if self._is_odd(call.id) else call.id, taken)
                taken.add(call_id)
                name = _whole(self._redact(made))
                arguments = plain_arguments(call.arguments.strip() or "{}")
                arguments = _whole(self._redact(arguments))
                calls.append(ToolCall(call_id, name, arguments))
        return AssistantMessage(
            text=_whole(self._redact("".join(self._text))),
            reasoning=_whole(self._redact("".join(self._reasoning))),
            calls=tuple(calls),
        )

    def _is_odd(self, call_id: str) -> bool:
        """Whether an id is none that should go into the log, and back with each turn."""
        odd = len(call_id) > _LONGEST_ID or not call_id.isprintable()
        return odd or self._redact(call_id) != call_id

    @property
    def nameless_calls(self) -> int:
        return sum(not self._tool_name(call) for call in self._calls)

    @property
    def cut_calls(self) -> list[str]:
        """Names of calls whose arguments are not whole."""
        return [call.name for call in self._calls if call.name and not call.is_object]

    def finish(self) -> Literal["stop", "calls", "length"]:
        """Why the answer ended, in our words."""
        if self._finish in _LIMITED:
            return "length"
        return "calls" if any(map(self._tool_name, self._calls)) else "stop"

    def usage(self, prompt_estimate: Callable[[], int]) -> Usage:
        """The tokens as the server counted them, or an estimate where it did not."""
        counted = self._usage or {}
        prompt, output = _count(counted, "prompt_tokens"), _count(counted, "completion_tokens")
        cached = _count(_table(counted, "prompt_tokens_details"), "cached_tokens")
        reasoning = _count(_table(counted, "completion_tokens_details"), "reasoning_tokens")
        estimated = not prompt or (not output and self.characters > 0)
        return Usage(
            input_tokens=prompt or prompt_estimate(),
            output_tokens=output or (self.characters + 3) // 4,
            reasoning_tokens=reasoning or sum(map(len, self._reasoning)) // 4,
            cached_tokens=cached or _count(counted, "prompt_cache_hit_tokens"),
            estimated=estimated,
        )


def _starts_anew(call: _Call, call_id: str, name: str, arguments: str) -> bool:
    """Whether a piece with a name cannot go on with `call`: that one is whole already, or both id
    and name are others. (Some servers give every call the index 0, some every piece a new id.)"""
    if not name or (call_id and call_id == call.id):
        return False
    if call.complete:
        return bool(arguments.strip()) or name != call.name or bool(call_id)
    return bool(call_id and call.id and name != call.name and call.pieces)


def _unused(given: str, taken: Collection[str]) -> str:
    """`given`, or another id where it is missing or was used before in the conversation."""
    number = len(taken) + 1
    while not given or given in taken:
        given, number = f"call_{number}", number + 1
    return given


def _parts(content: object, kind: str, depth: int = _DEEPEST) -> str:
    """The text of a content field: a string, or a list of typed parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not depth:
        return ""
    parts = (part for part in content if isinstance(part, dict) and part.get("type") == kind)
    return "".join(_parts(part.get(kind), "text", depth - 1) for part in parts)


def _written(arguments: object) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:  # nested as deep as reading just bears, and writing does not
        return ""


def _thoughts(content: object) -> str:
    """Reasoning among the parts of a content field."""
    return _parts(content, "thinking") if isinstance(content, list) else ""


def _whole(text: str) -> str:
    """`text` with surrogate pairs made one character and lone halves replaced."""
    if not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name)
    known = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST
    return value if isinstance(value, int) and known else 0
