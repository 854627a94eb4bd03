"""vLLM in this process, on an engine that has the released one's signatures and plays its part.

What the real engine does with a model is not shown here; docs/models.md says what was run.
"""

import asyncio
import dataclasses
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from agent.conversation import Conversation, SystemMessage, ToolSpec, UserMessage
from agent.models import extra
from agent.models.base import Model, ModelError, ReasoningCut, Sampling, TurnDone
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from agent.monitor import Bounds, Monitor
from agent.watching import WatchedModel
from sandbox.errors import SetupError, UsageError
from tests.agent.models import tiny, vllm_signatures
from tests.faults.tokens import encode

pytestmark = pytest.mark.model

SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
HELLO: Conversation = (SystemMessage("Be brief."), UserMessage("Hello"))
CALL = "<|channel|>commentary to=functions.shell <|constrain|>json<|message|>{}<|call|>"
LOOP = "<|channel|>analysis<|message|>" + "Maybe the test is wrong, so I look at it again. " * 60
KNOWN = vllm_signatures.recorded()


class Engine:
    """Stands for `AsyncLLM`: gives the tokens of one text after the other, some at a time."""

    texts: ClassVar[list[str]] = []
    failure: ClassVar[Exception | None] = None
    defaults: ClassVar[dict[str, Any]] = {}
    made: ClassVar[list["Engine"]] = []

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = dict(arguments)
        self.model_config = SimpleNamespace(
            max_model_len=arguments.get("max_model_len", 4096),
            quantization=None,
            dtype="torch.bfloat16",
            get_diff_sampling_param=lambda: self.defaults,
        )
        self.asked: list[tuple[list[int], dict[str, Any]]] = []
        self.aborted: list[str] = []
        self.shut = 0
        Engine.made.append(self)

    @classmethod
    def from_engine_args(cls, engine_args: Any) -> "Engine":
        if cls.failure:
            raise cls.failure
        return cls(engine_args.given)

    async def generate(
        self, prompt: Any, sampling_params: Any, request_id: str
    ) -> AsyncGenerator[Any, None]:
        assert prompt["type"] == "token"
        self.asked.append((prompt["prompt_token_ids"], sampling_params))
        if self.failure:
            raise self.failure
        ids = encode(self.texts[len(self.asked) - 1])[: sampling_params["max_tokens"]]
        try:
            for start in range(0, len(ids), 2):
                await asyncio.sleep(0)
                part = SimpleNamespace(index=0, token_ids=ids[start : start + 2])
                yield SimpleNamespace(outputs=[part], num_cached_tokens=16)
        except GeneratorExit:
            self.aborted.append(request_id)
            raise

    def shutdown(self, timeout: float | None = None) -> None:
        self.shut += 1


