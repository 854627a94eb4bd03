"""What models in this process cost: caches, grammars, candidates. Medians of one run, as a table.

    python -m benchmarks.models [--only reuse] [--turns 500] [--small-turns 200] [--json FILE]
    python -m benchmarks.models --gpu [--shrink 16] [--json FILE]

With --gpu: a model of gpt-oss-20b's shape with random weights in bf16 on this machine's card (80
GB), within some 4 minutes; it needs torch, transformers and this checkout. Each line is printed as
it comes, and the JSON file written anew with it. Exits with 1 when a bound is missed.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.table import HEAD, Row

PARTS = ("reuse", "random", "grammar", "small", "candidates", "lookup")
TURNS = 30
#: Words of a tool's result in the long conversation.
RESULT = 120


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def short_tools(name: str) -> list[Any]:
    """A toolset whose texts are short: random weights would write on and on."""
    from tools.tool import Toolbox  # noqa: PLC0415
    from tools.toolsets import toolset  # noqa: PLC0415

    specs = Toolbox(toolset(name).tools).specs
    return [replace(spec, parameters=_short(spec.parameters)) for spec in specs]


def _short(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    made = {key: _short(value) for key, value in schema.items()}
    bounds = {"string": {"maxLength": 16}, "array": {"maxItems": 2}, "number": {"type": "integer"}}
    return made | bounds.get(str(made.get("type")), {})


def tiny_gpt_oss() -> Any:
    from tests.agent.models import tiny  # noqa: PLC0415

    return tiny.gpt_oss(sliding_window=128)


async def taken(generator: Any, request: Any) -> tuple[list[int], int, float, float]:
    """A turn: its tokens, how many of the prompt's were cached, seconds to the first one and in
    all."""
    began = time.perf_counter()
    made: list[int] = []
    cached, first = 0, 0.0
    async for item in generator.stream(request):
        if isinstance(item, int):
            first = first or time.perf_counter() - began
            made.append(item)
        else:
            cached = item.tokens
    return made, cached, first, time.perf_counter() - began


async def reuse(options: argparse.Namespace) -> AsyncIterator[Row]:
    """A conversation of 30 turns, each a call and its result, against one rendered anew."""
    import torch  # noqa: PLC0415

    from agent.conversation import AssistantMessage, SystemMessage, ToolMessage, UserMessage  # noqa: PLC0415
    from agent.models.generation import Generator  # noqa: PLC0415
    from agent.models.grammar import Grammar  # noqa: PLC0415
    from agent.models.harmony import HarmonyDialect  # noqa: PLC0415
    from agent.models.harmony_grammar import HarmonyGrammars  # noqa: PLC0415
    from agent.models.source import Request  # noqa: PLC0415

    model, dialect, tools = tiny_gpt_oss(), HarmonyDialect(), short_tools("gpt-oss")
    kept = Generator(model, dialect.stop_ids)
    grammars = HarmonyGrammars(201_088)
    conversation: list[Any] = [SystemMessage("Mend it."), UserMessage("The tests fail.")]
    read = new = 0
    known, same = 1, True
    mine: list[float] = []
    stock: list[float] = []
    for turn in range(TURNS):
        prompt = dialect.prompt(conversation, tools, None)
        # Without an answer: random weights would end the conversation by it.
        whole = grammars.turn(tools, prompt, 200)
        grammar = Grammar(whole.vocabulary, whole.text.replace("(final | ", "("))
        request = Request(prompt.ids, 400, 1.0, 1.0, turn, 0, grammar)
        made, cached, first, _ = await taken(kept, request)
        read, new = read + len(prompt.ids) - cached, new + len(prompt.ids) - (known - 1)
        known = len(prompt.ids) + len(made)
        mine.append(first)
        ids = torch.tensor([prompt.ids])
        began = time.perf_counter()
        with torch.inference_mode():
            model.generate(ids, max_new_tokens=1, do_sample=False, pad_token_id=199_999)
        stock.append(time.perf_counter() - began)
        if turn % 10 == 9:
            fresh = Generator(model, dialect.stop_ids)
            same &= (await taken(fresh, request))[0] == made
            await fresh.close()
            note(f"turn {turn + 1}: {len(prompt.ids)} tokens, {stock[-1] / mine[-1]:.0f}x")
        parser = dialect.parser(conversation, tools, prompt)
        for token in made:
            parser.feed(token)
        parser.close()
        said = parser.parsed()
        conversation.append(AssistantMessage(said.text, said.reasoning, said.calls, tuple(made)))
        result = " ".join(f"line {n} of {turn}" for n in range(RESULT // 4))
        conversation += [ToolMessage(call.id, call.name, result) for call in said.calls]
    await kept.close()
    yield Row(
        "30 turns: tokens read for each new token",
        read / new,
        "",
        1.0,
        met=same,
        ratio="the same tokens as a fresh run" if same else "other tokens than a fresh run",
    )
    at = [f"{sum(stock[:n]) / sum(mine[:n]):.1f}x by turn {n}" for n in (10, 20, TURNS)]
    yield Row(
        "to the first token, all turns",
        sum(mine),
        "s",
        met=sum(stock) >= 8 * sum(mine),
        ratio=f"less than `generate` anew: {', '.join(at)}",
    )


async def random_turns(options: argparse.Namespace) -> AsyncIterator[Row]:
    """Random weights under the grammar of harmony."""
    from agent.conversation import UserMessage  # noqa: PLC0415
    from agent.models.generation import Generator  # noqa: PLC0415
    from agent.models.harmony import HarmonyDialect  # noqa: PLC0415
    from agent.models.harmony_grammar import HarmonyGrammars  # noqa: PLC0415
    from agent.models.source import Request  # noqa: PLC0415

    dialect, grammars = HarmonyDialect(), HarmonyGrammars(201_088)
    generator = Generator(tiny_gpt_oss(), dialect.stop_ids)
    for name in ("gpt-oss", "generic"):
        tools = short_tools(name)
        prompt = dialect.prompt([UserMessage("Hello")], tools, None)
        grammar = grammars.turn(tools, prompt, 120)
        count = options.turns // 2
        requests = [Request(prompt.ids, 400, 1.0, 1.0, n, 0, grammar) for n in range(count)]
        turns = await _together(generator, requests)
        found = [judged(dialect, tools, prompt, turn) for turn in turns]
        called = [good for good in found if good is not None]
        note(f"{name}: {len(called)} of {count} turns call a tool")
        yield Row(
            f"random weights, {count} turns, {name}: valid calls",
            100 * sum(called) / max(1, len(called)),
            "%",
            least=100,
            ratio=f"{len(called)} turns with a call",
        )
    await generator.close()


async def _together(generator: Any, requests: Sequence[Any], group: int = 25) -> list[list[int]]:
    """Turns from one prompt, some side by side."""
    made: list[list[int]] = [
        [*request.ids[len(request.ids) - request.begun :]] for request in requests
    ]
    for start in range(0, len(requests), group):
        async for number, item in generator.several(requests[start : start + group]):
            if isinstance(item, int):
                made[start + number].append(item)
    return made


def judged(dialect: Any, tools: Sequence[Any], prompt: Any, tokens: Sequence[int]) -> bool | None:
    """Whether the turn's calls are such that a tool can be run; None for a turn without any."""
    import jsonschema  # noqa: PLC0415

    parser = dialect.parser((), tools, prompt)
    for token in tokens:
        parser.feed(token)
    parser.close()
    parsed = parser.parsed()
    if not parsed.calls:
        return False if parsed.problem else None
    schemas = {tool.name: tool.parameters for tool in tools}
    try:
        for call in parsed.calls:
            jsonschema.validate(json.loads(call.arguments), schemas[call.name])
    except (ValueError, KeyError, jsonschema.ValidationError):
        return False
    return not parsed.problem


