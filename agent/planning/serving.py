"""The commands that serve a model as planned."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from agent.models.settings import USEFUL_WINDOW
from agent.planning.cards import Cards
from agent.planning.find import Model
from agent.planning.fit import Fit, Wish


@dataclass(frozen=True)
class Command:
    """A line for a shell, what to know of it, and what `greenroom -m` then takes."""

    server: str
    line: str
    model: str
    note: str = ""


def commands(model: Model, found: Fit, cards: Cards, wish: Wish, layers: int = 0) -> list[Command]:
    """One command for each server that can run this precision on these cards. `layers` of the model
    are left in main memory, which only llama-server does."""
    makers = {"vllm": _vllm, "llama-server": _llama_server, "ollama": _ollama}
    made: list[Command] = []
    for server in found.precision.servers:
        if layers and server != "llama-server":
            continue
        if server == "vllm" and cards.kind != "cuda":
            continue
        made += makers[server](model, found, cards, wish, layers)
    return made


def _vllm(model: Model, found: Fit, cards: Cards, wish: Wish, layers: int) -> Iterator[Command]:
    name, notes = model.serve, []
    if found.precision.name == "int4":
        name = model.known.awq if model.known and model.known.awq else ""
        if not name:
            return  # vLLM quantises nothing to 4 bits itself; the precision's own note says so
    elif found.precision.name == "int8":
        return
    words = ["vllm", "serve", name, "--max-model-len", str(wish.context)]
    words += ["--max-num-seqs", str(wish.conversations)]
    words += ["--gpu-memory-utilization", f"{wish.share:g}"]
    if found.precision.name == "bf16" and cards.capability and cards.capability < (8, 0):
        words += ["--dtype", "half"]
        notes.append("this card has no bf16; half is the other format of 16 bits")
    if found.gpus > 1:
        words += ["--tensor-parallel-size", str(found.gpus)]
    if found.precision.name == "fp8" and model.native.name == "bf16":
        words += ["--quantization", "fp8"]
        if cards.capability and cards.capability < (8, 9):
            notes.append("this card stores fp8 and computes in 16 bits")
    if wish.cache == 1:
        words += ["--kv-cache-dtype", "fp8"]
    parsers = model.known.parsers.split() if model.known else []
    if not parsers:
        notes.append("add --enable-auto-tool-choice --tool-call-parser with the model's own parser")
    yield Command("vllm", shlex.join([*words, *parsers]), f"vllm:{name}", "; ".join(notes))


def _llama_server(
    model: Model, found: Fit, cards: Cards, wish: Wish, layers: int
) -> Iterator[Command]:
    """llama-server divides its context (-c) among its slots (-np)."""
    notes = []
    files = model.known.gguf if model.known else ""
    if files:
        quantised = {"q8_0": ":Q8_0", "q4_k_m": ":Q4_K_M", "bf16": ":BF16"}
        where = ["-hf", files + quantised.get(found.precision.name, "")]
    else:
        where = ["-m", f"{model.short}-{found.precision.name}.gguf"]
        notes.append(f"a GGUF file of the model at {found.precision.name}, made or downloaded")
    words = ["llama-server", *where, "-c", str(wish.context * wish.conversations)]
    words += ["-np", str(wish.conversations), "--jinja"]
    shape = model.shape
    if cards.kind == "cpu":
        words += ["-ngl", "0"]
    elif layers and not shape.expert_layers:
        words += ["-ngl", str(shape.layers - layers)]
    else:
        words += ["-ngl", "99"]
        words += ["--n-cpu-moe", str(layers)] if layers else []
    if wish.cache == 1:
        words += ["-fa", "on", "--cache-type-k", "q8_0", "--cache-type-v", "q8_0"]
        notes.append("q8_0 takes 8.5 bits where the plan counts 8")
    yield Command("llama-server", shlex.join(words), f"llamacpp:{model.short}", "; ".join(notes))


def _ollama(model: Model, found: Fit, cards: Cards, wish: Wish, layers: int) -> Iterator[Command]:
    """Ollama has most settings from its environment, and runs already on most machines that have
    it; the context is asked for by Greenroom itself."""
    if not model.known or not model.known.ollama:
        return
    name, settings = model.known.ollama, []
    if wish.conversations > 1:
        settings.append(f"OLLAMA_NUM_PARALLEL={wish.conversations}")
    if wish.cache == 1:
        settings += ["OLLAMA_FLASH_ATTENTION=1", "OLLAMA_KV_CACHE_TYPE=q8_0"]
    notes = [f"with --context-window {wish.context}"] if wish.context != USEFUL_WINDOW else []
    if settings:
        notes.append(f"`ollama serve` has to be started with {' '.join(settings)}")
    yield Command("ollama", f"ollama pull {name}", f"ollama:{name}", "; ".join(notes))
