"""What models run on: cards by name or memory, Macs, a plain CPU."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.planning.quantities import gib, parse_memory
from sandbox.errors import UsageError

Kind = Literal["cuda", "apple", "cpu"]
_MIB = 1 << 20
MOST_CARDS = 64


@dataclass(frozen=True)
class Cards:
    """`count` equal devices of `memory` bytes each.

    `capability` is the compute capability of a CUDA card, None where it is not known. `used` is
    what other programs hold of each now.
    """

    name: str
    memory: int
    capability: tuple[int, int] | None = None
    kind: Kind = "cuda"
    count: int = 1
    used: int = 0

    def __str__(self) -> str:
        if self.count == 1:
            return f"{self.name} ({gib(self.memory)})"
        plural = "s" if self.name.endswith("card") else ""
        return f"{self.count} x {self.name}{plural} ({gib(self.memory)} each)"

    def usable(self, share: float) -> int:
        """Bytes of each that a model may take.

        A CUDA card gives `share` of its memory (vLLM's --gpu-memory-utilization), a machine without
        one as much of its own. Of a Mac's memory Metal gives the GPU two thirds up to 36 GiB and
        three quarters beyond, unless told otherwise (recommendedMaxWorkingSetSize).
        """
        if self.kind == "apple":
            return self.memory * 2 // 3 if self.memory <= 36 << 30 else self.memory * 3 // 4
        return min(int(self.memory * share), self.memory - self.used)


def _card(name: str, mib: int, major: int, minor: int) -> tuple[str, Cards]:
    return name.lower().replace(" ", ""), Cards(name, mib * _MIB, (major, minor))


#: Memory as `nvidia-smi` shows it, in MiB; compute capability by NVIDIA's list of CUDA GPUs.
KNOWN_CARDS: Mapping[str, Cards] = dict(
    [
        _card("V100-16G", 16384, 7, 0),
        _card("V100-32G", 32768, 7, 0),
        _card("T4", 15360, 7, 5),
        _card("A10", 23028, 8, 6),
        _card("A100-40G", 40960, 8, 0),
        _card("A100-80G", 81920, 8, 0),
        _card("A6000", 49140, 8, 6),
        _card("L4", 23034, 8, 9),
        _card("L40S", 46068, 8, 9),
        _card("RTX 3060", 12288, 8, 6),
        _card("RTX 3090", 24576, 8, 6),
        _card("RTX 4070", 12282, 8, 9),
        _card("RTX 4080", 16376, 8, 9),
        _card("RTX 4090", 24564, 8, 9),
        _card("RTX 5080", 16303, 12, 0),
        _card("RTX 5090", 32607, 12, 0),
        _card("RTX 6000 Ada", 49140, 8, 9),
        _card("RTX PRO 6000", 97887, 12, 0),
        _card("H100", 81559, 9, 0),
        _card("H200", 143771, 9, 0),
    ]
)
#: What `--gpus common` shows; single cards by their memory.
COMMON = ("16G", "24G", "32G", "48G", "80G", "96G", "H200", "2x24G", "4x24G", "mac 64G")

_MANY = re.compile(r"(\d{1,4})\s*x\s*(\S.*)", re.IGNORECASE | re.ASCII)


def parse_cards(text: str) -> Cards:
    """The cards that a text names: `24G`, `2x80G`, `RTX 4090`, `4xH100`, `mac 64G`, `cpu 128G`.

    Raises UsageError.
    """
    written = " ".join(text.split())
    if "," in written or "+" in written:
        raise UsageError(
            f"--gpus takes cards of one kind, got {text!r}",
            "Servers divide a model evenly: plan with the smallest card, for example 2x16G.",
        )
    found = _MANY.fullmatch(written)
    count, what = (int(found[1]), found[2]) if found else (1, written)
    if not 1 <= count <= MOST_CARDS:
        raise UsageError(f"--gpus: {count} cards; expected 1 to {MOST_CARDS}")
    one = _one(what, text)
    if count > 1 and one.kind != "cuda":
        raise UsageError(f"--gpus: {text!r}: only graphics cards can be several")
    return Cards(one.name, one.memory, one.capability, one.kind, count)


def _one(what: str, text: str) -> Cards:
    word = what.lower().replace(" ", "")
    for vendor in ("nvidia", "geforce"):
        word = word.removeprefix(vendor)
    sized = re.sub(r"[\s-]+(\d+)\s*gi?b?$", r"-\1g", what.lower()).replace(" ", "")
    for name in (word, f"rtx{word}", f"{word}-80g", sized):
        if name in KNOWN_CARDS:
            return KNOWN_CARDS[name]
    for kind in ("mac", "cpu"):
        if word.startswith(kind):
            return _machine(kind, word.removeprefix(kind), text)
        if word.endswith(kind):
            return _machine(kind, word.removesuffix(kind), text)
    if word[:1].isdigit():
        return Cards(f"{what} card", parse_memory(what))
    near = difflib.get_close_matches(word, KNOWN_CARDS, n=1, cutoff=0.8)
    meant = f"; did you mean {KNOWN_CARDS[near[0]].name!r}?" if near else ""
    raise UsageError(
        f"--gpus: no card {text!r} is known{meant}",
        "Give its memory instead, as in 24G or 2x80G. Known are "
        + ", ".join(card.name for card in KNOWN_CARDS.values())
        + "; mac 64G; cpu 64G.",
    )


def _machine(kind: str, size: str, text: str) -> Cards:
    if not size:
        raise UsageError(f"--gpus: {text!r} lacks its memory", f"Write for example: {kind} 64G")
    memory = parse_memory(size.strip("-"))
    return Cards(
        "Mac" if kind == "mac" else "CPU", memory, None, "apple" if kind == "mac" else "cpu"
    )


def common() -> Sequence[Cards]:
    return [parse_cards(text) for text in COMMON]