class Small:
    """SmolLM2, the plain-text protocol, and a prompt that asks for a call."""

    def __init__(self) -> None:
        from agent.conversation import SystemMessage, UserMessage  # noqa: PLC0415
        from agent.models.generation import Generator  # noqa: PLC0415
        from agent.models.tag_grammar import TagGrammars  # noqa: PLC0415
        from agent.models.templates import TemplateDialect  # noqa: PLC0415
        from agent.models.weights import load_embedded  # noqa: PLC0415
        from tools.tool import Toolbox  # noqa: PLC0415
        from tools.toolsets import toolset  # noqa: PLC0415

        self.model, self.tokenizer = load_embedded(note)
        self.dialect = TemplateDialect(self.tokenizer, frozenset())
        self.tools = Toolbox(toolset("generic").tools).specs
        conversation = [SystemMessage("You mend code with tools."), UserMessage("Read door.py.")]
        self.prompt = self.dialect.prompt(conversation, self.tools, None)
        self.generator = Generator(self.model, self.dialect.stop_ids)
        grammars = TagGrammars(self.dialect, self.tokenizer, self.model.config.vocab_size)
        self.grammar = grammars.turn(self.tools, self.prompt, 100)


async def grammar_cost(options: argparse.Namespace) -> AsyncIterator[Row]:
    """What the grammar adds to a token, beside the step that computes it."""
    import torch  # noqa: PLC0415

    from agent.models.sampling import _masked  # noqa: PLC0415
    from agent.models.source import Request  # noqa: PLC0415

    small = Small()
    began = time.perf_counter()
    small.grammar.vocabulary.tokenizer  # noqa: B018 - made once for a model
    loaded = time.perf_counter() - began
    plain = Request(small.prompt.ids, 25, 0.0)
    await taken(small.generator, plain)
    _, _, first, whole = await taken(small.generator, plain)
    step = (whole - first) / 24 * 1000
    call = '```json\n{"name": "read_file", "arguments": {"path": "src/door.py"}}\n```'
    ids = small.dialect.encode(f"I will look at the file that the failing test imports.\n{call}")
    scores = torch.randn(1, small.model.config.vocab_size)
    times, built = [], []
    for _ in range(options.rounds):
        began = time.perf_counter()
        constraint = small.grammar.begin()
        built.append(time.perf_counter() - began)
        for token in ids:
            began = time.perf_counter()
            _masked(scores, constraint.allowed())
            constraint.take(token)
            times.append(time.perf_counter() - began)
    cost = statistics.median(times) * 1000
    yield Row(
        "grammar, a token, SmolLM2",
        cost * 1000,
        "µs",
        met=cost <= step / 100,
        ratio=f"{100 * cost / step:.2g}% of a step of {step:.0f} ms (at most 1%)",
    )
    yield Row(
        "grammar, a turn's beginning",
        statistics.median(built) * 1000,
        "ms",
        ratio=f"once for a model: {loaded:.1f} s",
    )


