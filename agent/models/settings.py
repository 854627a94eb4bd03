"""What a user can set about a model, whichever backend it is; plain data without any key."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from agent.models.base import Price

#: Tokens of context without which hardly a task can be done, and with which most can.
LEAST_WINDOW = 8_192
USEFUL_WINDOW = 32_768


@dataclass(frozen=True)
class ModelSettings:
    """How to reach a model, and how patient to be with it. Times are in seconds.

    `key_variable` names the environment variable that holds the key; None means the usual one, and
    only where a key is usual. `protocol` is how a server is asked: by chat completions, in raw
    tokens, or as serves the model best. `price` is in US dollars per million tokens; None: not
    known.
    `output_bound` is how many tokens a turn may have when the user set no limit: it ends a model
    that never stops. The time limits: to connect, to the first token (a server may have to load
    the model first), between two tokens, and for one whole turn. `retries` is how often a lost
    connection, a busy or a failing server is asked again, `retry_wait` the first pause;
    `retry_after_limit` the longest pause that a server may ask for before it counts as refusing.
    `written_tools`: tools are explained to the model in words, and its calls read from its text.
    """

    #: Not shown, since an address may hold a password.
    base_url: str | None = field(default=None, repr=False)
    key_variable: str | None = None
    protocol: Literal["auto", "raw", "chat"] = "auto"
    price: Price | None = None
    context_window: int | None = None
    written_tools: bool = False
    output_bound: int = 131_072
    connect_timeout: float = 10.0
    first_token_timeout: float = 600.0
    chunk_timeout: float = 120.0
    turn_timeout: float = 3600.0
    retries: int = 5
    retry_wait: float = 0.5
    retry_after_limit: float = 120.0
    #: For models in this process: how weights are held, and on which device; what KV caches may
    #: take, in bytes (None: half of what is free once the model is loaded); whether turns are held
    #: to a grammar.
    precision: str = "auto"
    device_map: str = "auto"
    cache_limit: int | None = None
    grammar: Literal["auto", "off"] = "auto"
    #: Engine arguments for vLLM in this process, as NAME=VALUE.
    vllm_args: Sequence[str] = ()
