"""Secrets in what a patch adds, found by detect-secrets' detectors; nothing is asked of anybody.

Its own way to scan is not used: that asks services whether a key works, and lets a comment in the
line switch it off.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from agent.bot.changed import ChangedFile, changed_files
from agent.bot.extra import not_installed
from agent.settingsfile import Reader
from sandbox.patch import Patch, printable

_MOST = 20
# Detectors' expressions are not linear, so a long line is looked at piece by piece; a secret of up
# to the overlap's length is in one piece whole.
_PIECE, _OVERLAP = 4000, 500
#: An address of everybody is no secret; tokens of GitHub are found by a sharper expression below.
_LEFT_OUT = ("IPPublicDetector", "GitHubTokenDetector")
#: Kinds that detect-secrets does not know, or takes other words for.
_MORE = {
    "GitHub Token": r"(?<![A-Za-z0-9])(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    "Hugging Face Token": r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}",
    "Anthropic Key": r"(?<![A-Za-z0-9])sk-ant-[A-Za-z0-9_-]{20,}",
    "OpenAI Key": r"(?<![A-Za-z0-9])sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}"
    r"|[A-Za-z0-9]{48})",
    "Google API Key": r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}",
    "Docker Hub Token": r"(?<![A-Za-z0-9])dckr_pat_[A-Za-z0-9_-]{20,}",
    "Private Key": r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY",
}
PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _MORE.items())
#: Lengths in hexadecimal of the digests that code and tests are full of.
_DIGESTS = (32, 40, 56, 64, 96, 128)
#: Hosts that are nobody's (RFC 2606), with logins that open nothing.
_NOBODYS = re.compile(
    r"@(?:[\w.-]+\.)?(?:test|example|invalid|localhost|example\.(?:com|net|org)|127(?:\.\d+){3})"
    r"(?![\w.-])",
    re.IGNORECASE,
)


def found(patch: Patch, base: Reader) -> tuple[str, ...]:
    """Where the patch adds what looks like a secret, a sentence each: file, line and kind, never
    the secret. A line that the file had before is not looked at. Raises SetupError where
    detect-secrets is not installed, and PatchError."""
    detectors = _detectors()
    sentences: list[str] = []
    for file in changed_files(patch, base):
        known = set((file.before or b"").split(b"\n"))
        for number, raw in _rows(file):
            if raw in known:
                continue
            for kind in sorted(set(_kinds(raw.decode("utf-8", "replace"), detectors))):
                where = f"{printable(file.change.path)}, line {number}"
                sentences.append(f"{where}, adds what looks like a secret ({kind}).")
    if len(sentences) > _MOST:
        sentences[_MOST:] = [f"There are {len(sentences) - _MOST} more like these."]
    return tuple(sentences)


def _rows(file: ChangedFile) -> Iterator[tuple[int, bytes]]:
    if file.binary:
        yield from enumerate((file.change.content or b"").split(b"\n"), 1)
    yield from file.added


def _kinds(line: str, detectors: tuple[Any, ...]) -> Iterator[str]:
    for start in range(0, max(1, len(line) - _OVERLAP), _PIECE - _OVERLAP):
        piece = line[start : start + _PIECE]
        for kind, pattern in PATTERNS:
            if pattern.search(piece):
                yield kind
        for detector in detectors:
            if any(_counts(detector, secret, piece) for secret in detector.analyze_string(piece)):
                yield detector.secret_type


def _counts(detector: Any, secret: str, line: str) -> bool:
    """Whether what a detector sees is likely to be a secret, and no example, name or reference."""
    from detect_secrets.filters import heuristic as seen  # noqa: PLC0415

    kind = type(detector).__name__
    if kind == "BasicAuthDetector":
        return _NOBODYS.search(line) is None
    if kind == "KeywordDetector" and not _like_a_password(secret, line):
        return False
    if kind.endswith("HighEntropyString"):
        if detector.calculate_shannon_entropy(secret) <= detector.entropy_limit:
            return False
        if kind.startswith("Hex") and len(secret) in _DIGESTS:
            return False
    elif kind != "KeywordDetector":
        return True
    return not (
        seen.is_sequential_string(secret)
        or seen.is_potential_uuid(secret)
        or seen.is_likely_id_string(secret, line, detector)
        or seen.is_templated_secret(secret)
        or seen.is_prefixed_with_dollar_sign(secret)
        or seen.is_indirect_reference(line)
        or seen.is_not_alphanumeric_string(secret)
    )


def _like_a_password(secret: str, line: str) -> bool:
    """Words alone, a comparison and a path are what code has beside the name of a password."""
    compared = re.search(r"[!=]=", line) is not None
    worded = " " in secret or "/" in secret or not any(char.isdigit() for char in secret)
    return not compared and not worded and len(secret) >= 8


def check_installed() -> None:
    """Raises SetupError where `found` could not look: before any work is done for it."""
    _detectors()


@cache
def _detectors() -> tuple[Any, ...]:
    try:
        from detect_secrets import plugins  # noqa: PLC0415
        from detect_secrets.plugins.base import BasePlugin  # noqa: PLC0415
    except ImportError:
        raise not_installed("detect-secrets, which looks for secrets in a patch,") from None
    modules = [
        importlib.import_module(f"{plugins.__name__}.{module.name}")
        for module in pkgutil.iter_modules(plugins.__path__)
    ]
    kinds = {
        name: kind
        for module in modules
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, BasePlugin) and kind.__module__ == module.__name__
    }
    return tuple(
        kind()
        for name, kind in sorted(kinds.items())
        if not inspect.isabstract(kind) and name not in _LEFT_OUT
    )
