"""Tokens from a causal model, one after the other, while a thread computes them.

KV caches outlive a turn: the next one computes what its prompt adds to the longest prefix that any
cache has, and nothing else. Conversations take turns at the model, a few tokens at a time.
"""

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Collection, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from agent.models.base import ModelError
from agent.models.caches import Caches, Held, kind_of
from agent.models.prompt_lookup import Lookup
from agent.models.sampling import Row
from agent.models.source import Request, Reused
from agent.planning.memory import EAGER_SCORES

#: Tokens of one forward pass over a prompt: attention over a long prompt at once takes memory by
#: the square of its length, and a stop is noticed between two passes.
_CHUNK = 512
#: Eager attention keeps scores of each token that is read for each one before it: so many bytes a
#: head (7.0 GB were seen for 512 tokens after 32,768 with 64 heads). A pass may take EAGER_SCORES.
_SCORE, _LEAST_CHUNK = 6.6, 16
#: Tokens that a conversation computes before it is another one's turn.
_STEPS = 16
#: What caches may take together where nobody says.
_CACHE_BYTES = 4 << 30

Item = int | Reused


class _Run:
    """Continuations of one prompt, as the thread and the event loop share them. Each item is for
    one of them, by its number; those in `dropped` are not wanted any more."""

    def __init__(self, requests: Sequence[Request], dropped: Set[int]) -> None:
        self.ids = list(requests[0].ids)
        self.requests = requests
        self.dropped = dropped
        self.held: Held | None = None
        self.waiting = list(range(len(requests)))
        self.rows: dict[int, Row] = {}
        self.batch: Any = None
        self.lookup: Lookup | None = None
        self.stopped = threading.Event()
        self.items: asyncio.Queue[tuple[int, Item] | BaseException | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    @property
    def over(self) -> bool:
        return self.stopped.is_set() or not (self.rows or self.waiting)

    def put(self, item: tuple[int, Item] | BaseException | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self.items.put_nowait, item)
        except RuntimeError:  # the event loop is closed, so nobody listens
            self.stopped.set()


class Generator:
    """One causal model of transformers, as a source of tokens. `cache_bytes` is what the caches of
    all conversations may take; those in use may take more."""

    def __init__(
        self, model: Any, stop_ids: Collection[int], cache_bytes: int = _CACHE_BYTES
    ) -> None:
        self._model = model
        self._stop_ids = frozenset(stop_ids)
        self._executor = ThreadPoolExecutor(1, "greenroom-model")
        self._kind = kind_of(model, cache_bytes)
        self._guesses = self._kind == "plain" and not _has_experts(model)
        # Models that have nothing but states call it otherwise.
        named = "cache_params" in inspect.signature(model.forward).parameters
        self._argument = "cache_params" if named else "past_key_values"
        self._caches = Caches(model, self._kind, cache_bytes)
        eager = model.config._attn_implementation == "eager"
        text = model.config.get_text_config(decoder=True)
        self._eager_heads = getattr(text, "num_attention_heads", 0) if eager else 0

    async def stream(self, request: Request) -> AsyncGenerator[Item, None]:
        """How much of the prompt was in the cache, then the model's tokens, one that stops it
        included. Closing it stops the computation before the next token. Raises ModelError, shown
        to the user, when memory runs out."""
        async with aclosing(self.several([request])) as items:
            async for _, item in items:
                yield item

    async def several(
        self, requests: Sequence[Request], dropped: Set[int] = frozenset()
    ) -> AsyncGenerator[tuple[int, Item], None]:
        """What `stream` gives for requests that differ in their seed only, each with its number:
        the prompt is read once, and they are computed side by side as far as memory allows. Soon
        after a number is in `dropped`, nothing more is computed for it."""
        run = _Run(requests, dropped)
        self._submit(run)
        ended = False
        try:
            while (item := await run.items.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
            ended = True
        finally:
            run.stopped.set()
            while not ended:
                ended = await run.items.get() is None

    async def close(self) -> None:
        """Lets go of the model and the caches. Safe to call twice."""
        await asyncio.to_thread(self._executor.shutdown)
        self._model = None
        self._caches.clear()

    def _submit(self, run: _Run) -> None:
        try:
            self._executor.submit(self._work, run)
        except RuntimeError:  # it was closed
            run.put(None)

    def _work(self, run: _Run) -> None:
        """Goes on with a run for a moment, in the thread; the others have theirs before it has its
        next one."""
        import torch  # noqa: PLC0415

        try:
            with torch.inference_mode():
                self._advance(run)
        except BaseException as error:
            self._fail(run, error)
            return
        if not run.over:
            self._submit(run)
            return
        if run.held is not None:
            self._caches.give_back(run.held)
        run.put(None)

    def _fail(self, run: _Run, error: BaseException) -> None:
        # The cache may hold anything now, whatever the reason was.
        if run.held is not None:
            self._caches.drop(run.held)
        if _is_shortage(error):
            self._caches.drop_idle()
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            failure = ModelError(
                f"memory ran out while the model read {len(run.ids)} tokens and wrote on: {said}",
                "Give a smaller --context-window, or take a smaller model.",
            )
            failure.__cause__ = error
            error = failure
        run.put(error)
        run.put(None)

    def _advance(self, run: _Run) -> None:
        if run.held is None:
            same_turn = run.requests[0].begun > 0
            run.held = self._caches.take(run.ids[:-1], same_turn=same_turn)
            for number in run.waiting:
                run.put((number, Reused(len(run.held.ids))))
        if run.over:
            return
        if len(run.held.ids) < len(run.ids) - 1:
            self._read(run.held, run.ids)
            return
        if not run.rows:
            run.held.note(always=True)
            self._begin(run, run.held)
        for _ in range(_STEPS):
            self._leap(run, run.held) if run.lookup else self._step(run, run.held)
            if run.over or not run.rows:
                return

    def _read(self, held: Held, ids: list[int]) -> None:
        """Reads the next part of the prompt into the cache, all but its last token: that one has to
        be read to tell what follows."""
        start = len(held.ids)
        # A state cannot always be read on.
        size = len(ids) if self._kind == "state" else chunk_size(self._eager_heads, start)
        part = ids[start : min(start + size, len(ids) - 1)]
        self._forward([part], held.cache)
        held.ids += part
        held.note()
        self._caches.trim()

    def _begin(self, run: _Run, held: Held) -> None:
        """Makes rows of the continuations that come next, on a cache with a copy for each."""
        count = self._caches.rows(held, len(run.waiting))
        now, run.waiting = run.waiting[:count], run.waiting[count:]
        defaults, device = self._model.generation_config, self._model.device
        run.rows = {number: Row(run.requests[number], defaults, device) for number in now}
        run.batch = held.cache
        if len(run.requests) == 1 and self._guesses:
            run.lookup = Lookup(run.ids)
        if len(run.requests) > 1:
            run.batch = held.fork().cache
            self._select(run.batch, [0] * count)

    def _step(self, run: _Run, held: Held) -> None:
        """One more token for each row."""
        last = [row.tokens[-1:] or run.ids[-1:] for row in run.rows.values()]
        scores = self._forward(last, run.batch)[:, -1]
        if run.batch is held.cache:
            held.ids += last[0]
        going = []
        for place, (number, row) in enumerate(list(run.rows.items())):
            token = row.choose(scores[place : place + 1])
            run.put((number, token))
            if self._is_full(row) or number in run.dropped:
                del run.rows[number]
            else:
                going.append(place)
        if 0 < len(going) < len(last):
            self._select(run.batch, going)

    def _leap(self, run: _Run, held: Held) -> None:
        """One more token, and of those that are guessed to follow as many as are right."""
        ((number, row),) = run.rows.items()
        lookup = run.lookup or Lookup([])
        last = row.tokens[-1] if row.tokens else run.ids[-1]
        guess = lookup.guess()[: row.room - len(row.tokens) - 1]
        scores = self._forward([[last, *guess]], held.cache, len(guess) + 1)
        right, going = 0, True
        while going:
            token = row.choose(scores[:, right])
            run.put((number, token))
            if self._is_full(row):
                del run.rows[number]
                break
            going = right < len(guess) and guess[right] == token
            right += going
        held.ids += [last, *guess[:right]]
        if right < len(guess):
            held.cache.crop(right - len(guess))
        lookup.learn(len(guess), right)
        lookup.extend(row.tokens[len(row.tokens) - right - 1 :])

    def _is_full(self, row: Row) -> bool:
        return row.tokens[-1] in self._stop_ids or len(row.tokens) >= row.room

    def _select(self, cache: Any, rows: list[int]) -> None:
        """Makes a cache hold these of its rows, each as often as it is named."""
        import torch  # noqa: PLC0415

        cache.reorder_cache(torch.tensor(rows, device=self._model.device))

    def _forward(self, ids: list[list[int]], cache: Any, keep: int = 1) -> Any:
        """The scores for what follows each of the last `keep` tokens of each row of `ids`, which
        the cache then holds."""
        import torch  # noqa: PLC0415

        read = torch.tensor(ids, device=self._model.device)
        made = self._model(read, use_cache=True, logits_to_keep=keep, **{self._argument: cache})
        return made.logits[:, -keep:]


def _has_experts(model: Any) -> bool:
    """Whether tokens that are computed together may each need other weights: guesses would cost
    what they save."""
    config = model.config.get_text_config(decoder=True)
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    return any((getattr(config, name, None) or 0) > 1 for name in names)


def chunk_size(eager_heads: int, before: int) -> int:
    """Tokens to read in one pass after `before` others, with so many heads of eager attention."""
    if not eager_heads:
        return _CHUNK
    allowed = int(EAGER_SCORES / (_SCORE * eager_heads * (before + _CHUNK)))
    return max(_LEAST_CHUNK, min(_CHUNK, allowed))


def _is_shortage(error: BaseException) -> bool:
    """Whether memory ran out; torch has a class for that on a GPU only."""
    import torch  # noqa: PLC0415

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