def known(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    assert not set(given) - set(KNOWN[name]), f"{name} has no such parameters"
    return dict(given)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Engine]]:
    fields = [*KNOWN["EngineArgs"], *KNOWN["AsyncEngineArgs"]]
    arguments = dataclasses.make_dataclass("AsyncEngineArgs", [(n, Any, None) for n in fields])
    arguments.given = property(  # type: ignore[attr-defined]
        lambda self: {n: v for n, v in vars(self).items() if v is not None}
    )
    names = ("vllm", "vllm.inputs", "vllm.sampling_params", "vllm.v1.engine.async_llm")
    modules = {name: ModuleType(name) for name in (*names, "vllm.v1", "vllm.v1.engine")}
    modules["vllm"].__dict__.update(
        __version__="0.33.0",
        AsyncEngineArgs=arguments,
        SamplingParams=lambda **given: known("SamplingParams", given),
    )
    modules["vllm.inputs"].__dict__["tokens_input"] = lambda **given: {
        "type": "token",
        **known("tokens_input", given),
    }
    kinds = {name: name for name in KNOWN["RequestOutputKind"]}
    modules["vllm.sampling_params"].__dict__["RequestOutputKind"] = SimpleNamespace(**kinds)
    modules["vllm.v1.engine.async_llm"].__dict__["AsyncLLM"] = Engine
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(extra, "VLLM", ("transformers",))
    for name in ("VLLM_NO_USAGE_STATS", "HF_HUB_OFFLINE", "VLLM_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.setattr(Engine, "made", [])
    yield Engine
    Engine.texts, Engine.failure, Engine.defaults = [], None, {}


@pytest.fixture(scope="module")
def oss(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import GptOssConfig

    folder = tmp_path_factory.mktemp("gpt-oss")
    GptOssConfig(vocab_size=201_088).save_pretrained(folder)
    return folder


def opened(folder: Path, *arguments: str, **settings: Any) -> Model:
    made = ModelSettings(vllm_args=arguments, **settings)
    return open_model(f"vllm-engine:{folder}", made, {})


async def turn(model: Model, sampling: Sampling = Sampling()) -> TurnDone:  # noqa: B008 - frozen
    events = [event async for event in model.generate(HELLO, [SHELL], sampling)]
    assert isinstance(events[-1], TurnDone)
    return events[-1]


async def test_gpt_oss_speaks_harmony_to_the_engine(engine: type[Engine], oss: Path) -> None:
    engine.texts = [CALL]
    model = opened(oss)
    done = await turn(model, Sampling(seed=3, max_output_tokens=100))
    assert [call.name for call in done.message.calls] == ["shell"]
    assert list(done.message.token_ids) == encode(CALL)
    assert (done.usage.cached_tokens, done.finish, done.problem) == (16, "calls", "")
    [running] = engine.made
    [(prompt, sampling)] = running.asked
    assert len(prompt) == done.usage.input_tokens
    assert sampling == {
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 100,
        "seed": 3,
        "stop_token_ids": [199999, 200002, 200012],
        "detokenize": False,
        "output_kind": "DELTA",
    }
    assert (model.toolset, model.info.backend) == ("gpt-oss", "vllm-engine")
    assert (model.info.context_window, model.info.quantisation) == (4096, "bfloat16")
    assert model.info.server_version == "0.33.0"
    await model.close()
    await model.close()
    assert running.shut == 1


async def test_another_model_speaks_its_template_and_samples_as_it_wishes(
    engine: type[Engine], tmp_path: Path
) -> None:
    engine.texts = ["x"]
    engine.defaults = {"temperature": 0.6, "top_k": 20, "max_tokens": 3}
    model = opened(tiny.save(tmp_path))
    await turn(model)
    sampling = engine.made[0].asked[0][1]
    assert (sampling["temperature"], sampling["top_k"]) == (0.6, 20)
    assert sampling["max_tokens"] > 3
    assert model.toolset == "generic"
    await model.close()


async def test_engine_arguments_have_their_own_names(engine: type[Engine], oss: Path) -> None:
    model = opened(
        oss,
        "tensor_parallel_size=2",
        "--kv-cache-dtype=fp8",
        "enable_prefix_caching=false",
        'hf_overrides={"a": 1}',
        context_window=2048,
    )
    await model.prepare()
    assert engine.made[0].arguments == {
        "model": str(oss),
        "skip_tokenizer_init": True,
        "disable_log_stats": True,
        "max_model_len": 2048,
        "tensor_parallel_size": 2,
        "kv_cache_dtype": "fp8",
        "enable_prefix_caching": False,
        "hf_overrides": {"a": 1},
    }
    assert model.info.context_window == 2048
    await model.close()


async def test_nothing_is_reported_or_fetched_unless_the_user_says_so(
    engine: type[Engine], oss: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    model = opened(oss)
    await model.prepare()
    names = ("VLLM_NO_USAGE_STATS", "HF_HUB_OFFLINE", "VLLM_LOGGING_LEVEL")
    assert [os.environ[name] for name in names] == ["1", "1", "DEBUG"]
    await model.close()


async def test_closing_a_turn_aborts_it_in_the_engine(engine: type[Engine], oss: Path) -> None:
    engine.texts = [LOOP, CALL]
    model = opened(oss)
    async with aclosing(model.generate(HELLO, [SHELL], Sampling())) as events:
        await anext(events)
    assert engine.made[0].aborted == ["greenroom-1"]
    assert (await turn(model)).message.calls
    await model.close()


async def test_a_loop_is_cut_and_the_answer_opened(engine: type[Engine], oss: Path) -> None:
    engine.texts = [LOOP, CALL]
    model = opened(oss)
    watched = WatchedModel(model, Monitor(Bounds()))
    events = [event async for event in watched.generate(HELLO, [SHELL], Sampling())]
    [cut] = [event for event in events if isinstance(event, ReasoningCut)]
    assert (cut.reason, cut.way) == ("loop", "closed")
    running = engine.made[0]
    assert running.aborted == ["greenroom-1"]
    first, second = (prompt for prompt, _ in running.asked)
    assert second[: len(first)] == first
    done = events[-1]
    assert isinstance(done, TurnDone)
    assert [call.name for call in done.message.calls] == ["shell"]
    await model.close()


async def test_an_engine_that_fails_is_an_error_in_words(engine: type[Engine], oss: Path) -> None:
    model = opened(oss)
    await model.prepare()
    engine.failure = RuntimeError("EngineCore encountered an issue.\nmore")
    with pytest.raises(ModelError, match="EngineCore encountered an issue") as caught:
        await turn(model)
    assert "more" not in caught.value.message
    await model.close()


async def test_an_engine_that_does_not_start_is_an_error_in_words(
    engine: type[Engine], oss: Path
) -> None:
    engine.failure = ValueError("No available memory for the cache blocks.")
    with pytest.raises(SetupError, match=r"does not start .*: No available memory") as caught:
        await opened(oss).prepare()
    assert "gpu_memory_utilization" in caught.value.hint


async def test_a_broken_installation_is_told(
    engine: type[Engine], oss: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm.v1.engine.async_llm", None)
    with pytest.raises(SetupError, match="packages cannot be used"):
        await opened(oss).prepare()


async def test_a_gguf_file_is_refused(engine: type[Engine], tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(SetupError, match="takes folders"):
        await opened(file).prepare()


async def test_arguments_that_vllm_lacks_are_named(engine: type[Engine], oss: Path) -> None:
    with pytest.raises(UsageError, match="no engine argument 'tensor_paralel_size'") as caught:
        await opened(oss, "tensor_paralel_size=2").prepare()
    assert "tensor_parallel_size" in caught.value.hint


@pytest.mark.parametrize("line", ["x", "=2", "a b=2", "model=x", ""])
def test_arguments_that_cannot_be_read_are_refused(line: str) -> None:
    with pytest.raises(UsageError):
        opened(Path("x"), line)


async def test_without_vllm_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "VLLM", ("no_such_package",))
    with pytest.raises(SetupError, match="not installed: no_such_package") as caught:
        await opened(Path("x")).prepare()
    assert "'.[vllm]'" in caught.value.hint


def test_the_recorded_engine_is_the_released_one() -> None:
    wheel = os.environ.get("GREENROOM_TEST_VLLM_WHEEL")
    if not wheel:
        pytest.skip("GREENROOM_TEST_VLLM_WHEEL names no wheel of vLLM")
    assert vllm_signatures.read(Path(wheel)) == KNOWN


def test_the_part_that_is_played_has_the_released_parameters() -> None:
    wanted = {"generate": 3, "from_engine_args": 1, "shutdown": 1}
    for name, count in wanted.items():
        code = getattr(Engine, name).__code__
        own = [n for n in code.co_varnames[: code.co_argcount] if n not in ("self", "cls")]
        assert own == KNOWN[f"AsyncLLM.{name}"][:count]
    assert "num_cached_tokens" in KNOWN["RequestOutput.__init__"]
    assert {"index", "token_ids"} <= set(KNOWN["CompletionOutput"])
    assert {"max_model_len", "quantization", "dtype"} <= set(KNOWN["ModelConfig"])
