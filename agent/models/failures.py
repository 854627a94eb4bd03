"""What a model server's refusal means, and what the user can do about it.

A failure is either `Transient` (asked again, see `agent.models.openai`) or a `ModelError`, which
ends the attempt with its text. Servers word the same thing in many ways; the patterns here are
those of OpenAI, vLLM, llama.cpp, Ollama, LM Studio, SGLang, TGI and the larger services.
"""

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agent.models.base import ContextOverflow, ModelError, Unanswered

Kind = Literal["connection", "stalled", "busy", "failing", "loading", "unparsed"]

_OVERFLOW = re.compile(
    r"context[ _-]?(?:length|window|size|limit)s?\b.{0,80}exceed"
    r"|exceed.{0,80}context[ _-]?(?:length|window|size|limit)"
    r"|maximum context length|max(?:imum)? model len"
    r"|(?:longer|larger|greater) than .{0,60}context"
    r"|context the overflows|context overflow"
    r"|(?:prompt|input|request) (?:is )?too (?:long|large)"
    r"|reduce the length of (?:the|your) (?:messages|prompt|input)"
    r"|input token count .{0,40}exceed"
    r"|tokens`? \+ `?max_new_tokens`? must be",
    re.IGNORECASE | re.DOTALL,
)
_QUOTA = re.compile(r"tokens? per (?:minute|day)|\bTPM\b|rate limit", re.IGNORECASE)
_UNPARSED = re.compile(
    r"pars\w+ (?:the )?(?:tool|function)[ _-]?call|failed to parse (?:input|tool|function)"
    r"|unexpected tokens? .{0,80}(?:expecting|remaining)|(?:tool|function)[ _-]?call.{0,40}pars"
    # What harmony's parser says of a header, and llama.cpp's of any answer that it cannot read.
    r"|HarmonyError|message header|model produced output that does not match",
    re.IGNORECASE | re.DOTALL,
)
_UNKNOWN_MODEL = re.compile(
    r"model.{0,160}(?:not found|not exist|unknown|not loaded|not available|no such)"
    r"|(?:unknown|invalid|no such|no) model\b|pinned to",
    re.IGNORECASE | re.DOTALL,
)
_NO_TOOLS = re.compile(
    r"does not support tools|tool[ -]call-parser|requires --jinja|--enable-auto-tool-choice"
    r"|no endpoints found that support tool use",
    re.IGNORECASE,
)
#: Errors are wrapped in each other by proxies, but not more often than this.
_DEEPEST = 8
#: With less room than this for an answer, the conversation has to shrink instead.
_USEFUL_ROOM = 1024
_BUSY = frozenset({408, 409, 425, 429})
_FAILING = frozenset({500, 502, 503, 504, 529, *range(520, 528)})


