"""Secrets in what a patch adds."""

from agent.settingsfile import Reader
from sandbox.patch import Patch


def found(patch: Patch, base: Reader) -> tuple[str, ...]:
    """Where the patch adds what looks like a secret: file, line and kind, never the secret."""
    raise NotImplementedError
