"""The folder for what can be made anew: locks, scratch, profiles."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for Greenroom (XDG Base Directory)."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".cache") / "greenroom"
