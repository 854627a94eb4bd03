"""How vLLM and llama.cpp take token ids and give them: their requests and the chunks of a stream.

Servers are strangers: whatever stands in a chunk, only ids of gpt-oss's vocabulary come out.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.models.base import ModelError
from agent.models.failures import Transient
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import CALL, RETURN
from agent.models.probe import table
from agent.models.source import Request

#: How many tokens gpt-oss can give.
_VOCABULARY = 201_088
#: Characters that one piece of a stream may have: a text without gaps takes a time to encode that
#: grows with its square.
_LONGEST_TEXT = 16_384
#: More tokens than this are no count.
_MOST = 1 << 40


@dataclass(frozen=True)
class Piece:
    """What one chunk adds. `ended`: no token follows; `counted`: nothing else does, either.
    `reused` is how much of the prompt was in the server's cache, None where it says nothing."""

    tokens: Sequence[int] = ()
    ended: bool = False
    counted: bool = False
    reused: int | None = None


class RawWire(ABC):
    """One server's interface for raw tokens, for the model that it calls `name`. `path` is of
    OpenAI's interface, or stands at the server's root where it begins with a slash.

    A wire reads one stream at a time.
    """

    path: str

    def __init__(self, name: str, dialect: HarmonyDialect) -> None:
        self.name = name
        self._dialect = dialect
        self._last: int | None = None

    @abstractmethod
    def body(self, request: Request) -> bytes:
        """The body of the request for a stream."""

    @abstractmethod
    def read(self, chunk: Mapping[str, Any]) -> Piece:
        """One JSON object of the stream. Raises Transient where the server gave up."""

    def _encoded(self, text: str) -> Sequence[int]:
        """The tokens of a piece of text. Raises ModelError for one that is none."""
        if len(text) > _LONGEST_TEXT:
            raise ModelError(
                f"the server gives {len(text):,} characters at once, where tokens were asked for",
                'See its log; with protocol = "chat" it is asked for text instead.',
            )
        return self._dialect.encode(text)

    def _ending(self, tokens: Sequence[int], stop: Any) -> Sequence[int]:
        """`tokens`, the stream's last, with the one that stopped the model where a server keeps
        that to itself."""
        if self._last in self._dialect.stop_ids:
            return tokens
        known = type(stop) is int and stop in self._dialect.stop_ids
        return [*tokens, stop if known else RETURN]


class VllmWire(RawWire):
    """vLLM's `/v1/completions`. Ids come with `return_token_ids` (0.10.2 and later); an older
    server gives text, special tokens written out, and ids are made of that again."""

    path = "completions"

    def body(self, request: Request) -> bytes:
        wanted = {
            "model": self.name,
            "prompt": list(request.ids),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.seed,
            "stop_token_ids": [RETURN, CALL],
            "add_special_tokens": False,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "return_token_ids": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return _json(wanted)

    def read(self, chunk: Mapping[str, Any]) -> Piece:
        choice = _first(chunk.get("choices"))
        usage = table(chunk.get("usage"))
        reused = _count(table(usage.get("prompt_tokens_details")).get("cached_tokens"))
        finish = choice.get("finish_reason")
        if finish in ("abort", "error"):
            raise Transient(f"the server gave the answer up ({finish})", "failing")
        ids = choice.get("token_ids")
        if isinstance(ids, list):
            tokens: Sequence[int] = _known(ids)
        else:
            tokens = self._encoded(str(choice.get("text") or ""))
        self._last = tokens[-1] if tokens else self._last
        if finish == "stop":
            tokens = self._ending(tokens, choice.get("stop_reason"))
        return Piece(tokens, finish is not None, bool(usage), reused)


class LlamaCppWire(RawWire):
    """llama.cpp's `/completion`. A character that spans several tokens comes with the id of its
    last one only; the others are found again from its text."""

    path = "/completion"

    def body(self, request: Request) -> bytes:
        wanted = {
            "model": self.name,
            "prompt": list(request.ids),
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            # The server would leave the 40 likeliest and cut improbable ones, which nobody asked.
            "top_k": 0,
            "min_p": 0.0,
            "seed": request.seed,
            "cache_prompt": True,
            "return_tokens": True,
            "stream": True,
        }
        return _json(wanted)

    def read(self, chunk: Mapping[str, Any]) -> Piece:
        ids, text = chunk.get("tokens"), chunk.get("content")
        tokens = _known(ids if isinstance(ids, list) else [])
        if isinstance(text, str) and len(tokens) < 2:
            tokens = self._whole(tokens, text)
        self._last = tokens[-1] if tokens else self._last
        if not chunk.get("stop"):
            return Piece(tokens)
        if chunk.get("stop_type") in ("eos", "word") or chunk.get("stopped_eos"):
            tokens = self._ending(tokens, None)
        timings = table(chunk.get("timings"))
        reused, read = _count(timings.get("cache_n")), _count(timings.get("prompt_n"))
        prompt = _count(chunk.get("tokens_evaluated"))
        if reused is None and prompt is not None and read is not None:
            reused = max(0, prompt - read)
        return Piece(tokens, True, True, reused)

    def _whole(self, tokens: Sequence[int], text: str) -> Sequence[int]:
        """The tokens of a piece of text, of which the last is known."""
        if not text or (tokens and self._dialect.decode(tokens) == text):
            return tokens
        return self._encoded(text)


WIRES: Mapping[str, type[RawWire]] = {"vllm": VllmWire, "llamacpp": LlamaCppWire}


def _json(wanted: Mapping[str, Any]) -> bytes:
    given = {name: value for name, value in wanted.items() if value is not None}
    return json.dumps(given, separators=(",", ":")).encode()


def _known(ids: Sequence[Any]) -> Sequence[int]:
    for token in ids:
        if type(token) is not int or not 0 <= token < _VOCABULARY:
            raise ModelError(
                f"the server gives a token that gpt-oss does not have: {str(token)[:40]}",
                'See its log; with protocol = "chat" it is asked for text instead.',
            )
    return ids


def _first(data: object) -> Mapping[str, Any]:
    return table(data[0]) if isinstance(data, list) and data else {}


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST else None
