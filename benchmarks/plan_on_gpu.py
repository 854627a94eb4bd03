"""What `greenroom plan` predicts against what torch allocates, with random weights.

    python benchmarks/plan_on_gpu.py                        gpt-oss-20b in bf16: a card of 80 GB
    python benchmarks/plan_on_gpu.py --model qwen2.5-coder-7b --lengths 1024 8192 32768
    python benchmarks/plan_on_gpu.py --shrink 16 --lengths 64 300       small, also on a CPU

Needs torch and transformers, and nothing of a network. On a CUDA card the bytes are those of
torch's allocator; on a CPU, which has none, those of the tensors themselves. Exits with 1 where a
prediction of weights or KV cache is more than 3 % off.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agent.planning.families import shape
from agent.planning.fields import Fields
from agent.planning.known import KNOWN
from agent.planning.memory import cache_bytes, weight_bytes, workspace_bytes
from agent.planning.precision import BF16
from agent.planning.shapes import Shape

#: Tokens of a prompt that are computed at once: eager attention keeps scores of chunk x length.
CHUNK = 512
_SHRUNK = ("hidden_size", "intermediate_size", "moe_intermediate_size", "vocab_size")
TOLERANCE = 0.03


def configuration(name: str, shrink: int) -> dict[str, Any]:
    """The fields of a known model; `shrink` divides its sizes and leaves it four layers."""
    config = {key: value for key, value in KNOWN[name].config.items() if "quant" not in key}
    if shrink > 1:
        sizes = {key: max(config[key] // shrink, 8) for key in _SHRUNK if key in config}
        config |= {**sizes, "num_hidden_layers": 4}
    return config


def allocated(device: str, tensors: list[Any]) -> int:
    """Bytes that are allocated now: by torch's account on a card, else of `tensors`."""
    import torch  # noqa: PLC0415 - the help needs none

    if device == "cuda":
        torch.cuda.synchronize()
        return int(torch.cuda.memory_allocated())
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def build(config: dict[str, Any], device: str) -> Any:
    """The model in bf16, on the device from the start, with small random weights."""
    import torch  # noqa: PLC0415
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    rest = {key: value for key, value in config.items() if key != "model_type"}
    real = AutoConfig.for_model(config["model_type"], **rest)
    # The plain implementations: they need no kernels beyond torch's own.
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(real, dtype=torch.bfloat16, **plain).eval()
    with torch.no_grad():
        for part in model.parameters():
            part.normal_(0, 0.02)
    return model


def measure_cache(model: Any, length: int, device: str) -> tuple[int, int]:
    """Bytes that a conversation's cache takes after its prompt, and the peak beside weights and
    cache while it was computed."""
    import torch  # noqa: PLC0415
    from transformers import DynamicCache  # noqa: PLC0415

    weights = list(model.parameters())
    before = allocated(device, weights)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    cache = DynamicCache(config=model.config)
    ids = torch.randint(0, model.config.vocab_size, (1, length), device=device)
    with torch.no_grad():
        for start in range(0, length, CHUNK):
            part = ids[:, start : start + CHUNK]
            model(part, past_key_values=cache, use_cache=True, logits_to_keep=1)
    # A layer with a window keeps a view into a longer tensor: what counts is what it can give back.
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys.clone(), layer.values.clone()
    del ids, part
    kept = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
    taken = allocated(device, weights + kept) - before
    peak = int(torch.cuda.max_memory_allocated()) - before - taken if device == "cuda" else 0
    return taken, peak


def report(shaped: Shape, rows: list[tuple[str, int, int]], peaks: list[tuple[int, int]]) -> bool:
    """Prints the table; whether every prediction is within tolerance."""
    print(f"{'':24}{'predicted':>16}{'measured':>16}{'ratio':>8}")
    good = True
    for what, predicted, measured in rows:
        ratio = predicted / measured
        good &= abs(ratio - 1) <= TOLERANCE
        print(f"{what:24}{predicted:16,}{measured:16,}{ratio:8.3f}")
    for length, peak in peaks:
        if peak > 0:
            room = workspace_bytes(shaped, length, 1)
            print(
                f"peak beside them at {length}, eager attention, {CHUNK} tokens at once:"
                f" {peak:,} bytes; the plan, for servers with fused attention, keeps {room:,}"
            )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="gpt-oss-20b", choices=list(KNOWN))
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 8192, 32768])
    parser.add_argument("--shrink", type=int, default=1, help="divide the sizes by this")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.parse_args()

    import torch  # noqa: PLC0415

    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = configuration(options.model, options.shrink)
    shaped = shape(Fields(config, options.model))
    start = allocated(device, [])
    model = build(config, device)
    taken = allocated(device, list(model.parameters())) - start
    rows = [("weights, bf16", weight_bytes(shaped, BF16).total, taken)]
    peaks = []
    # The libraries' own workspace, about 34 MB on a card, is taken once and is no cache.
    measure_cache(model, 2, device)
    for length in options.lengths:
        measured, peak = measure_cache(model, length, device)
        rows.append((f"KV cache, {length} tokens", cache_bytes(shaped, length), measured))
        peaks.append((length, peak))
    where = torch.cuda.get_device_name() if device == "cuda" else "the CPU"
    if options.json:
        print(json.dumps({"model": options.model, "on": where, "rows": rows, "peaks": peaks}))
        return 0
    print(
        f"{options.model}, sizes divided by {options.shrink}, on {where}, torch {torch.__version__}"
    )
    return 0 if report(shaped, rows, peaks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
