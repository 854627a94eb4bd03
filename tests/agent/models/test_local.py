import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import huggingface_hub
import openai_harmony
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from agent.conversation import Conversation, SystemMessage, ToolSpec, UserMessage
from agent.models import extra
from agent.models.base import (
    CallStarted,
    ContextOverflow,
    Event,
    Model,
    Retrying,
    Sampling,
    TextDelta,
    TurnDone,
)
from agent.models.harmony import HarmonyDialect
from agent.models.local import LocalModel, open_local
from agent.models.registry import open_model
from agent.models.settings import ModelSettings
from agent.models.source import Request
from sandbox.errors import SetupError
from tests.agent.models import tiny

pytestmark = pytest.mark.model

SHELL = ToolSpec("shell", "Runs a command.", {"type": "object", "properties": {}})
HELLO: Conversation = (SystemMessage("Be brief."), UserMessage("Hello"))
GREEDY = Sampling(temperature=0.0, max_output_tokens=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def oss_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gpt-oss")
    tiny.gpt_oss().save_pretrained(made)
    return made


def opened(folder: Path, **settings: Any) -> Model:
    return open_model(f"hf:{folder}", ModelSettings(**settings), {})


async def turn(
    model: Model, conversation: Conversation = HELLO, sampling: Sampling = GREEDY
) -> tuple[TurnDone, list[Event]]:
    events = [event async for event in model.generate(conversation, [SHELL], sampling)]
    done = events.pop()
    assert isinstance(done, TurnDone)
    return done, events


async def test_a_turn_is_streamed_counted_and_described(folder: Path) -> None:
    model = opened(folder)
    done, events = await turn(model)
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown.strip() == done.message.text
    assert done.usage.output_tokens == len(done.message.token_ids) == 8
    assert done.usage.input_tokens > 100
    assert not done.usage.estimated
    assert done.finish == "length"
    assert "limit of output tokens" in done.problem
    assert 0 < done.timings["first_token_seconds"] <= done.timings["seconds"]
    assert (model.info.backend, model.info.context_window) == ("transformers", 4096)
    assert model.info.quantisation in {"float32", "bfloat16"}
    await model.close()
    await model.close()


async def test_the_next_turn_reads_only_what_is_new(folder: Path) -> None:
    model = opened(folder)
    first, _ = await turn(model)
    second, _ = await turn(model, (*HELLO, first.message, UserMessage("Go on.")))
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens >= first.usage.input_tokens - 1
    await model.close()


async def test_a_conversation_that_does_not_fit_is_refused_at_once(folder: Path) -> None:
    model = opened(folder, context_window=64)
    with pytest.raises(ContextOverflow, match="reads no more than 64"):
        await turn(model)
    assert model.info.context_window == 64
    await model.close()


async def test_an_answer_ends_where_the_window_ends(folder: Path) -> None:
    model = opened(folder)
    size = (await turn(model))[0].usage.input_tokens
    narrow = opened(folder, context_window=size + 3)
    done, _ = await turn(narrow)
    assert (done.finish, done.usage.output_tokens) == ("length", 3)
    await model.close()
    await narrow.close()


async def test_a_turn_that_takes_too_long_is_cut(folder: Path) -> None:
    model = opened(folder, turn_timeout=0.0)
    done, _ = await turn(model, sampling=Sampling(temperature=0.0, max_output_tokens=2000))
    assert done.finish == "cut"
    assert "cut off after" in done.problem
    assert done.usage.output_tokens == 1
    await model.close()


async def test_gpt_oss_speaks_harmony_and_noise_is_a_problem_not_an_error(oss_folder: Path) -> None:
    model = opened(oss_folder)
    for seed in range(3):
        done, _ = await turn(model, sampling=Sampling(1.0, 1.0, 12, seed))
        assert done.usage.output_tokens == len(done.message.token_ids) <= 12
        assert done.problem
    await model.close()


class Written:
    """Stands where the sampling is, and gives the tokens of a text."""

    def __init__(self, text: str) -> None:
        encoding = openai_harmony.load_harmony_encoding("HarmonyGptOss")
        self._ids = encoding.encode(text, allowed_special="all")

    async def stream(self, request: Request) -> AsyncGenerator[int, None]:
        for token in self._ids[: request.max_tokens]:
            yield token

    async def close(self) -> None:
        pass


def saying(text: str) -> LocalModel:
    model = LocalModel("gpt-oss", ModelSettings())
    model._opened = Written(text), HarmonyDialect()
    return model


async def test_a_call_ends_the_turn() -> None:
    header = "<|channel|>commentary to=functions.shell <|constrain|>json<|message|>"
    done, events = await turn(saying(header + "{}<|call|>"), sampling=Sampling())
    assert events == [CallStarted(0, "shell")]
    assert (done.finish, done.problem, done.message.calls[0].name) == ("calls", "", "shell")


async def test_a_stream_that_begins_anew_counts_what_it_lost() -> None:
    class Broken(Written):
        async def stream(self, request: Request) -> AsyncGenerator[int | Retrying, None]:
            for token in self._ids[:5]:
                yield token
            yield Retrying("the connection broke", 0.0, 2)
            async for token in super().stream(request):
                yield token

    model = saying("")
    source = Broken("<|channel|>final<|message|>Yes, that is so.<|return|>")
    model._opened = source, HarmonyDialect()
    done, events = await turn(model, sampling=Sampling())
    assert (done.message.text, done.problem) == ("Yes, that is so.", "")
    retried = events.index(Retrying("the connection broke", 0.0, 2))
    again = "".join(event.text for event in events[retried:] if isinstance(event, TextDelta))
    assert again == "Yes, that is so."
    assert done.usage.abandoned_tokens == done.usage.input_tokens + 5


async def test_an_answer_ends_the_turn() -> None:
    done, _ = await turn(saying("<|channel|>final<|message|>Yes.<|return|>"), sampling=Sampling())
    assert (done.finish, done.problem, done.message.text) == ("stop", "", "Yes.")


async def test_reasoning_alone_is_a_problem() -> None:
    text = "<|channel|>analysis<|message|>Hm.<|end|><|return|>"
    done, _ = await turn(saying(text), sampling=Sampling())
    assert done.usage.reasoning_tokens == 2
    assert "neither answered nor called" in done.problem


async def test_closing_a_turn_early_leaves_the_model_ready(folder: Path) -> None:
    model = opened(folder)
    endless = Sampling(temperature=0.0, max_output_tokens=3000)
    async with aclosing(model.generate(HELLO, [SHELL], endless)) as events:
        await anext(events)
    done, _ = await turn(model)
    assert done.usage.output_tokens == 8
    await model.close()


def test_opening_imports_nothing_heavy() -> None:
    code = (
        "import sys; from agent.models.local import open_local;"
        "from agent.models.settings import ModelSettings; open_local('x/y', ModelSettings());"
        "print(sorted({'torch', 'transformers', 'openai_harmony'} & set(sys.modules)))"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# What can be missing.


async def refusal(name: object) -> SetupError:
    with pytest.raises(SetupError) as caught:
        await open_local(str(name), ModelSettings()).prepare()
    return caught.value


async def test_a_model_that_is_not_cached_is_not_downloaded() -> None:
    error = await refusal("greenroom-tests/no-such-model")
    assert "is not on this machine" in error.message
    assert "hf download greenroom-tests/no-such-model --exclude 'original/*'" in error.hint


async def test_a_cached_model_is_known_by_its_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--tests--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / commit).symlink_to(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    # The repository has a file that was not downloaded, and that no model needs.
    (repository / "trees").mkdir()
    listing = {"original/model.bin": {"size": 1, "blob_id": commit}}
    tree = {"format_version": 1, "files": listing}
    (repository / "trees" / f"{commit}.json").write_text(json.dumps(tree))
    with pytest.raises(LocalEntryNotFoundError):
        huggingface_hub.snapshot_download("tests/tiny", cache_dir=tmp_path, local_files_only=True)
    model = open_local("tests/tiny", ModelSettings())
    await model.prepare()
    assert (model.info.name, model.info.revision) == ("tests/tiny", commit)
    await model.close()


async def test_missing_packages_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("torch", "no_such_package"))
    error = await refusal(folder)
    assert "not installed: no_such_package" in error.message
    assert "uv tool install --force '.[local]'" in error.hint


async def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    assert "holds no config.json" in (await refusal(tmp_path)).message
    assert "there is no folder" in (await refusal(tmp_path / "gone")).message
    (tmp_path / "file.bin").touch()
    assert "is a file, and no .gguf" in (await refusal(tmp_path / "file.bin")).message
    (tmp_path / "file.gguf").write_bytes(b"GGUF")
    assert "cannot be read as GGUF" in (await refusal(tmp_path / "file.gguf")).message


async def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    assert "no chat template" in (await refusal(tiny.save(tmp_path, ""))).message


async def test_a_model_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "from-the-future"}', "utf-8")
    assert "transformers cannot use" in (await refusal(tmp_path)).message


