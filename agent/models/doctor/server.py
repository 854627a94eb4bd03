"""What a model server can do, found out by asking it: some twenty small requests.

Turns are asked for as in a real attempt, by the same client, so that what is found is what an
attempt would meet. A probe that fails is a finding, and the next one is tried all the same; one
that gets no answer at all in time ends the examination, since the others would wait as long, and so
does a wrong name, key or address, of which the others would be told the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agent.models.doctor import beside, calls, turns
from agent.models.doctor.findings import Examination, Finding, window_of
from agent.models.doctor.look import LOG, Look
from agent.models.failures import (
    NoEntry,
    NoModel,
    Refused,
    Transient,
    UnknownModel,
    Unreachable,
)
from agent.models.openai import OpenAIModel
from agent.models.stream import Stalled
from sandbox.errors import GreenroomError

#: Seconds for one probe. The first may have to load the model.
PATIENCE = 180.0


async def examine_server(model: OpenAIModel, say: Callable[[str], None]) -> Examination:
    """Looks at everything, telling `say` on the way what is tried. Raises nothing that a server
    can cause: a server that is not there is a finding, too."""
    findings: list[Finding] = []
    look = Look(model)
    try:
        await model.prepare(say)
    except NoModel as problem:
        found = Finding("model", "bad", problem.message, "", problem.hint)
        return _examination(model, [_server(model), found])
    except (Unreachable, NoEntry) as problem:
        findings.append(Finding("server", "bad", problem.message, "", problem.hint))
        return _examination(model, findings)
    findings += [_server(model), *_model(model), _window(model)]
    for name, probe in _PROBES:
        say(f"trying {name} ...")
        try:
            async with asyncio.timeout(PATIENCE):
                findings.append(await probe(look))
        except TimeoutError:
            findings.append(Finding(name, "bad", f"no answer within {PATIENCE:.0f} s", "", LOG))
            break
        except (NoModel, NoEntry) as problem:
            findings.append(Finding(name, "bad", problem.message, "", problem.hint))
            break
        except GreenroomError as problem:
            findings.append(Finding(name, "bad", problem.message, "", problem.hint))
        except (Transient, Refused, UnknownModel, Stalled) as problem:
            said = str(problem) or "no answer in time"
            findings.append(Finding(name, "untold", f"the server does not say: {said}"))
    return _examination(model, findings)


def _examination(model: OpenAIModel, findings: Sequence[Finding]) -> Examination:
    info = model.info
    return Examination(
        info.name,
        info.address,
        model.transport.profile.title if model.transport.known else "",
        info.server_version,
        info.context_window,
        tuple(findings),
        model.transport.requests,
    )


def _server(model: OpenAIModel) -> Finding:
    version = f" {model.info.server_version}" if model.info.server_version else ""
    known = model.transport.known
    kind = model.transport.profile.title if known else "a server of no known kind"
    return Finding("server", "good", f"{kind}{version} answers at {model.info.address}")


def _model(model: OpenAIModel) -> Sequence[Finding]:
    listed = model.facts.models
    name = model.info.name
    if not listed:
        return [Finding("model", "untold", "the server lists no models; a turn will tell")]
    more = f" ({model.info.quantisation})" if model.info.quantisation else ""
    if model.listed:
        found = [Finding("model", "good", f"{name} is listed{more}")]
    elif model.transport.profile.names == "any":
        found = [Finding("model", "good", f"{listed[0]}{more} is loaded, and answers to any name")]
    else:
        shown = ", ".join(listed[:8])
        found = [Finding("model", "note", f"{name} is not among those listed: {shown}")]
    if model.facts.spilled:
        found.append(
            Finding(
                "memory",
                "note",
                f"{model.facts.spilled:.0%} of the model lies in main memory, not on the GPU",
                "each token takes several times longer",
                "Take a smaller model or context; `greenroom plan` says what fits.",
            )
        )
    return found


def _window(model: OpenAIModel) -> Finding:
    window, most = model.info.context_window, model.facts.model_window
    if window is None:
        return Finding(
            "context",
            "untold",
            "the server does not say how long a conversation may be",
            "a conversation that is too long fails at the server, or is cut there without a word",
            _NOT_LOADED.get(model.info.server, "Say it with --context-window."),
        )
    return window_of(
        window, most, _WIDER.get(model.info.server, "Serve the model with a larger context.")
    )


#: How a larger context is had, by server.
_WIDER = {
    "ollama": "Give --context-window 32768 (or more): each request asks Ollama for it. Where that"
    " does not load, take a smaller model, or start Ollama with OLLAMA_FLASH_ATTENTION=1"
    " OLLAMA_KV_CACHE_TYPE=q8_0: half the memory for the context.",
    "vllm": "Start it with a larger --max-model-len.",
    "sglang": "Start it with a larger --context-length.",
    "llamacpp": "Start it with a larger -c (it is shared by the slots of -np).",
    "lmstudio": "Load it with a larger context: `lms load MODEL --context-length 32768`.",
}
#: How the context is settled where a server tells it of loaded models only.
_NOT_LOADED = {
    "lmstudio": "Load the model before it is asked, or it gets LM Studio's default:"
    " `lms load MODEL --context-length 32768`.",
}


async def _structured(look: Look) -> Finding:
    return await beside.structured_output(
        look.model.transport, look.model.info.name, look.room(250)
    )


async def _raw(look: Look) -> Finding:
    return await beside.raw_tokens(
        look.model.transport, look.model.info.server, look.model.info.name
    )


async def _metrics(look: Look) -> Finding:
    return await beside.metrics(look.model.transport)


_PROBES: Sequence[tuple[str, Callable[[Look], Awaitable[Finding]]]] = (
    ("streaming", turns.streaming),
    ("token counts", turns.usage),
    ("tool calls", calls.tools),
    ("strict tools", calls.strict),
    ("reasoning", calls.reasoning),
    ("prefix cache", turns.prefix),
    ("structured output", _structured),
    ("raw tokens", _raw),
    ("abort", turns.abort),
    ("metrics", _metrics),
)