async def small_turns(options: argparse.Namespace) -> AsyncIterator[Row]:
    """Calls that SmolLM2 has begun, held to the grammar and not."""
    from agent.models.source import Request  # noqa: PLC0415

    small = Small()
    begun = small.dialect.encode("```json\n")
    ids = (*small.prompt.ids, *begun)
    for grammar in (small.grammar, None):
        requests = [
            Request(ids, 300, 1.0, 1.0, n, len(begun), grammar) for n in range(options.small_turns)
        ]
        turns = await _together(small.generator, requests, 20)
        # What the output's limit cut is no call, right or wrong.
        whole = [turn for turn in turns if turn[-1] in small.dialect.stop_ids]
        good = sum(bool(judged(small.dialect, small.tools, small.prompt, turn)) for turn in whole)
        held = "held to the grammar" if grammar else "free"
        yield Row(
            f"SmolLM2, calls begun, {held}: valid",
            100 * good / max(1, len(whole)),
            "%",
            least=100 if grammar else None,
            ratio=f"{good} of {len(whole)}; {len(turns) - len(whole)} reached the limit",
        )


async def candidates(options: argparse.Namespace) -> AsyncIterator[Row]:
    """Eight continuations at once, against one after the other on the same cache."""
    from agent.models.source import Request  # noqa: PLC0415

    small = Small()
    requests = [Request(small.prompt.ids, 32, 1.0, 1.0, n) for n in range(8)]
    await taken(small.generator, replace(requests[0], max_tokens=1))
    apart, together = [], []
    for _ in range(options.rounds):
        began = time.perf_counter()
        alone = [(await taken(small.generator, request))[0] for request in requests]
        apart.append(time.perf_counter() - began)
        began = time.perf_counter()
        made = await _together(small.generator, requests)
        together.append(time.perf_counter() - began)
    ratio = statistics.median(together) / statistics.median(apart)
    same = sum(a == b for a, b in zip(alone, made, strict=True))
    yield Row(
        "8 candidates of 32 tokens, SmolLM2",
        statistics.median(together),
        "s",
        met=ratio <= 0.5,
        ratio=f"{ratio:.2f} of 8 calls on one cache (at most 0.5); {same} of 8 the same",
    )


