"""Odd schemas: what their grammar lets through, the schema holds for."""

import json
import random
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from agent.conversation import ToolSpec
from agent.models.grammar import Constraint, Grammar, Vocabulary, arguments, inexpressible
from tests.agent.models import tiny

pytestmark = pytest.mark.model

#: Fields of an object, each of which it has to have.
FIELDS: dict[str, Any] = {
    "large": {"type": "integer", "minimum": 10**13},
    "larger": {"type": "integer", "exclusiveMinimum": 10**12},
    "low": {"type": "integer", "maximum": -(10**13)},
    "large or one": {"type": "integer", "enum": [1, 10**15]},
    "one large": {"type": "integer", "const": 10**15},
    "number": {"type": "number"},
    "bounded": {"type": ["number", "null"], "minimum": 0.1, "maximum": 0.3},
    "objects": {"enum": [{"title": "x", "b": 1}, {"default": {"description": 2}}]},
    "an object": {"const": {"default": "x"}},
    "named": {"$ref": "#/$defs/default"},
    "notes": {
        "type": "object",
        "properties": {"title": {"type": "boolean"}, "default": {"type": "null"}},
        "required": ["title", "default"],
        "additionalProperties": False,
        "title": "A title.",
    },
    "by pattern": {
        "type": "object",
        "patternProperties": {"^title$": {"type": "integer", "maximum": 3, "minimum": 1}},
        "additionalProperties": False,
    },
    "wide": {"enum": ["\N{GRINNING FACE}", "<|call|>", "</tool_call>", "\0", 'a"\\\n']},
    '\N{LATIN SMALL LETTER E WITH ACUTE}"\\\n\u2028': {"type": "boolean"},
}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    from llguidance.hf import from_tokenizer

    made = tiny.tokenizer()
    return Vocabulary(lambda: from_tokenizer(made, n_vocab=len(made), eos_token=made.eos_token_id))


def tool(field: str, schema: Any) -> ToolSpec:
    whole = {
        "type": "object",
        "$defs": {"default": {"type": "boolean"}},
        "properties": {field: schema},
        "required": [field],
        "additionalProperties": False,
    }
    return ToolSpec("t", "Does.", whole)


def written(vocabulary: Vocabulary, spec: ToolSpec, draw: random.Random) -> str:
    """Arguments drawn at random from what the grammar allows; ends where they can."""
    tokenizer = tiny.tokenizer()
    made = Constraint(Grammar(vocabulary, f"start: {arguments(spec)}\n"))
    tokens: list[int] = []
    while len(tokens) < 2000:
        allowed = made.allowed()
        assert allowed is not None, made.broken
        places = np.flatnonzero(allowed)
        if tokenizer.eos_token_id in places:
            return str(tokenizer.decode(tokens))
        tokens.append(int(draw.choice(list(places))))
        made.take(tokens[-1])
    raise AssertionError(f"no end: {tokenizer.decode(tokens)}")


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_grammar_allows_is_valid(vocabulary: Vocabulary, field: str) -> None:
    spec = tool(field, FIELDS[field])
    assert inexpressible([spec]) == {}
    schema = Draft202012Validator(spec.parameters)
    draw = random.Random(field)
    for _ in range(8):
        value = json.loads(written(vocabulary, spec, draw))
        assert schema.is_valid(value), value


def test_digits_come_to_an_end(vocabulary: Vocabulary) -> None:
    made = Constraint(Grammar(vocabulary, f"start: {arguments(tool('a', {'type': 'number'}))}\n"))
    for token in tiny.tokenizer()('{"a":' + "9" * 40, add_special_tokens=False)["input_ids"]:
        made.take(token)
    assert made.broken


@pytest.mark.parametrize("step", [0.1, 0.25, 1e-9])
def test_steps_that_validators_reckon_otherwise_are_told(step: float) -> None:
    inner = {"type": "array", "items": {"type": "number", "multipleOf": step}}
    assert "floating point" in inexpressible([tool("a", inner)])["t"]
    assert inexpressible([tool("a", {"type": "integer", "multipleOf": 3})]) == {}
