"""Which cards this machine has, asked of `nvidia-smi` and of the system."""

import os
import platform
import subprocess
from collections.abc import Callable, Sequence

from agent.planning.cards import Cards

_QUERY = "--query-gpu=name,memory.total,memory.used,compute_cap"
_MIB = 1 << 20


def here(ask: Callable[[], str] | None = None) -> Cards:
    """What a model would run on here: the cards, a Mac's shared memory, or the CPU.

    Cards that differ are counted as so many of the smallest.
    """
    found = read_cards((ask or _nvidia_smi)())
    if found:
        least = min(found, key=lambda card: card.memory)
        used = max(card.used for card in found)
        same = all(card.name == least.name for card in found)
        name = least.name if same else f"card like {least.name}"
        known = [card.capability for card in found if card.capability]
        return Cards(name, least.memory, min(known, default=None), "cuda", len(found), used)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return Cards("this Mac", memory, kind="apple")
    return Cards("this machine's CPU", memory, kind="cpu")


def _nvidia_smi() -> str:
    """What `nvidia-smi` says of its cards, nothing where there is none or it gives no answer."""
    try:
        done = subprocess.run(
            ["nvidia-smi", _QUERY, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def read_cards(text: str) -> Sequence[Cards]:
    """The cards in the answer to `_QUERY`; lines that are no card are passed over."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 4 or not parts[1].isdigit() or not int(parts[1]):
            continue
        used = int(parts[2]) if parts[2].isdigit() else 0
        major, _, minor = parts[3].partition(".")
        numbers = major.isdigit() and minor.isdigit()
        capability = (int(major), int(minor)) if numbers else None
        found.append(Cards(parts[0], int(parts[1]) * _MIB, capability, used=used * _MIB))
    return found
