"""An attempt of gpt-oss in its own tokens, with its own tools, in a real sandbox."""

import json
from collections.abc import AsyncGenerator

import pytest

from agent.budget import Limits
from agent.models.base import ModelInfo, Retrying
from agent.models.dialect import Dialect
from agent.models.harmony import HarmonyDialect
from agent.models.settings import ModelSettings
from agent.models.source import Request, Reused, TokenSource
from agent.models.token_model import TokenModel
from tests.agent.bench import Bench
from tests.faults.tokens import encode, encoding

pytestmark = pytest.mark.docker

PATCH = (
    "*** Begin Patch\n*** Update File: calc.py\n@@\n-    return a - b\n+    return a + b\n"
    "*** End Patch"
)


class Written:
    """Gives the tokens of one text after the other, and keeps what it was asked."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)
        self.asked: list[tuple[int, ...]] = []

    async def stream(self, request: Request) -> AsyncGenerator[int | Reused | Retrying, None]:
        self.asked.append(tuple(request.ids))
        for token in encode(self._texts.pop(0)):
            yield token

    async def close(self) -> None:
        pass


class Writing(TokenModel):
    def __init__(self, *texts: str) -> None:
        super().__init__(ModelInfo("gpt-oss", "test"), ModelSettings())
        self.source = Written(*texts)

    async def prepare(self, say: object = None) -> None:
        await self._ready()

    async def _open(self) -> tuple[TokenSource, Dialect]:
        return self.source, HarmonyDialect()


def thinks(text: str) -> str:
    return f"<|channel|>analysis<|message|>{text}<|end|><|start|>assistant"


def calls(name: str, **arguments: object) -> str:
    header = f"<|channel|>commentary to={name} <|constrain|>json"
    return f"{header}<|message|>{json.dumps(arguments)}<|call|>"


LOOKS = thinks("Look first.") + calls("container.exec", command=["bash", "-lc", "cat calc.py"])
MENDS = thinks("A sign.") + calls("repo_browser.apply_patch", patch=PATCH)


async def test_it_looks_and_patches_until_the_tests_pass_and_slips_leave_no_trace(
    bench: Bench,
) -> None:
    slips = ["<|channel|>??<|message|>hm<|return|>", thinks("Hm.") + calls("python", code="1")]
    model = Writing(LOOKS, *slips, MENDS)
    outcome = await bench.attempt(bench.task(), model)
    assert outcome.status == "solved"
    assert (outcome.turns, outcome.malformed) == (2, {"channel": 1, "tool": 1})
    assert [event["kind"] for event in bench.events("malformed")] == ["channel", "tool"]
    [looked, mended] = bench.events("result")
    assert "return a - b" in looked["text"]
    assert mended["ok"], mended["text"]
    first, *again = model.source.asked
    # A slip is asked again from the very prompt; and what was sampled is part of the next one.
    assert again[0] == again[1] == again[2]
    assert again[0][: len(first) + len(encode(LOOKS))] == (*first, *encode(LOOKS))
    prompt = encoding().decode(again[0])
    assert "namespace repo_browser {" in prompt.partition("<|start|>developer")[0]
    assert "namespace functions" not in prompt
    assert "<|start|>container.exec<|channel|>commentary to=assistant<|message|>" in prompt


async def test_a_final_message_ends_the_work_and_the_second_one_is_believed(bench: Bench) -> None:
    says = thinks("No.") + "<|channel|>final<|message|>It cannot be done.<|return|>"
    outcome = await bench.attempt(bench.task(), Writing(says, says), limits=Limits(turns=9))
    assert outcome.reason == "the model gave up without a change: It cannot be done."
    assert outcome.turns == 2
    [notice] = bench.said("notice")
    assert "end with a final message and say why" in notice
