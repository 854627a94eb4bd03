"""What of a container's changes could make its verifier say what it likes.

Where the verifier runs on what the work has left, its shell, its Python and its test runner are
files that commands which were root could write. What a solution has to change cannot be told from
what a forger changes; so these are no proof of anything, but a reason for somebody to look.
"""

import re
from collections.abc import Collection, Iterator, Mapping

MODIFIED, ADDED, DELETED = range(3)
_PROGRAMS = re.compile(r"(/usr(/local)?)?/s?bin|/root/\.local/bin")
_SYSTEM = re.compile(r"/(s?bin|lib(32|64|x32)?|usr/(s?bin|lib(32|64|x32|exec)?|local))(/|$)")
#: What no verifier takes notice of.
_HARMLESS = re.compile(r"/__pycache__(/|$)|\.pyc$|/dpkg(/|$)|/python3?/runtime\.d(/|$)")
# What a Python, a test runner, a shell or a loader reads by itself when it starts.
_READ_AT_START = re.compile(
    r"/(site|user)customize(\.py|/|$)|/(site|dist)-packages/[^/]+\.pth$"
    r"|/(site|dist)-packages/(pytest|_pytest|pluggy|iniconfig|unittest)(\.py)?$"
    r"|/lib/python[^/]*/(?!(site|dist)-packages)[^/]+\.py$"
    r"|^/(conftest\.py|pytest\.ini|\.pytest\.ini|tox\.ini|setup\.cfg|pyproject\.toml)$"
    r"|^/etc/(ld\.so\.|bash\.bashrc$|environment$|profile)|^/root/\.(bash|profile|curlrc|wgetrc|pip)"
    r"|^/root/\.config/(pip|uv)(/|$)|^/etc/pip\.conf$"
)


def doubtful(changes: Mapping[str, int], programs: Collection[str]) -> list[str]:
    """The paths, sorted, of those that a verifier's own tools come from: a file of the image's
    system folders that is another one now or gone, a program put beside one of the same name (of
    `programs`, those that there were), and what is read by itself when a tool starts."""
    return sorted(path for path in _themselves(changes) if _matters(path, changes[path], programs))


def _matters(path: str, kind: int, programs: Collection[str]) -> bool:
    if _HARMLESS.search(path):
        return False
    if kind != ADDED and _SYSTEM.match(path):
        return True
    folder, _, name = path.rpartition("/")
    if kind == ADDED and name in programs and _PROGRAMS.fullmatch(folder):
        return True
    return bool(_READ_AT_START.search(path))


def _themselves(changes: Mapping[str, int]) -> Iterator[str]:
    """The paths, without folders that are listed because of what is in them."""
    above = {path.rpartition("/")[0] for path in changes}
    return (path for path, kind in changes.items() if kind != MODIFIED or path not in above)