async def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    tiny.edit_config(tiny.save(tmp_path), num_hidden_layers=3)
    assert "weights are missing, model.layers.2" in (await refusal(tmp_path)).message


async def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    weights = tiny.save(tmp_path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "is not whole" in (await refusal(tmp_path)).message
    weights.unlink()
    assert "there are no weights" in (await refusal(tmp_path)).message


async def test_too_little_memory_is_told_before_anything_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.models.precisions.free_memory", lambda _: 1000)
    error = await refusal(folder)
    assert "GiB for its weights alone" in error.message


async def test_mxfp4_that_would_be_unpacked_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("transformers.utils", "transformers.quantizers.quantizer_mxfp4"):
        monkeypatch.setattr(f"{place}.is_kernels_available", lambda: False)
    config = {"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    error = await refusal(tmp_path)
    assert "quantised to MXFP4, and this machine cannot run that" in error.message
    assert "the package kernels (" in error.message


async def test_a_gpt_oss_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    tiny.gpt_oss(vocab_size=1000, pad_token_id=0).save_pretrained(tmp_path)
    assert "has only 1000 tokens" in (await refusal(tmp_path)).message


async def test_candidates_are_the_turns_of_their_seeds(folder: Path) -> None:
    model = opened(folder)
    wild = Sampling(1.0, 1.0, 12, seed=5)
    found = [done async for done in model.candidates(HELLO, [SHELL], wild, 4)]
    alone = [(await turn(model, sampling=Sampling(1.0, 1.0, 12, seed)))[0] for seed in (5, 6, 7, 8)]
    assert [done.message for done in found] == [done.message for done in alone]
    assert len({done.message.token_ids for done in found}) == 4
    assert found[0].usage.cached_tokens == 0
    assert alone[0].usage.cached_tokens == alone[0].usage.input_tokens - 1
    await model.close()


async def test_a_candidate_that_thinks_too_long_is_given_up_alone(tmp_path: Path) -> None:
    thinking = tiny.TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    model = opened(tiny.save(tmp_path, thinking))
    heard = {0: "", 1: "", 2: ""}

    def give_up(number: int, text: str) -> str:
        heard[number] += text
        return "it goes in circles" if number == 1 and len(heard[1]) > 4 else ""

    wild = Sampling(1.0, 1.0, 60, seed=5)
    branches = model.branches(HELLO, [SHELL], wild, 3, give_up)
    assert branches is not None
    first, second, third = [done async for done in branches]
    assert second.finish == "cut"
    assert "it goes in circles" in second.problem
    assert first.usage.output_tokens == third.usage.output_tokens == 60
    assert second.usage.output_tokens < 30
    await model.close()
