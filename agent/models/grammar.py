"""What a model may write: a grammar for a whole turn, held to token by token.

A dialect writes its grammar in llguidance's form of Lark. Text and reasoning are free, what is left
of a turn is exact: headers, tags, tool names, and arguments by each tool's JSON Schema.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from agent.conversation import ToolSpec
from agent.models.dialect import Prompt

#: Any text, and any that says something.
TEXT_RULES = """\
TEXT: /(.|\\n)*/
WORDS: /[ \\r\\n\\t]*[^ \\r\\n\\t](.|\\n)*/
"""
#: What a tool may be given whose schema no grammar can express.
_ANY_ARGUMENTS: Mapping[str, object] = {"type": "object"}
#: For the reader of a schema only; descriptions would make grammars long.
_NOTES = frozenset({"description", "title", "examples", "default", "$comment"})
#: Spaces where models put them, but never more: a weak model can write nothing else for ever, and
#: so it is with digits.
_SPACES: Mapping[str, object] = {
    "whitespace_flexible": False,
    "item_separator": r",( |\n {0,16})?",
    "key_separator": ": ?",
}
_LARGEST = 10**12
#: Tables of schemas by names that are the user's, and values that stand for themselves.
_TABLES = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const"})


class Vocabulary:
    """A model's tokens as llguidance wants them, made by `load` when they are first needed."""

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._lock = threading.Lock()

    @cached_property
    def tokenizer(self) -> Any:
        """Takes about a second the first time; may be asked for in any thread."""
        with self._lock:
            return self.__dict__.get("tokenizer") or self._load()


@dataclass(frozen=True)
class Grammar:
    """A turn's grammar over the tokens of one model."""

    vocabulary: Vocabulary
    text: str

    def begin(self, written: Sequence[int] = ()) -> "Constraint":
        """The constraint of a turn that goes on from the tokens `written`."""
        constraint = Constraint(self)
        for token in written:
            constraint.take(token)
        return constraint


class Constraint:
    """Says which token may follow in one turn. What the grammar cannot follow (a limit of the
    library, a turn that began otherwise) is free from there on; `broken` says why."""

    def __init__(self, grammar: Grammar) -> None:
        import llguidance  # noqa: PLC0415
        import numpy as np  # noqa: PLC0415

        tokenizer = grammar.vocabulary.tokenizer
        self._matcher = llguidance.LLMatcher(tokenizer, grammar.text, log_level=0)
        self._bits = np.zeros((tokenizer.vocab_size + 31) // 32, np.int32)
        self.broken = self._matcher.get_error()

    def allowed(self) -> Any:
        """An array that is true for each token that may follow; None where all may."""
        import numpy as np  # noqa: PLC0415

        if self.broken:
            return None
        self._matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        if self._failed():
            return None
        return np.unpackbits(self._bits.view(np.uint8), bitorder="little").view(np.bool_)

    def take(self, token: int) -> None:
        if not self.broken:
            self._matcher.consume_token(token)
            self._failed()

    def _failed(self) -> bool:
        # The library never raises; it remembers.
        if self._matcher.is_error():
            self.broken = self._matcher.get_error().partition("\n")[0] or "no reason is given"
        return bool(self.broken)


class Grammars(Protocol):
    """The grammars of one model's turns."""

    def turn(self, tools: Sequence[ToolSpec], prompt: Prompt, room: int) -> Grammar | None:
        """For the turn of up to `room` tokens that follows the prompt; None where there is nothing
        to hold it to."""


def inexpressible(tools: Sequence[ToolSpec]) -> dict[str, str]:
    """The tools whose arguments no grammar can hold to their schema, each with the reason."""
    found = {}
    for tool in tools:
        if reason := _refusal(tool.parameters):
            found[tool.name] = reason
    return found


def _refusal(schema: Mapping[str, object]) -> str:
    import llguidance  # noqa: PLC0415

    if _has_fraction(schema):
        return "a multipleOf that is no whole number is checked in floating point"
    text = llguidance.LLMatcher.grammar_from_json_schema(_json(schema))
    said: str = llguidance.LLMatcher.validate_grammar(text)
    return " ".join(said.split())[:200]


def arguments(tool: ToolSpec) -> str:
    """An expression for the tool's arguments as JSON; for any object where the schema is beyond
    what a grammar can say."""
    return "%json " + _json(_ANY_ARGUMENTS if _refusal(tool.parameters) else tool.parameters)


def quoted(text: str) -> str:
    """A text as Lark has it."""
    return json.dumps(text, ensure_ascii=False)


def _json(schema: Mapping[str, object]) -> str:
    return json.dumps({**_bare(schema), "x-guidance": _SPACES})


def _has_fraction(schema: object) -> bool:
    if isinstance(schema, list):
        return any(map(_has_fraction, schema))
    if not isinstance(schema, Mapping):
        return False
    step = schema.get("multipleOf")
    inner = (value for key, value in schema.items() if key not in _VALUES)
    return (isinstance(step, float) and not step.is_integer()) or any(map(_has_fraction, inner))


def _bare(schema: Mapping[str, object]) -> dict[str, object]:
    """The schema without what says nothing of the values, and with bounds for numbers."""
    made = {key: _bare_field(key, value) for key, value in schema.items() if key not in _NOTES}
    kinds = schema.get("type")
    numbers = {"integer", "number"} & set(kinds if isinstance(kinds, list) else [kinds])
    return {**_bounds(schema), **made} if numbers and not _VALUES & schema.keys() else made


def _bounds(schema: Mapping[str, object]) -> Mapping[str, int]:
    """Those of a number that has none of its own, so that its digits come to an end."""
    least = _bound(schema, "minimum", "exclusiveMinimum")
    most = _bound(schema, "maximum", "exclusiveMaximum")
    made = {}
    if least is None:
        made["minimum"] = min(-_LARGEST, (most or 0) - _LARGEST)
    if most is None:
        made["maximum"] = max(_LARGEST, (least or 0) + _LARGEST)
    return made


def _bound(schema: Mapping[str, object], *names: str) -> int | None:
    values = [value for name in names if isinstance(value := schema.get(name), int | float)]
    return int(values[0]) if values else None


def _bare_field(key: str, value: object) -> object:
    if key in _VALUES:
        return value
    return _bare_fields(value) if key in _TABLES else _bare_value(value)


def _bare_fields(fields: object) -> object:
    """A table of fields by name, which may be called like a note."""
    if not isinstance(fields, Mapping):
        return fields
    return {name: _bare_value(value) for name, value in fields.items()}


def _bare_value(value: object) -> object:
    if isinstance(value, Mapping):
        return _bare(value)
    return [_bare_value(each) for each in value] if isinstance(value, list) else value
