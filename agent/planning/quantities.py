"""Sizes and lengths as people write them, and as they are shown."""

import re

from sandbox.errors import UsageError

_MEMORY = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)\s*([MGT](?:i?B)?)?", re.IGNORECASE | re.ASCII)
_STEPS = {"m": 2, "g": 3, "t": 4}
_TOKENS = re.compile(r"(\d{1,9})(k|m)?", re.IGNORECASE | re.ASCII)
#: The least and the most memory of a card or machine that is believed.
LEAST_MEMORY, MOST_MEMORY = 256 << 20, 16 << 40
MOST_TOKENS = 1 << 27


def parse_memory(text: str) -> int:
    """Bytes of `24G`, `24GiB` or `24` (2^30 each), or of `24GB` (10^9 each); M and T likewise.

    A card that is sold as 24 GB has about 24 GiB, so a bare G is a GiB. Raises UsageError.
    """
    found = _MEMORY.fullmatch(text.strip())
    if not found:
        raise UsageError(
            f"expected a size of memory such as 24G, got {text!r}",
            "G and GiB are 2^30 bytes, as cards have them; GB is 10^9 bytes.",
        )
    unit = (found[2] or "G").lower()
    step: int = 1000 if unit.endswith("b") and "i" not in unit else 1024
    size = round(float(found[1]) * float(step) ** _STEPS[unit[0]])
    if not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise UsageError(
            f"{text!r} is no memory that a card or machine has",
            f"Give between {gib(LEAST_MEMORY)} and {gib(MOST_MEMORY)}, for example 24G.",
        )
    return size


def parse_tokens(text: str) -> int:
    """Tokens of `32768`, `32k` (1024 each) or `1m` (1024 x 1024 each). Raises UsageError."""
    found = _TOKENS.fullmatch(text.strip())
    tokens = int(found[1]) << {"": 0, "k": 10, "m": 20}[(found[2] or "").lower()] if found else 0
    if not 1 <= tokens <= MOST_TOKENS:
        raise UsageError(
            f"expected a number of tokens such as 32k, got {text!r}",
            "k is 1024 tokens: 32k is 32768, 128k is 131072.",
        )
    return tokens


def gib(size: float) -> str:
    """Bytes as `13.8 GiB`, 2^30 each."""
    return f"{size / (1 << 30):,.1f} GiB"


def gb(size: float) -> str:
    """Bytes as `13.8 GB`, 10^9 each, as publishers of weights count."""
    return f"{size / 1e9:,.1f} GB"


def tokens(number: int) -> str:
    """`32k` where it is whole, else `8,960`."""
    return f"{number >> 10}k" if number and number % 1024 == 0 else f"{number:,}"
