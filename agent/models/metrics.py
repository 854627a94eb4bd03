"""How a server does, as its metrics tell: vLLM, SGLang and llama.cpp publish them at /metrics."""

import math
import re
from collections.abc import Mapping, Sequence

from agent.models.base import ModelError, ServerLoad
from agent.models.failures import Refused, Transient, UnknownModel
from agent.models.stream import Stalled
from agent.models.transport import Transport

_METRIC = re.compile(r"([A-Za-z_:]+)(?:\{[^}]*\})? ([0-9.eE+-]+)\s*", re.ASCII)
#: The longest line that is read.
_LONGEST = 4096
#: The servers that publish them.
TELLING = frozenset({"vllm", "sglang", "llamacpp"})
CACHE = (
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "sglang:token_usage",
    "llamacpp:kv_cache_usage_ratio",
)
RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs", "llamacpp:requests_processing")
WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred")


async def load_of(transport: Transport, seconds: float) -> ServerLoad | None:
    """The server's load, asked for within `seconds`; None where it tells nothing of it."""
    values = await read_metrics(transport, seconds)
    cache, running, waiting = (_first(values, names) for names in (CACHE, RUNNING, WAITING))
    if cache is None and running is None and waiting is None:
        return None
    return ServerLoad(
        cache=max(cache) if cache else None,
        running=round(sum(running)) if running else None,
        waiting=round(sum(waiting)) if waiting else None,
    )


async def read_metrics(transport: Transport, seconds: float) -> Mapping[str, Sequence[float]]:
    """All metrics of a server by name, one value for each set of labels; none where it has none."""
    try:
        text = await transport.get_text(f"{transport.endpoint.root}/metrics", seconds)
    except (ModelError, Transient, Refused, UnknownModel, Stalled):
        return {}
    values: dict[str, list[float]] = {}
    for line in text.splitlines():
        found = _METRIC.fullmatch(line) if len(line) <= _LONGEST else None
        try:
            value = float(found[2]) if found else math.nan
        except ValueError:
            continue
        if found and math.isfinite(value):
            values.setdefault(found[1], []).append(value)
    return values


def _first(values: Mapping[str, Sequence[float]], names: Sequence[str]) -> Sequence[float] | None:
    return next((values[name] for name in names if values.get(name)), None)
