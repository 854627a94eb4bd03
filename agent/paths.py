"""Where Greenroom keeps things: settings, runs, caches. Nothing is ever kept in a checkout."""

import os
from pathlib import Path


def _folder(variable: str, default: str) -> Path:
    """`$variable/greenroom` when it is an absolute path (XDG Base Directory), else the default."""
    given = os.environ.get(variable, "")
    root = Path(given) if given.startswith("/") else Path.home() / default
    return root / "greenroom"


def config_file() -> Path:
    return _folder("XDG_CONFIG_HOME", ".config") / "config.toml"


def trust_file() -> Path:
    return _folder("XDG_STATE_HOME", ".local/state") / "trusted.json"


def runs_folder() -> Path:
    return _folder("XDG_STATE_HOME", ".local/state") / "runs"


def cache_folder() -> Path:
    return _folder("XDG_CACHE_HOME", ".cache")


def private_folder(path: Path) -> Path:
    """Makes `path` (and its parents) with mode 0700 and returns it."""
    for folder in [*reversed(path.parents), path]:
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    path.chmod(0o700)
    return path
