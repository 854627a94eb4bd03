"""vLLM in this process: its engine as a source of tokens, without a server between.

gpt-oss speaks harmony, every other model its tokenizer's chat template. vLLM keeps what it computed
(prefix caching), runs conversations side by side and spreads over GPUs; its engine arguments
are set by their own names.
"""

import asyncio
import dataclasses
import difflib
import itertools
import json
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from agent.models import extra, loading
from agent.models.base import Model, ModelError, ModelInfo
from agent.models.dialect import Dialect
from agent.models.dialects import dialect_of
from agent.models.settings import ModelSettings
from agent.models.source import Request, Reused, TokenSource
from agent.models.token_model import TokenModel
from sandbox.errors import SetupError, UsageError

#: No reports to vLLM's makers, nothing from the hub, and no more lines than what goes wrong.
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
#: What a model's own configuration may say on sampling.
_DEFAULTS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
_SHOWN_NAMES = 3
#: Seconds that the engine's processes have to end by themselves.
_ENDING = 10.0


def open_engine(name_or_path: str, settings: ModelSettings) -> Model:
    """The model in a folder, or of that name in the Hugging Face cache, run by vLLM. Raises
    UsageError for engine arguments that cannot be read."""
    return EngineModel(name_or_path, settings)


class EngineModel(TokenModel):
    """One model in an engine of its own. Several conversations share it and its prefixes."""

    most_at_once = 256

    def __init__(self, name: str, settings: ModelSettings) -> None:
        info = ModelInfo(name, "vllm-engine", context_window=settings.context_window)
        super().__init__(info, settings)
        self._arguments = read_arguments(settings.vllm_args)

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Starts the engine unless it runs. Raises SetupError, shown to the user, where vLLM or the
        model is not here, or the engine does not start."""
        if self._opened is None:
            say(f"loading the model {self.info.name} into vLLM")
        await self._ready()

    async def _open(self) -> tuple[TokenSource, Dialect]:
        os.environ.update({k: v for k, v in _ENVIRONMENT.items() if k not in os.environ})
        extra.check_vllm()
        try:
            weights, dialect, engine = await asyncio.to_thread(self._start)
        except ImportError as error:  # such as parts that were built for another torch
            raise SetupError(
                f"vLLM's packages cannot be used: {loading.first_line(error)}",
                extra.HOW_TO_INSTALL_VLLM,
            ) from error
        found = engine.model_config
        self.info = replace(
            self.info,
            revision=weights.revision,
            quantisation=found.quantization or str(found.dtype).removeprefix("torch."),
            server_version=_version(),
            context_window=found.max_model_len,
        )
        return EngineSource(engine, dialect.stop_ids), dialect

    def _start(self) -> tuple[loading.Weights, Dialect, Any]:
        weights, dialect = _find(self.info.name)
        given = {
            "model": str(weights.folder),
            # The dialect has a tokenizer of its own, and text is not asked for.
            "skip_tokenizer_init": True,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
        }
        if self._settings.context_window:
            given["max_model_len"] = self._settings.context_window
        return weights, dialect, _start(self.info.name, {**given, **self._arguments})


class EngineSource:
    """Tokens from a running `AsyncLLM`."""

    def __init__(self, engine: Any, stop_ids: frozenset[int]) -> None:
        self._engine = engine
        self._stop_ids = sorted(stop_ids)
        self._numbers = itertools.count(1)
        self._defaults = engine.model_config.get_diff_sampling_param()

    async def stream(self, request: Request) -> AsyncGenerator[int | Reused, None]:
        """The engine's tokens. Closing it aborts the request in the engine."""
        from vllm.inputs import tokens_input  # noqa: PLC0415

        prompt = tokens_input(prompt_token_ids=list(request.ids))
        number = f"greenroom-{next(self._numbers)}"
        answer = self._engine.generate(prompt, self._sampling(request), number)
        told = False
        try:
            async with aclosing(answer) as outputs:
                async for output in outputs:
                    if not told and output.num_cached_tokens is not None:
                        told = True
                        yield Reused(output.num_cached_tokens)
                    for token in output.outputs[0].token_ids:
                        yield token
        # What the engine raises differs from release to release.
        except Exception as error:
            raise ModelError(
                f"vLLM failed at {len(request.ids)} tokens: {loading.first_line(error)}",
                "Its own lines above say more. Less context (--context-window) takes less memory.",
            ) from error

    def _sampling(self, request: Request) -> Any:
        from vllm import SamplingParams  # noqa: PLC0415
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415

        wanted = {name: self._defaults[name] for name in _DEFAULTS if name in self._defaults}
        if request.temperature is not None:
            wanted["temperature"] = request.temperature
        if request.top_p is not None:
            wanted["top_p"] = request.top_p
        return SamplingParams(
            **wanted,
            max_tokens=request.max_tokens,
            seed=request.seed,
            stop_token_ids=self._stop_ids,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )

    async def close(self) -> None:
        """Ends the engine and its processes. Safe to call twice."""
        engine, self._engine = self._engine, None
        if engine is not None:
            # Not in a thread: the engine's task in this loop would take its end for a failure.
            engine.shutdown(timeout=_ENDING)


def read_arguments(lines: Sequence[str]) -> dict[str, Any]:
    """Engine arguments from `NAME=VALUE`, a value as JSON has it or else a text. Raises UsageError,
    shown to the user."""
    found: dict[str, Any] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name.isidentifier():
            raise UsageError(
                f"no engine argument of vLLM: {line!r}",
                "Write NAME=VALUE, for example tensor_parallel_size=2.",
            )
        if name == "model":
            raise UsageError("the model of vLLM's engine is named with -m", "Leave `model=` away.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value.strip()
    return found


def _find(name: str) -> tuple[loading.Weights, Dialect]:
    from transformers import GenerationConfig  # noqa: PLC0415

    weights = loading.find(name)
    if weights.file:
        raise SetupError(
            f"vLLM in this process takes folders, and {name} is a GGUF file",
            f"Run it with llama.cpp, or with transformers: -m hf:{name}",
        )
    config = loading.read_config(weights)
    harmony = config.model_type == "gpt_oss"
    tokenizer = None if harmony else loading.read_tokenizer(weights)
    try:
        generation = GenerationConfig.from_pretrained(weights.folder, local_files_only=True)
    except OSError:  # then the model's configuration says how a turn ends
        generation = config.get_text_config(decoder=True)
    return weights, dialect_of(name, config, generation, tokenizer)


def _start(name: str, arguments: Mapping[str, Any]) -> Any:
    """The running engine; takes from seconds to minutes."""
    from vllm import AsyncEngineArgs  # noqa: PLC0415
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    known = [field.name for field in dataclasses.fields(AsyncEngineArgs)]
    for given in arguments:
        if given not in known:
            near = difflib.get_close_matches(given, known, _SHOWN_NAMES, 0.6)
            raise UsageError(
                f"vLLM {_version()} has no engine argument {given!r}",
                f"Did you mean {' or '.join(near)}?" if near else "See `vllm serve --help=all`.",
            )
    try:
        return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
    # From a wrong value to a GPU without room: each part of it raises what it likes.
    except Exception as error:
        raise SetupError(
            f"vLLM does not start with the model {name}: {loading.first_line(error)}",
            "Its own lines above say why. `greenroom plan` computes what fits; vllm_args takes"
            " engine arguments, such as gpu_memory_utilization=0.8.",
        ) from error


def _version() -> str:
    import vllm  # noqa: PLC0415

    return str(vllm.__version__)
