"""Edits of a workspace, as a hostile or careless command makes them, and an independent reading of
what they left. The two scripts run inside a sandbox, under its uid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from sandbox.patch import EXECUTABLE, FILE, SYMLINK

CODE = b"".join(b"line %d\n" % number for number in range(40))
BASE: dict[str, tuple[int, bytes]] = {
    ".gitattributes": (FILE, b"* text=auto\n*.bat eol=crlf\n"),
    ".gitignore": (FILE, b"*.log\n/out/\n"),
    "a.py": (FILE, b"a = 1\n"),
    "b.py": (FILE, b"b = 1\n"),
    "code.py": (FILE, CODE),
    "crlf.txt": (FILE, CODE.replace(b"\n", b"\r\n")),
    "mixed.txt": (FILE, b"one\r\ntwo\nthree\rfour"),
    "run.bat": (FILE, b"echo one\necho two\n"),
    "query.sql": (FILE, b"-- a/f\n-- of all\nselect 1;\n++ b/f\n"),
    "tool.sh": (EXECUTABLE, b"#!/bin/sh\n"),
    "blob.bin": (FILE, bytes(range(256)) * 3),
    "empty": (FILE, b""),
    "kept.log": (FILE, b"tracked although ignored\n"),
    "link": (SYMLINK, b"a.py"),
    "astray": (SYMLINK, b"../nowhere"),
    "lib/x.py": (FILE, b"x = 1\n"),
    "lib/y.py": (FILE, b"y = 1\n"),
    "lib/deep/z": (FILE, b"z"),
    "liblink": (SYMLINK, b"lib"),
    "a/f": (FILE, b"of a folder that a diff's prefix looks like\n"),
    "b/g": (FILE, b"g\n"),
    "caf\udce9": (FILE, b"latin-1 \xe9\n"),
    "\xe9": (FILE, b"composed\n"),
    "e\u0301": (FILE, b"decomposed\n"),
    "trail ": (FILE, b"a blank at the end\n"),
    "two words": (FILE, b"two\n"),
    "line\nbreak": (FILE, b"odd\n"),
    "odd/line\nbreak": (FILE, b"odd\n"),
}
# No patch may change these, nor what is below them.
FORBIDDEN = frozenset(("line\nbreak", "tab\there", ".GIT", "git~1", ".g\u200cit", "x\\..\\y"))
NAMES = (
    *BASE,
    *FORBIDDEN,
    *("f", "g", "b", "old", "new/n", "a/g", "b/f", "lib", "lib/deep", "lib/new", "lib/n/m", "sub"),
    *("sub/s", "sub/lib/t", "A.PY", "Lib/x.py", "x.log", "x.log/in", "out/o", "lib/out/o", "odd"),
    *("__pycache__/m", "m.pyc", ".gitignore/in", "lib/.gitignore", "lib/.gitattributes"),
    *(".gitmodules", "-dash", "*", 'quo"te', "back\\slash", " lead", "dot.", "\udcff\udcfe"),
    *("\u202ebidi", "n" * 255),
)  # fmt: skip
EDIT = r"""
import json, mmap, os, shutil, socket, stat, subprocess, sys

def opened(path, mode):
    # A pipe must not hold this up.
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK, 0o644))

def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)

def room(path):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)

def cleared(path):
    room(path)
    if os.path.lexists(path):
        remove(path)

def write(path, text):
    room(path)
    with opened(path, "wb") as stream:
        stream.write(os.fsencode(text))

def change(path, work):
    with opened(path, "rb") as stream:
        content = stream.read()
    with opened(path, "wb") as stream:
        stream.write(work(content))

def append(path, text):
    with opened(path, "ab") as stream:
        stream.write(os.fsencode(text))

def replace(path, text):
    cleared(path)
    write(path, text)

