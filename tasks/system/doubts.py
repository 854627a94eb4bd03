"""What of a container's changes could make its verifier say what it likes.

Where the verifier runs on what the work has left, its shell, its Python and its test runner are
files that commands which were root could write. What a solution has to change cannot be told from
what a forger changes; so these are no proof of anything, but a reason for somebody to look.
"""

import re
import secrets
from collections.abc import Collection, Iterator, Mapping

MODIFIED, ADDED, DELETED = range(3)
_PROGRAMS = re.compile(r"(/usr(/local)?)?/s?bin|/root/\.local/bin")
_SYSTEM = re.compile(
    r"/(s?bin|lib(32|64|x32)?|usr/(s?bin|lib(32|64|x32|exec)?|local)|etc/alternatives)(/|$)"
)
#: What no verifier takes notice of. It reads no bytecode that it finds, see `fresh_bytecode`.
_HARMLESS = re.compile(r"/__pycache__(/|$)|/dpkg(/|$)|/python3?/runtime\.d(/|$)")
# What a Python, a test runner, a shell or a loader reads by itself when it starts.
_READ_AT_START = re.compile(
    r"/(site|user)customize(\.|/|$)|/(site|dist)-packages/[^/]+\.pth$"
    r"|/(site|dist)-packages/(pytest|_pytest|pluggy|iniconfig|unittest)(\.pyc?)?$"
    r"|/(pytest|_pytest|pluggy|iniconfig)(\.pyc?|/__init__\.pyc?)$"
    r"|/lib/python[^/]*/(?!(site|dist)-packages)[^/]+\.pyc?$"
    r"|^/(conftest\.py|pytest\.ini|\.pytest\.ini|tox\.ini|setup\.cfg|pyproject\.toml)$"
    r"|^/etc/(ld\.so\.|bash\.bashrc$|environment$|profile)|^/root/\.(bash|profile|curlrc|wgetrc|pip)"
    r"|^/root/\.pydistutils|^/root/\.config/(pip|uv)(/|$)"
    r"|^/etc/(pip\.conf|nsswitch\.conf)$|^/etc/(xdg/)?(pip|uv)(/|$)"
    r"|^/etc/apt/(apt\.conf|sources|preferences|trusted)"
)
_ENTRY_POINTS = re.compile(r"\.(dist|egg)-info/entry_points\.txt$")
_PLUGINS = re.compile(rb"^\s*\[\s*pytest11\s*\]", re.MULTILINE)
_WORD = re.compile(rb"[A-Za-z][\w.+-]*")


def doubtful(changes: Mapping[str, int], programs: Collection[str]) -> list[str]:
    """The paths, sorted, of those that a verifier's own tools come from: a file of the image's
    system folders that is another one now or gone, a program put beside one of the same name (of
    `programs`, those that there were), and what is read by itself when a tool starts."""
    return sorted(path for path in _themselves(changes) if _matters(path, changes[path], programs))


def named_in(script: bytes) -> frozenset[str]:
    """The words of a verifier's script that may be programs which it calls."""
    return frozenset(word.decode() for word in _WORD.findall(script))


def entry_points(changes: Mapping[str, int]) -> list[str]:
    """The files that say what an installed package has other programs load."""
    found = (p for p, kind in changes.items() if kind != DELETED and _ENTRY_POINTS.search(p))
    return sorted(found)


def loads_into_pytest(content: bytes) -> bool:
    """Whether entry points name a plugin of pytest's."""
    return _PLUGINS.search(content) is not None


def fresh_bytecode() -> tuple[str, str]:
    """The variable that has Python read bytecode only from a folder that nobody can have filled."""
    return "PYTHONPYCACHEPREFIX", f"/tmp/{secrets.token_hex(8)}"  # noqa: S108 - the verifier's own


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
