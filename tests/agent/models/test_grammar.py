import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from agent.conversation import ToolSpec, UserMessage
from agent.models.base import Model, Sampling, TurnDone
from agent.models.dialect import Prompt
from agent.models.grammar import Grammar, inexpressible
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_grammar import HarmonyGrammars
from agent.models.harmony_turn import CALL, CHANNEL
from agent.models.local import open_local
from agent.models.settings import ModelSettings
from agent.models.tag_grammar import CallForm, TagGrammars, call_form
from agent.models.templates import TemplateDialect
from tests.agent.models import tiny
from tools.tool import Toolbox
from tools.toolsets import toolset

pytestmark = pytest.mark.model

PLAIN = """\
{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
BARE = tiny.TEMPLATE.replace("<tool_call>\n", "").replace("\n</tool_call>", "")
JSON = "<|constrain|>json<|message|>"
HEAD = f"<|channel|>commentary to=functions.read_file {JSON}"


def tools_of(name: str) -> list[ToolSpec]:
    """A toolset whose texts are short: random weights would write on and on."""
    specs = Toolbox(toolset(name).tools).specs
    return [replace(spec, parameters=short(spec.parameters)) for spec in specs]


def short(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = {key: short(value) for key, value in schema.items()}
    bounds = {"string": {"maxLength": 6}, "array": {"maxItems": 1}, "number": {"type": "integer"}}
    return made | bounds.get(str(made.get("type")), {})


GENERIC = tools_of("generic")


@pytest.fixture(scope="module")
def harmony() -> tuple[HarmonyDialect, HarmonyGrammars]:
    dialect = HarmonyDialect()
    return dialect, HarmonyGrammars(201_088)


def accepts(grammar: Grammar, ids: Sequence[int]) -> bool:
    """Whether the tokens are a whole turn; the last one ends it."""
    constraint = grammar.begin()
    for token in ids:
        allowed = constraint.allowed()
        if constraint.broken or not allowed[token]:
            return False
        constraint.take(token)
    return True


def check(done: TurnDone, tools: Sequence[ToolSpec]) -> int:
    """Fails for a turn that is no good; how many calls it has."""
    schemas = {tool.name: tool.parameters for tool in tools}
    for call in done.message.calls:
        jsonschema.validate(json.loads(call.arguments), schemas[call.name])
    if not done.message.calls:  # an answer: random weights do not end one
        assert done.message.text or done.finish == "length"
        assert "could not be read" not in done.problem
    assert "cut off before its end" not in done.problem
    return len(done.message.calls)


async def turns(model: Model, tools: Sequence[ToolSpec], count: int, room: int) -> list[TurnDone]:
    sampling = Sampling(temperature=1.0, top_p=1.0, max_output_tokens=room, seed=1)
    hello = (UserMessage("Hello"),)
    return [done async for done in model.candidates(hello, tools, sampling, count)]


@pytest.mark.parametrize("name", ["gpt-oss", pytest.param("generic", marks=pytest.mark.nightly)])
async def test_gpt_oss_with_random_weights_writes_nothing_but_valid_turns(
    tmp_path: Path, name: str
) -> None:
    tiny.gpt_oss().save_pretrained(tmp_path)
    model = open_local(str(tmp_path), ModelSettings())
    tools = tools_of(name)
    assert sum([check(done, tools) for done in await turns(model, tools, 3, 64)]) > 1
    await model.close()


@pytest.mark.parametrize(
    "text",
    [
        f'{HEAD}{{"path":"a.py"}}<|call|>',
        f'{HEAD}{{"path": "a.py", "start_line": 3}}<|call|>',
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
        f'{HEAD}{{"path":"a.py"}}<|call|>',
        f' to=functions.read_file<|channel|>commentary {JSON}{{"path":""}}<|call|>',
        '<|channel|>commentary to=functions.read_file code<|message|>{"path":""}<|call|>',
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>"
        "I look.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    ],
)
def test_what_gpt_oss_writes_is_allowed(
    harmony: tuple[HarmonyDialect, HarmonyGrammars], text: str
) -> None:
    dialect, grammars = harmony
    assert accepts(grammars.turn(GENERIC, Prompt(()), 4000), dialect.encode(text))


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>final<|message|><|return|>",
        "<|channel|>analysis<|message|>Hm.<|return|>",
        f'<|channel|>commentary to=functions.reed_file {JSON}{{"path":""}}<|call|>',
        f'{HEAD}{{"path":1}}<|call|>',
        f"{HEAD}{{}}<|call|>",
        f'{HEAD}{{"path":"","more":1}}<|call|>',
        f"{HEAD}\n\n\n\n",
        "<|channel|>comment<|message|>",
        "<|message|>Hm.",
    ],
)
def test_what_could_not_be_used_is_not(
    harmony: tuple[HarmonyDialect, HarmonyGrammars], text: str
) -> None:
    dialect, grammars = harmony
    assert not accepts(grammars.turn(GENERIC, Prompt(()), 4000), dialect.encode(text))


def test_reasoning_leaves_room_for_the_answer(
    harmony: tuple[HarmonyDialect, HarmonyGrammars],
) -> None:
    dialect, grammars = harmony
    think = dialect.encode("<|channel|>analysis<|message|>")
    constraint = grammars.turn(GENERIC, Prompt(()), 200).begin(think)
    word = dialect.encode(" so")[0]
    count = 0
    while constraint.allowed()[word]:
        constraint.take(word)
        count += 1
    end = dialect.encode("<|end|>")[0]
    assert 50 < count <= 100
    assert np.flatnonzero(constraint.allowed()).tolist() == [end]


def test_a_turn_that_was_cut_goes_on_where_it_was(
    harmony: tuple[HarmonyDialect, HarmonyGrammars],
) -> None:
    dialect, grammars = harmony
    written = dialect.encode("<|channel|>analysis<|message|>Hm<|end|><|start|>assistant")
    constraint = grammars.turn(GENERIC, Prompt(()), 200).begin(written)
    assert constraint.allowed()[CHANNEL]
    assert not constraint.allowed()[CALL]


def test_what_a_grammar_cannot_follow_is_free(
    harmony: tuple[HarmonyDialect, HarmonyGrammars],
) -> None:
    constraint = harmony[1].turn(GENERIC, Prompt(()), 200).begin([CALL])
    assert constraint.broken
    assert constraint.allowed() is None


async def test_a_schema_beyond_grammars_is_told_and_its_tool_takes_any_object(
    harmony: tuple[HarmonyDialect, HarmonyGrammars],
) -> None:
    odd = ToolSpec("odd", "Odd.", {"type": "object", "properties": {"a": {"not": {}}}})
    assert list(inexpressible([*GENERIC, odd])) == ["odd"]
    said = open_local("x/y", ModelSettings()).remarks([odd])
    assert "the arguments of odd are not held to their schema" in said[0]
    assert not open_local("x/y", ModelSettings(grammar="off")).remarks([odd])
    dialect, grammars = harmony
    text = '<|channel|>commentary to=functions.odd <|constrain|>json<|message|>{"b": [1]}<|call|>'
    assert accepts(grammars.turn([odd], Prompt(()), 4000), dialect.encode(text))


# Models whose calls stand in the text.


def tags(template: str) -> tuple[TemplateDialect, TagGrammars]:
    tokenizer = tiny.tokenizer(template)
    dialect = TemplateDialect(tokenizer, frozenset())
    return dialect, TagGrammars(dialect, tokenizer, 259)


CALLED = '{"name": "read_file", "arguments": {"path":"a.py"}}'


@pytest.mark.parametrize(
    ("template", "good", "bad"),
    [
        (
            tiny.TEMPLATE,
            [
                f"I look.<tool_call>\n{CALLED}\n</tool_call>",
                f"<tool_call>\n{CALLED}\n</tool_call>\n<tool_call>\n{CALLED}\n</tool_call>",
                f"<think>No <tool_call>.</think>So <tool_call>\n{CALLED}\n</tool_call>",
                "Just words < and { and [TOOL_CALLS].",
            ],
            [
                f"<tool_call>{CALLED}</tool_call>",
                f"<tool_call>\n{CALLED.replace('read', 'reed')}\n</tool_call>",
                f"<tool_call>\n{CALLED.replace('path', 'way')}\n</tool_call>",
                f"<tool_call>\n{CALLED}\n</tool_call> It says",
                "<think>Hm.</think>",
                "",
            ],
        ),
        (
            PLAIN,
            [f"I look:\n```json\n{CALLED}\n```", "Just ``` and ```python\npass\n```"],
            [f"```json\n{CALLED}\n```\nIt says", "```json\n{}\n```"],
        ),
        (BARE, [CALLED, "Words with {"], ["{}", CALLED + "\n" + CALLED]),
    ],
    ids=["tags", "plain", "bare"],
)
def test_calls_in_the_text_are_exact_and_the_rest_is_free(
    template: str, good: list[str], bad: list[str]
) -> None:
    dialect, grammars = tags(template)
    grammar = grammars.turn(GENERIC, Prompt(()), 4000)
    assert grammar
    stop = min(dialect.stop_ids)
    for text in good:
        assert accepts(grammar, [*dialect.encode(text), stop]), text
    for text in bad:
        assert not accepts(grammar, [*dialect.encode(text), stop]), text


def test_reasoning_that_the_prompt_opened_may_name_a_tag() -> None:
    dialect, grammars = tags(tiny.TEMPLATE)
    grammar = grammars.turn(GENERIC, Prompt((), thinking=True), 4000)
    assert grammar
    text = f"No <tool_call> yet.</think><tool_call>\n{CALLED}\n</tool_call>"
    assert accepts(grammar, [*dialect.encode(text), min(dialect.stop_ids)])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('[TOOL_CALLS]greenroom_probe[ARGS]{"greenroom_key": "value"}', "[TOOL_CALLS]"),
        (
            '<think>\n\n</think>\n\n<tool_call>\n{"name": "greenroom_probe", "arguments":'
            ' {"greenroom_key": "value"}}\n</tool_call>',
            "<tool_call>",
        ),
        ("<tool_call>\n<function=greenroom_probe>\n<parameter=greenroom_key>\nvalue", None),
        ('[TOOL_CALLS][{"name": "greenroom_probe", "arguments": {"greenroom_key": "value"},'
         ' "id": "call00001"}]', None),
        ("", None),
    ],
)  # fmt: skip
def test_forms_of_calls_are_learned_from_templates(text: str, form: str | None) -> None:
    found = CallForm.of(text)
    assert (found.trigger if found else None) == form


def test_a_template_that_opens_the_reasoning_still_shows_its_form() -> None:
    opened = tiny.TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    form = call_form(tags(opened)[0])
    assert form
    assert form.trigger == "<tool_call>"


def test_a_template_without_a_known_form_has_no_grammar() -> None:
    dialect, grammars = tags(tiny.TEMPLATE.replace("arguments | tojson", "name"))
    assert call_form(dialect) is None
    assert grammars.turn(GENERIC, Prompt(()), 4000) is None


@pytest.mark.parametrize("template", [tiny.TEMPLATE, PLAIN], ids=["tags", "plain"])
async def test_random_weights_call_tools_in_tags_rightly_once_they_begin_to(
    tmp_path: Path, template: str
) -> None:
    from agent.models.generation import Generator
    from agent.models.source import Request

    dialect, grammars = tags(template)
    generator = Generator(tiny.llama(), dialect.stop_ids)
    begun = dialect.encode("<tool_call>" if dialect.takes_tools else "```json\n")
    for seed in range(2):
        grammar = grammars.turn(GENERIC, Prompt(()), 4000)
        ids = (*dialect.encode("<|im_start|>"), *begun)
        request = Request(ids, 4000, 1.0, 1.0, seed, len(begun), grammar)
        parser = dialect.parser((), GENERIC, Prompt(()))
        made = [item async for item in generator.stream(request) if isinstance(item, int)]
        for token in [*begun, *made]:
            parser.feed(token)
        parser.close()
        calls = parser.parsed().calls
        assert calls
        assert not parser.parsed().problem
        for call in calls:
            schema = next(tool.parameters for tool in GENERIC if tool.name == call.name)
            jsonschema.validate(json.loads(call.arguments), schema)
    await generator.close()