class Transient(Exception):
    """A failure that another try may cure. `wait` is how long the server asked to wait, seconds."""

    def __init__(self, reason: str, kind: Kind, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind: Kind = kind
        self.wait = wait


class Unreachable(Unanswered):
    """No connection: nobody listens, or the way there is barred."""


class NoEntry(ModelError):
    """Nothing can be asked here: the key is missing or refused, or a web page answers."""


class KeyRefused(NoEntry):
    """The server wants a key, or another one (HTTP 401)."""


class NoModel(ModelError):
    """The server does not have the model."""


class NoTools(ModelError):
    """The server offers no tool calls for this model."""


class UnknownModel(Exception):
    """The server has no such model, or no such route; its own list of models will tell."""


class Refused(Exception):
    """The server refuses the request as it stands (HTTP 400 or 422), with its own message."""


@dataclass(frozen=True)
class Answer:
    """A response that is no answer: its status, headers, and text made short and free of keys.

    `said` is the server's own message, empty where it gave none that can be read.
    """

    status: int
    headers: Mapping[str, str]
    said: str
    is_page: bool
    code: str = ""

    @property
    def words(self) -> str:
        """`HTTP 500: the message`, or without a message where there is none."""
        return f"HTTP {self.status}" + (f": {self.said}" if self.said else "")


def read_answer(status: int, headers: Mapping[str, str], body: str) -> Answer:
    """`body` understood: OpenAI's error object, FastAPI's detail, plain text, or a web page."""
    start = body.lstrip()[:200].lower()
    is_page = start.startswith(("<!doctype", "<html", "<head")) or (
        "text/html" in headers.get("content-type", "").lower()
    )
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    said, code = error_text(data)
    if not said and not is_page:
        said = "" if isinstance(data, dict | list) and not data else body
    return Answer(status, headers, shorten(said), is_page, code)


def error_text(data: object, depth: int = _DEEPEST) -> tuple[str, str]:
    """The message and the code or type in the JSON of an error; empty where there is none, or it
    lies more than `depth` steps within."""
    if isinstance(data, str):
        return data, ""
    if not depth:
        return "", ""
    if isinstance(data, list):
        texts = [error_text(item, depth - 1)[0] for item in data[:3]]
        return "; ".join(text for text in texts if text), ""
    if not isinstance(data, dict):
        return "", ""
    code = next((str(data[key]) for key in ("code", "type") if data.get(key)), "")
    for key in ("error", "detail", "message", "msg", "errors"):
        if data.get(key):
            text, inner = error_text(data[key], depth - 1)
            if text:
                return text, inner or code
    return "", code


def shorten(text: str, limit: int = 600) -> str:
    """`text` on one line, at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def classify(answer: Answer, server: str, wait_limit: float) -> Exception:
    """The exception that `answer` calls for: Transient, ModelError, UnknownModel or Refused.

    `server` names it with its address; a wait beyond `wait_limit` seconds is no wait but a refusal.
    Status 401 and 403 are the caller's, who knows the key.
    """
    by_words = None if output_room(answer.said) else _by_words(answer, server)
    if by_words is not None:
        return by_words
    status = answer.status
    if status in _BUSY or status == 413:
        return _busy(answer, server, wait_limit)
    if status in _FAILING:
        return _failing(answer, server, wait_limit)
    if status == 404 or _UNKNOWN_MODEL.search(answer.said):
        return UnknownModel(answer.words)
    if status in {400, 422}:
        return Refused(answer.said or "no reason given")
    return ModelError(f"{server} answers with {answer.words}", "See the server's own log.")


def _by_words(answer: Answer, server: str) -> Exception | None:
    """What the message says, whatever status a server chose to send it with."""
    whole = f"{answer.said} {answer.code}"
    rate = _QUOTA.search(whole) is not None
    if 300 <= answer.status < 400:
        place = shorten(answer.headers.get("location", "elsewhere"), 200)
        return ModelError(
            f"{server} redirects to {place}",
            "If that is where the model is, give that address with --base-url.",
        )
    if not rate and (answer.status == 413 or _OVERFLOW.search(whole)):
        return overflow(server, answer.said or answer.words)
    if answer.status == 402 or "insufficient_quota" in whole:
        return ModelError(f"{server} refuses: {answer.words}", "Check the account's balance.")
    if _NO_TOOLS.search(whole):
        return NoTools(
            f"{server} offers no tool calls for this model: {answer.said}",
            "Start it with tool calls on (vLLM: --enable-auto-tool-choice --tool-call-parser"
            " PARSER; llama.cpp: --jinja), or take a model that has them.",
        )
    if answer.status in {400, 422, *_FAILING} and _UNPARSED.search(answer.said):
        return Transient(
            f"the server could not read the model's tool call ({answer.said})", "unparsed"
        )
    return None


def output_room(said: str) -> int | None:
    """The output tokens that would fit, where a server says that we asked for too many: it names
    its window and the prompt's tokens. None where the prompt itself leaves no useful room."""
    window = re.search(r"maximum context length is (\d+) tokens", said)
    prompt = re.search(r"(\d+) (?:input tokens|in the messages|prompt tokens)", said)
    if not window or not prompt:
        return None
    room = int(window[1]) - int(prompt[1]) - 16
    return room if room >= _USEFUL_ROOM else None


def overflow(server: str, said: str) -> ContextOverflow:
    return ContextOverflow(
        f"the conversation no longer fits the model's context window ({server}: {said})",
        "Serve the model with a larger context window, or give it a smaller task.",
    )


def _busy(answer: Answer, server: str, wait_limit: float) -> Exception:
    reason = "the server is busy" if answer.status == 429 else "the server is not ready"
    return _later(Transient(f"{reason} ({answer.words})", "busy"), answer, server, wait_limit)


def _later(failure: Transient, answer: Answer, server: str, wait_limit: float) -> Exception:
    """The failure, to be asked again when the server says; a ModelError where that is too late."""
    wait = retry_after(answer.headers, time.time())
    if wait is not None and wait > wait_limit:
        return ModelError(
            f"{server} asks to wait {wait:.0f} s, more than the {wait_limit:g} s we wait"
            f" ({answer.words})",
            "Try again later.",
        )
    failure.wait = wait
    return failure


def _failing(answer: Answer, server: str, wait_limit: float) -> Exception:
    if answer.status == 503 and "loading" in answer.said.lower():
        return Transient(f"the server is loading the model ({server})", "loading")
    failure = Transient(f"the server fails with {answer.words}", "failing")
    return _later(failure, answer, server, wait_limit)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait by the headers `retry-after-ms` or `Retry-After` (seconds, or a date against
    `now`, seconds since the epoch); None where they say nothing. Never negative."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, moment - now)
