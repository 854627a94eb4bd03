"""A random-weight model of gpt-oss-20b's shape on one card: reading, writing, and a conversation
of 30 turns to 32k tokens on a cache. See benchmarks/models.py.
"""

import asyncio
import importlib.util
import json
import random
import sys
import time
import types
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.table import HEAD, Row

TURNS = 30
#: Tokens of the whole conversation, and of what the model writes in a turn.
LENGTH, WRITTEN = 32_768, 32
_EXPERTS = ("grouped_mm", "eager")


def run(shrink: int, seconds: float, output: Path | None) -> int:
    """Prints the table as it grows, and writes it to `output`; what does not begin within `seconds`
    is left out. Returns an exit status."""
    _stand_in()
    return 0 if asyncio.run(_measure(shrink, time.monotonic() + seconds, output)) else 1


def _stand_in() -> None:
    """Puts nothing where the package is that only checks calls: a lent machine has torch and
    transformers, and often no more."""
    if importlib.util.find_spec("jsonschema") is None:
        outer, inner = types.ModuleType("jsonschema"), types.ModuleType("jsonschema.exceptions")
        for name in ("Draft202012Validator", "SchemaError", "ValidationError"):
            setattr(outer, name, type(name, (Exception,), {}))
            setattr(inner, name, getattr(outer, name))
        sys.modules |= {"jsonschema": outer, "jsonschema.exceptions": inner}


class Bench:
    """The model, and prompts of any tokens."""

    def __init__(self, shrink: int) -> None:
        import torch  # noqa: PLC0415

        from benchmarks.plan_on_gpu import build, configuration  # noqa: PLC0415

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.where = torch.cuda.get_device_name() if self.device == "cuda" else "the CPU"
        self.length = LENGTH // shrink
        began = time.monotonic()
        self.model = build(configuration("gpt-oss-20b", shrink), self.device)
        self.built = time.monotonic() - began
        self.size = sum(part.numel() * part.element_size() for part in self.model.parameters())
        self._random = random.Random(1)  # noqa: S311 - any tokens do
        self._top = self.model.config.vocab_size - 1

    def tokens(self, count: int) -> list[int]:
        return [self._random.randrange(self._top) for _ in range(count)]

    def generator(self) -> Any:
        """A new one: it has no cache. No token stops it."""
        from agent.models.generation import Generator  # noqa: PLC0415

        return Generator(self.model, (), 16 << 30)


async def ask(generator: Any, ids: list[int], count: int) -> tuple[list[int], int, float, float]:
    """A turn: its tokens, how many of the prompt's were cached, seconds to the first one and
    after it."""
    from agent.models.source import Request  # noqa: PLC0415

    began, first = time.perf_counter(), 0.0
    made: list[int] = []
    cached = 0
    async for item in generator.stream(Request(ids, count, 0.0)):
        if isinstance(item, int):
            first = first or time.perf_counter() - began
            made.append(item)
        else:
            cached = item.tokens
    return made, cached, first, time.perf_counter() - began - first


async def experts(bench: Bench) -> AsyncIterator[Row]:
    """Which way to compute experts is the fastest; the model keeps that one."""
    speeds: dict[str, float] = {}
    for name in _EXPERTS:
        try:
            bench.model.set_experts_implementation(name)
            generator = bench.generator()
            await ask(generator, bench.tokens(600), 4)
            _, _, _, rest = await ask(generator, bench.tokens(600), 33)
        # A kernel that this card or build lacks can fail in any way.
        except Exception as error:
            yield Row(f"experts by {name}", 0, "tokens/s", ratio=str(error).splitlines()[0][:90])
            continue
        await generator.close()
        speeds[name] = 32 / rest
        yield Row(f"writing at 600 tokens, experts by {name}", speeds[name], "tokens/s")
    bench.model.set_experts_implementation(max(speeds, key=lambda name: speeds[name]))


async def reading(bench: Bench) -> AsyncIterator[Row]:
    for length in (bench.length // 16, bench.length // 4):
        generator = bench.generator()
        _, _, first, rest = await ask(generator, bench.tokens(length), 17)
        yield Row(f"reading {length} tokens", length / first, "tokens/s")
        yield Row(f"writing at {length} tokens", 16 / rest, "tokens/s")
        await generator.close()


async def conversation(bench: Bench) -> AsyncIterator[Row]:
    """30 turns on a cache, against the last prompt read anew."""
    generator = bench.generator()
    ids = bench.tokens(bench.length // TURNS)
    read = new = known = 0
    firsts, rests = [], []
    made: list[int] = []
    for _ in range(TURNS):
        made, cached, first, rest = await ask(generator, ids, WRITTEN)
        read, new = read + len(ids) - cached, new + len(ids) - max(0, known - 1)
        known = len(ids) + len(made)
        firsts.append(first)
        rests.append(rest)
        last = ids
        ids = [*ids, *made, *bench.tokens(max(1, bench.length // TURNS - len(made)))]
    size = sum(held.size for held in generator._caches._held)
    await generator.close()
    yield Row(f"30 turns to {len(last)} tokens: read for each new token", read / new, "", 1.0)
    yield Row("their reading", sum(firsts), "s", ratio=f"the last turn {firsts[-1]:.2f} s")
    yield Row(f"writing at {len(last)} tokens", (WRITTEN - 1) / rests[-1], "tokens/s")
    yield Row("the cache then", size / 1e9, "GB")
    fresh = bench.generator()
    again, _, first, _ = await ask(fresh, last, WRITTEN)
    await fresh.close()
    same = next((n for n, (a, b) in enumerate(zip(made, again, strict=True)) if a != b), WRITTEN)
    yield Row("the last prompt read anew", first, "s",
              ratio=f"{first / firsts[-1]:.1f}x the last turn's reading; the first {same} of"
              f" {WRITTEN} tokens the same (16 bits: not all sums are)")  # fmt: skip


async def side_by_side(bench: Bench) -> AsyncIterator[Row]:
    from agent.models.source import Request  # noqa: PLC0415

    generator, ids = bench.generator(), bench.tokens(bench.length // 8)
    _, _, _, alone = await ask(generator, ids, 33)
    began = time.perf_counter()
    async for _ in generator.several([Request(ids, 33, 1.0, 1.0, n) for n in range(8)]):
        pass
    together = time.perf_counter() - began
    await generator.close()
    yield Row("8 candidates of 33 tokens", together, "s",
              ratio=f"{together / (8 * alone * 33 / 32):.2f} of 8 calls on one cache")  # fmt: skip


async def _measure(shrink: int, deadline: float, output: Path | None) -> bool:
    import torch  # noqa: PLC0415

    bench = Bench(shrink)
    print(f"gpt-oss-20b's shape, sizes divided by {shrink}, bf16, on {bench.where}, torch"
          f" {torch.__version__}\n\n{HEAD}", flush=True)  # fmt: skip
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        print(row.line(), flush=True)
        if output:
            data = {"on": bench.where, "shrink": shrink, "rows": [asdict(each) for each in rows]}
            output.write_text(json.dumps(data, indent=1))

    add(Row("weights", bench.size / 1e9, "GB", ratio=f"made in {bench.built:.1f} s"))
    for part in (experts, reading, conversation, side_by_side):
        if time.monotonic() > deadline:
            print(f"out of time before: {part.__name__}", file=sys.stderr, flush=True)
            break
        async for row in part(bench):
            add(row)
    if bench.device == "cuda":
        add(Row("memory, at most", torch.cuda.max_memory_allocated() / 1e9, "GB"))
    return all(row.holds for row in rows)
