"""What the supervisor runs from, and whether a layer changed it.

The supervisor is root in every container and starts with the image's `python3 -I -S`. Packages that
pip installs run code of their own as root while a layer is built, so afterwards the layer's changes
are compared with where that interpreter, its standard library and its shared libraries lie.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

ASK = (
    "import json, os, sys; print(json.dumps({'exe': os.path.realpath(sys.executable), "
    "'prefix': sys.base_prefix, 'path': sys.path}))"
)
_PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64")
_LOADER = ("/etc/ld.so.preload", "/etc/ld.so.cache", "/etc/ld.so.conf")
_PACKAGES = re.compile(r"/(site|dist)-packages(/|$)")


@dataclass(frozen=True)
class Runtime:
    """Folders (with all in them) and files that no package may change."""

    folders: tuple[str, ...]
    files: tuple[str, ...]


def runtime(answer: str) -> Runtime:
    """From what `python3 -I -S -c ASK` printed in the image before the layer was begun."""
    told = json.loads(answer)
    homes = (told["prefix"], told["exe"].rpartition("/")[0])
    return Runtime(
        folders=(*_LIBRARIES, "/etc/ld.so.conf.d", *told["path"]),
        files=(
            told["exe"],
            *(f"{folder}/python3" for folder in _PROGRAMS),
            *(f"{home}/pyvenv.cfg" for home in homes),
            *_LOADER,
        ),
    )


def changed(changes: Mapping[str, int], guarded: Runtime) -> str | None:
    """The first path of `changes` (path to the engine's kind: 0 modified, 1 added, 2 deleted) that
    the supervisor runs from, or None.
    """
    parents = {path.rpartition("/")[0] for path in changes}
    for path, kind in changes.items():
        if kind == 0 and path in parents:
            continue  # a folder, listed because of what is in it
        inside = any(path == f or path.startswith(f"{f}/") for f in guarded.folders)
        if path in guarded.files or (inside and not _PACKAGES.search(path)):
            return path
    return None
