"""Tokens from a causal model, one after the other, while a thread computes them.

The KV cache outlives a turn: the next one computes what its prompt adds to the longest common
prefix, and nothing else. One generation runs at a time; the next waits for it.
"""

import asyncio
import copy
import os
import threading
from collections.abc import AsyncGenerator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from agent.models.base import ModelError
from agent.models.source import Request, Reused

#: Tokens of one forward pass over a prompt: attention over a long prompt at once takes memory by
#: the square of its length, and a stop is noticed between two passes.
_CHUNK = 512
#: Kinds of layers whose cache can be cut at any length.
_CROPPABLE = frozenset({"full_attention", "sliding_attention"})


@dataclass
class _Run:
    """One generation as the thread and the event loop share it."""

    loop: asyncio.AbstractEventLoop
    items: asyncio.Queue[int | Reused | None] = field(default_factory=asyncio.Queue)
    stopped: threading.Event = field(default_factory=threading.Event)

    def put(self, item: int | Reused) -> None:
        try:
            self.loop.call_soon_threadsafe(self.items.put_nowait, item)
        except RuntimeError:  # the event loop is closed, so nobody listens
            self.stopped.set()


class Generator:
    """One causal model of transformers, as a source of tokens."""

    def __init__(self, model: Any, stop_ids: Collection[int]) -> None:
        self._model = model
        self._stop_ids = sorted(stop_ids)
        self._executor = ThreadPoolExecutor(1, "greenroom-model")
        self._reusable = _is_croppable(model)
        self._cache: Any = None
        self._held: list[int] = []

    async def stream(self, request: Request) -> AsyncGenerator[int | Reused, None]:
        """How much of the prompt was in the cache, then the model's tokens, one that stops it
        included. Closing it stops the computation before the next token. Raises ModelError, shown
        to the user, when memory runs out."""
        run = _Run(asyncio.get_running_loop())
        work = run.loop.run_in_executor(self._executor, self._work, request, run)
        work.add_done_callback(lambda _: run.items.put_nowait(None))
        try:
            while (item := await run.items.get()) is not None:
                yield item
            await work
        finally:
            run.stopped.set()
            await asyncio.wait([work])

    async def close(self) -> None:
        """Lets go of the model and the cache. Safe to call twice."""
        await asyncio.to_thread(self._executor.shutdown)
        self._model = self._cache = None
        self._held = []

    def _work(self, request: Request, run: _Run) -> None:
        """Runs in the thread."""
        import torch  # noqa: PLC0415

        seed = int.from_bytes(os.urandom(7)) if request.seed is None else request.seed
        try:
            with torch.inference_mode(), torch.random.fork_rng(devices=_devices()):
                torch.manual_seed(seed)
                self._compute(request, run)
        except BaseException as error:
            # The cache may hold anything now, whatever the reason was.
            self._cache, self._held = None, []
            if _is_shortage(error):
                raise ModelError(
                    f"memory ran out while the model read {len(request.ids)} tokens and wrote on:"
                    f" {str(error).splitlines()[0]}",
                    "Give a smaller --context-window, or take a smaller model.",
                ) from error
            raise

    def _compute(self, request: Request, run: _Run) -> None:
        import torch  # noqa: PLC0415

        ids = list(request.ids)
        more: dict[str, Any] = {}
        if self._reusable:
            run.put(Reused(self._prepare_cache(ids)))
            self._prefill(ids, run)
            more["past_key_values"] = self._cache
        if run.stopped.is_set():
            return
        whole = torch.tensor([ids], device=self._model.device)
        made = self._model.generate(
            whole,
            attention_mask=torch.ones_like(whole),
            generation_config=self._configuration(request),
            streamer=_streamer(run, len(ids)),
            stopping_criteria=_stoppers(run),
            **more,
        )
        if self._reusable:
            # The model never read the last token, so the cache lacks it.
            self._held = made[0].tolist()[: self._cache.get_seq_length()]

    def _prepare_cache(self, ids: Sequence[int]) -> int:
        """Leaves in the cache what the new prompt begins with, but never all of the prompt: its
        last token has to be read to tell what follows. Returns how many tokens that is."""
        from transformers import DynamicCache  # noqa: PLC0415

        common = 0
        for held, wanted in zip(self._held, ids[:-1], strict=False):
            if held != wanted:
                break
            common += 1
        if self._cache is None or common == 0:
            # Not the model's own kind of cache: that forgets what left a sliding window, and could
            # not be cut.
            self._cache = DynamicCache()
        elif surplus := self._cache.get_seq_length() - common:
            self._cache.crop(-surplus)
        self._held = list(ids[:common])
        return common

    def _prefill(self, ids: Sequence[int], run: _Run) -> None:
        """Reads the prompt into the cache, all but its last token, unless it is stopped."""
        import torch  # noqa: PLC0415

        end = len(ids) - 1
        for start in range(len(self._held), end, _CHUNK):
            if run.stopped.is_set():
                return
            part = list(ids[start : min(start + _CHUNK, end)])
            self._model(
                torch.tensor([part], device=self._model.device),
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
            self._held += part

    def _configuration(self, request: Request) -> Any:
        made = copy.deepcopy(self._model.generation_config)
        made.max_length = None
        made.max_new_tokens = request.max_tokens
        made.eos_token_id = self._stop_ids
        if made.pad_token_id is None:
            made.pad_token_id = self._stop_ids[0]
        if request.temperature == 0:
            made.do_sample, made.temperature, made.top_p, made.top_k = False, None, None, None
            return made
        if request.temperature is not None:
            made.do_sample, made.temperature = True, request.temperature
        if request.top_p is not None:
            made.top_p = request.top_p
        if made.do_sample and made.top_k is None:
            made.top_k = 0  # else the library keeps the 50 likeliest, which nobody asked for
        return made


def _is_croppable(model: Any) -> bool:
    """Whether the model's cache can be cut back to a prefix. Recurrent layers keep a state that
    cannot; their models read each prompt from its start."""
    config = model.config.get_text_config(decoder=True)
    kinds = set(getattr(config, "layer_types", None) or _CROPPABLE)
    return kinds <= _CROPPABLE and not model._is_stateful


def _devices() -> list[int]:
    import torch  # noqa: PLC0415

    return list(range(torch.cuda.device_count()))


def _is_shortage(error: BaseException) -> bool:
    """Whether memory ran out; torch has a class for that on a GPU only."""
    import torch  # noqa: PLC0415

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _streamer(run: _Run, prompt_length: int) -> Any:
    from transformers.generation import BaseStreamer  # noqa: PLC0415

    class Streamer(BaseStreamer):  # type: ignore[misc]  # its module is not typed
        """Hands on what follows the prompt, which the library puts first."""

        def __init__(self) -> None:
            self._skip = prompt_length

        def put(self, value: Any) -> None:
            tokens = value.flatten().tolist()
            new, self._skip = tokens[self._skip :], max(0, self._skip - len(tokens))
            for token in new:
                run.put(token)

        def end(self) -> None:
            """Nothing to do: the end of the thread's work is the end."""

    return Streamer()


def _stoppers(run: _Run) -> Any:
    import torch  # noqa: PLC0415
    from transformers import StoppingCriteriaList  # noqa: PLC0415

    def stop(ids: Any, _scores: Any, **_more: Any) -> Any:
        return torch.full((ids.shape[0],), run.stopped.is_set(), device=ids.device)

    return StoppingCriteriaList([stop])