def large(path, size):
    write(path, "")
    change(path, lambda _: bytes(range(251)) * (size // 251))

def sparse(path, size):
    append(path, "")
    os.truncate(path, size)

def sneak(path):
    before = os.stat(path)
    change(path, lambda content: content[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

def mapped(path):
    with opened(path, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as memory:
        memory[0] = memory[0] ^ 1

def rename(path, other):
    room(other)
    os.rename(path, other)

def swap(path, other):
    os.rename(path, "swapped")
    os.rename(other, path)
    os.rename("swapped", other)

def copy(path, other):
    room(other)
    shutil.copy2(path, other)

def again(path):
    shutil.copy2(path, "again", follow_symlinks=False)
    os.rename("again", path)

def hardlink(path, other):
    cleared(other)
    os.link(path, other)

def folder(path):
    cleared(path)
    os.mkdir(path)

def symlink(path, target):
    cleared(path)
    os.symlink(target, path)

def fifo(path):
    cleared(path)
    os.mkfifo(path)

def sock(path):
    cleared(path)
    socket.socket(socket.AF_UNIX).bind(path)

def times(path, moment):
    os.utime(path, ns=(moment, moment), follow_symlinks=False)

def git(*arguments):
    subprocess.run(["git", *arguments], capture_output=True)

def nested(path, commit):
    git("init", "-q", path)
    if commit:
        write(path + "/inner", "inner")
        git("-C", path, "add", "-A")
        git("-C", path, "-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m")

def to_crlf(path):
    change(path, lambda content: content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))

def to_lf(path):
    change(path, lambda content: content.replace(b"\r\n", b"\n"))

for name, *arguments in json.load(sys.stdin):
    try:
        work = {"truncate": os.truncate, "chmod": os.chmod}.get(name) or globals()[name]
        work(*arguments)
    except (OSError, ValueError, shutil.Error):
        pass  # a random edit may be impossible
"""
LISTING = r"""
import hashlib, json, os, stat

def read(path):
    try:
        with open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except PermissionError:
        return None

def walk(folder, prefix):
    names = os.listdir(folder)
    states = [(name, os.lstat(os.path.join(folder, name))) for name in names]
    for name, state in states:
        path = prefix + name
        if path == ".git":
            continue
        if stat.S_ISDIR(state.st_mode):
            found.append([path, "folder", False, None])
            try:
                walk(path, path + "/")
            except PermissionError:
                found.append([path, "closed", False, None])
        elif stat.S_ISLNK(state.st_mode):
            found.append([path, "link", False, os.readlink(path)])
        elif stat.S_ISREG(state.st_mode):
            content = read(path)
            kind = "file" if content else "shut"
            found.append([path, kind, bool(state.st_mode & stat.S_IXUSR), content])
        else:
            found.append([path, "special", False, None])

found = []
walk(".", "")
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Found:
    """What the listing says of a path: `kind` is file, shut (a file that cannot be read), link,
    folder, closed (a folder that cannot be looked through) or special; `content` is a file's
    SHA-256 or a link's target."""

    kind: str
    executable: bool
    content: str | None


texts = st.sampled_from(
    (
        *("", "x", "a = 2\n", "b = 1\n", "one\r\ntwo\n", "\0binary\0", "\udcff\udcfe\n"),
        *("--- a/f\n+++ b/f\n", "-- a/f\n", "*\n"),
    )
)  # fmt: skip
modes = st.sampled_from((0, 0o100, 0o444, 0o555, 0o311, 0o644, 0o755))
# Each with a file in it, or one that may come to be in its place.
FOLDERS = (
    *(("lib", "lib/x.py"), ("lib/deep", "lib/deep/z"), ("a", "a/f", "f"), ("b", "b/g", "g")),
    *(("sub", "sub/s"), ("sub/lib", "sub/lib/t"), ("odd", "odd/in"), ("liblink", "liblink/x.py")),
)
GIT = (
    *(["add", "-A"], ["commit", "-qam", "x"], ["checkout", "-q", "."], ["stash", "-qu"]),
    *(["update-index", "--assume-unchanged", "a.py", "lib/x.py"], ["rm", "-qrf", "lib"]),
    *(["add", "--renormalize", "."], ["clean", "-fdqx"], ["mv", "code.py", "moved.py"]),
    *(["config", "core.autocrlf", "true"], ["reset", "-q", "--hard"], ["rm", "--cached", "a.py"]),
)  # fmt: skip


def _edit(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(st.just(name), *arguments).map(list)


def _edits_of(pool: Sequence[str]) -> st.SearchStrategy[Any]:
    """Up to three rounds of edits of a few names, so that they meet. A round is made by a command,
    or (`written`) by the sandbox's own operations."""
    names = st.sampled_from(pool)
    edit = st.one_of(
        _edit("write", names, texts),
        _edit("replace", names, texts),
        _edit("append", names, texts),
        _edit("truncate", names, st.integers(0, 40)),
        _edit("remove", names),
        _edit("chmod", names, modes),
        _edit("rename", names, names),
        _edit("swap", names, names),
        _edit("copy", names, names),
        _edit("again", names),
        _edit("hardlink", names, names),
        _edit("folder", names),
        _edit("symlink", names, st.sampled_from(("a.py", "lib", "/etc/passwd", "..", "nowhere"))),
        _edit("fifo", names),
        _edit("sock", names),
        _edit("large", names, st.sampled_from((70_000, 1_500_000))),
        _edit("sparse", names, st.sampled_from((9, 5000, 3_000_000))),
        _edit("sneak", names),
        _edit("mapped", names),
        _edit("times", names, st.sampled_from((0, 10**18, 4 * 10**18, -(10**18)))),
        _edit("to_crlf", names),
        _edit("to_lf", names),
        _edit("nested", names, st.booleans()),
        st.sampled_from(GIT).map(lambda arguments: ["git", *arguments]),
    )
    written = _edit("written", names, st.none() | texts)
    by_command = st.lists(edit, min_size=1, max_size=8)
    return st.lists(by_command | st.lists(written, min_size=1, max_size=2), min_size=1, max_size=3)


pools = st.tuples(
    st.sampled_from(FOLDERS), st.lists(st.sampled_from(NAMES), min_size=2, max_size=7)
).map(lambda drawn: (*drawn[0], *drawn[1]))
rounds = pools.flatmap(_edits_of)