async def lookup(options: argparse.Namespace) -> AsyncIterator[Row]:
    """The library's prompt-lookup decoding on a text that is mostly copied."""
    import torch  # noqa: PLC0415

    small = Small()
    source = Path(__file__).with_name("table.py").read_text("utf-8")[:1200]
    text = f"The file:\n{source}\nThe same file, with bound renamed to limit:\n{source[:300]}"
    ids = torch.tensor([small.dialect.encode(text)])
    seconds: dict[int, list[float]] = {0: [], 3: [], 5: [], 10: []}
    made: dict[int, list[int]] = {}
    for _ in range(max(1, options.rounds // 3)):
        for tokens, times in seconds.items():
            more = {"prompt_lookup_num_tokens": tokens} if tokens else {}
            began = time.perf_counter()
            with torch.inference_mode():
                out = small.model.generate(
                    ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=96,
                    do_sample=False,
                    **more,
                )
            times.append(time.perf_counter() - began)
            made[tokens] = out[0].tolist()
    plain = statistics.median(seconds[0])
    for tokens in (3, 5, 10):
        own = statistics.median(seconds[tokens])
        exact = "the same text" if made[tokens] == made[0] else "another text"
        yield Row(
            f"prompt lookup of {tokens} tokens, a copied text",
            own,
            "s",
            ratio=f"{plain / own:.2f}x faster than without; {exact}",
        )


MEASURES = dict(zip(PARTS, (reuse, random_turns, grammar_cost, small_turns, candidates, lookup),
                    strict=True))  # fmt: skip


async def measure(options: argparse.Namespace) -> bool:
    rows: list[Row] = []
    print(HEAD, flush=True)
    for part in options.only or PARTS:
        async for row in MEASURES[part](options):
            rows.append(row)
            print(row.line(), flush=True)
            if options.json:
                options.json.write_text(json.dumps([asdict(each) for each in rows], indent=1))
    return all(row.holds for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=100, help="of random weights")
    parser.add_argument("--small-turns", type=int, default=20, help="of SmolLM2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also written here")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--shrink", type=int, default=1, help="with --gpu: divide the sizes by it")
    parser.add_argument("--seconds", type=float, default=230, help="with --gpu: bound of the run")
    options = parser.parse_args()
    if options.gpu:
        from benchmarks.models_on_gpu import run  # noqa: PLC0415

        return run(options.shrink, options.seconds, options.json)
    return 0 if asyncio.run(measure(options)) else 1


if __name__ == "__main__":
    sys.exit(main())
