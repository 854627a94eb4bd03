"""What the supervisor runs from, and whether a layer changed it.

The supervisor is root in every container and starts with the image's `python3 -I -S`. Steps that
install packages run code of strangers as root while a layer is built. So its interpreter, standard
library, loader and shared libraries are noted before they run, and compared with what the engine
says that they changed. Other libraries they may add or upgrade; then the loader of the result,
which is unchanged, is asked whether it still finds the same ones.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath

from sandbox.source import MODULES

_PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Where a loader looks for libraries, and what tells it where else.
_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
_LOADER = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
_PRELOAD = "/etc/ld.so.preload"
# What the C library and OpenSSL load by a name in a file: encodings, providers, engines.
_BY_NAME = re.compile(r"/(gconv|ossl-modules|engines-[^/]*)(/|$)")
# A file beside an interpreter that is all of its path, and one that is all of musl's loader's.
_ALL_OF_THE_PATH = re.compile(r"/python[^/]*\._pth$|^/etc/ld-musl-[^/]*$")
_OPENSSL_HOMES = ("/etc/ssl", "/usr/lib/ssl", "/usr/local/ssl", "/etc/pki/tls")
_PACKAGES = re.compile(r"/(site|dist)-packages(/|$)")
_LOADER_NAME = re.compile(r"/ld[-.][^/]*so[^/]*$")
_FOUND = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x", re.MULTILINE)

_ASK = """
import json, os, re, sys
for name in NAMES: __import__(name)
modules = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
import subprocess
exe = os.path.realpath(sys.executable)
mapped = re.findall(r"(/\\S+)$", open("/proc/self/maps").read(), re.MULTILINE)
loaders = [path for path in mapped if re.match(r"ld[-.].*so", os.path.basename(path))]
loader = loaders[0] if loaders else ""
targets = [exe] + sorted(set(path for path in modules if path.endswith(".so")))
lists = {}
for target in targets if loader else ():
    told = subprocess.run([loader, "--list", target], stdout=subprocess.PIPE)
    if told.returncode == 0:
        lists[target] = told.stdout.decode("utf-8", "replace")
links = {}
def follow(path):
    while path not in links:
        links[path] = os.path.realpath(path)
        if not os.path.islink(path): break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
for path in [sys.executable, loader] + re.findall(r"(/\\S+) \\(0x", "".join(lists.values())):
    follow(path)
print(json.dumps({"exe": exe, "executable": sys.executable, "prefix": sys.base_prefix,
    "path": sys.path, "version": "%d.%d" % sys.version_info[:2], "loader": loader, "lists": lists,
    "links": sorted(set(links) | set(links.values())),
    "search": os.environ.get("PATH", "").split(":")}))
"""


@dataclass(frozen=True)
class Runtime:
    """`folders` (with all in them) and `files` are what no step may change. Below `watched` it may,
    but for a library of the same name as one of `lists`, and if the loader still gives the same
    for each of them; without a loader to ask, it may not.
    """

    folders: tuple[str, ...]
    files: tuple[str, ...]
    watched: tuple[str, ...]
    loader: str
    lists: Mapping[str, frozenset[tuple[str, str]]]


@cache
def ask() -> str:
    """The script for the image's python3 that `runtime` reads the answer of."""
    names: set[str] = set()
    for module in MODULES:
        path = module.partition(".")[2].replace(".", "/") + ".py"
        tree = ast.parse(files("sandbox").joinpath(path).read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    own = {name for name in names if name.split(".")[0] in ("sandbox", "__future__")}
    return _ASK.replace("NAMES", repr(sorted(names - own)))


def runtime(answer: str) -> Runtime:
    """From what `ask` printed in the image before the layer was begun."""
    told = json.loads(answer)
    version = told["version"]
    starts = [PurePosixPath(told[name]).parent for name in ("exe", "executable")]
    # Python looks for its library, and for files that name another one, upwards from itself.
    homes = {str(home) for start in starts for home in (start, *start.parents)} | {told["prefix"]}
    lists = {target: libraries(text) for target, text in told["lists"].items()}
    own = lists.get(told["exe"], frozenset())
    names = {name for name, _path in own}
    return Runtime(
        folders=(
            *(path for path in told["path"] if path),
            *(_in(home, f"{lib}/python{version}") for home in homes for lib in ("lib", "lib64")),
        ),
        files=(
            *told["links"],
            *(_in(home, name) for home in homes for name in ("pyvenv.cfg", "pybuilddir.txt")),
            *(_in(folder, "python3") for folder in (*_PROGRAMS, *told["search"]) if folder),
            _PRELOAD,
            *(f"{home}/openssl.cnf" for home in _OPENSSL_HOMES),
        ),
        watched=(
            *(*_LIBRARIES, *_LOADER),
            *{path.rpartition("/")[0] for found in lists.values() for _name, path in found},
        ),
        loader=told["loader"] if own else "",
        # What another one needs beyond what is loaded with the interpreter already.
        lists={t: found for t, found in lists.items() if t == told["exe"] or _names(found) - names},
    )


def libraries(text: str) -> frozenset[tuple[str, str]]:
    """From what a loader lists: the libraries' names, with the files that it takes for them."""
    found = ((name or path, path) for name, path in _FOUND.findall(text))
    return frozenset(pair for pair in found if not _LOADER_NAME.search(pair[1]))


def changed(changes: Mapping[str, int], guarded: Runtime) -> str | None:
    """The first path of `changes` (path to the engine's kind: 0 modified, 1 added, 2 deleted) that
    the supervisor runs from, or None.
    """
    folders = guarded.folders if guarded.loader else (*guarded.folders, *guarded.watched)
    names = {name for found in guarded.lists.values() for name in _names(found)}
    for path in _themselves(changes):
        if path in guarded.files or _ALL_OF_THE_PATH.search(path):
            return path
        if _below(path, folders) and not _PACKAGES.search(path):
            return path
        by_name = path.rpartition("/")[2] in names or _BY_NAME.search(path)
        if by_name and _below(path, guarded.watched):
            return path
        if changes[path] != 0 and any(file.startswith(f"{path}/") for file in guarded.files):
            return path
    return None


def replaced(changes: Mapping[str, int], guarded: Runtime) -> Iterator[str]:
    """The folders above what is guarded that are said to be modified, although nothing in them is:
    each may be a link to somewhere else now.
    """
    above = {
        str(folder)
        for path in (*guarded.files, *guarded.folders)
        for folder in PurePosixPath(path).parents
    }
    return (path for path in _themselves(changes) if changes[path] == 0 and path in above)


def asks_loader(changes: Mapping[str, int], guarded: Runtime) -> bool:
    """Whether changes could have the loader find other libraries."""
    paths = (path for path in _themselves(changes) if not _PACKAGES.search(path))
    return bool(guarded.loader) and any(_below(path, guarded.watched) for path in paths)


def _themselves(changes: Mapping[str, int]) -> Iterator[str]:
    """The paths, without folders that are listed because of what is in them."""
    parents = {path.rpartition("/")[0] for path in changes}
    return (path for path, kind in changes.items() if kind != 0 or path not in parents)


def _below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _in(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _names(found: frozenset[tuple[str, str]]) -> set[str]:
    return {name for name, _path in found}
