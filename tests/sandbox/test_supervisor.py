"""The parts of the supervisor that can be tried without a container."""

import ast
import marshal
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import protocol, source, supervisor
from sandbox.supervisor import files, light, paths, stream
from sandbox.supervisor.commands import Kept

# What came to the standard library after Python 3.7 and is easily used by mistake.
LATER = {
    "removeprefix", "removesuffix", "copy_file_range", "memfd_create", "pidfd_open", "send_fds",
    "recv_fds", "waitstatus_to_exitcode", "cached_property", "cache", "pairwise", "batched",
    "fwalk_at", "posix_spawn", "raise_signal", "pidfd_send_signal", "unparse", "prod", "isqrt",
}  # fmt: skip
LATER_MODULES = {"graphlib", "zoneinfo", "tomllib"}
# Those of these that are installed load the modules and do work with them.
PYTHONS = ("python3.7", "python3.8", "python3.9", "python3.10", "python3.13", sys.executable)
FOLDER = Path(supervisor.__file__).parent


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setattr(paths, "ROOT", str(folder))
    return folder


# -- what is sent in ----------------------------------------------------------------------------


def texts() -> dict[str, str]:
    root = Path(source.__file__).parent.parent
    return {name: (root / (name.replace(".", "/") + ".py")).read_text() for name in source.MODULES}


def test_all_of_it_is_python_3_7() -> None:
    for name, text in texts().items():
        tree = ast.parse(text, name, feature_version=(3, 7))
        # Annotations are not evaluated; so newer ones do no harm there.
        first = next(node for node in tree.body if not isinstance(node, ast.Expr))
        assert isinstance(first, ast.ImportFrom), name
        assert first.module == "__future__", name
        for node in ast.walk(tree):
            assert not isinstance(node, ast.NamedExpr | ast.Match), name
            assert not (isinstance(node, ast.Attribute) and node.attr in LATER), (name, node.attr)
            if isinstance(node, ast.ImportFrom):
                assert LATER.isdisjoint(alias.name for alias in node.names), (name, node.lineno)


def test_it_needs_the_standard_library_and_itself_only() -> None:
    known: list[str] = []
    for name, text in texts().items():
        known.append(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [str(node.module)]
                if node.module in ("sandbox", "sandbox.supervisor"):
                    modules = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for module in modules:
                if module.startswith("sandbox"):
                    assert module in known, f"{name} imports {module} before it is loaded"
                else:
                    top = module.partition(".")[0]
                    assert top in sys.stdlib_module_names - LATER_MODULES


def test_all_of_its_modules_are_sent() -> None:
    there = {f"sandbox.supervisor.{path.stem}" for path in FOLDER.glob("*.py")}
    assert there - {"sandbox.supervisor.__init__"} == {
        name for name in source.MODULES if name.startswith("sandbox.supervisor.")
    }


def test_the_text_tells_its_length_first() -> None:
    sent = source.supervisor_source()
    assert int(sent[:10]) == len(sent) - 10
    _, modules = marshal.loads(sent[10:])
    assert [name for name, text, _ in modules if text] == list(source.MODULES)


# Most of what it does to files, as a user of no other rights than the test's.
WORK = r"""
import contextlib, hashlib, json, os, sys
root, bootstrap = sys.argv[1:]
exec(bootstrap.rpartition("sys.modules[")[0])
from sandbox import protocol
from sandbox.supervisor import commands, files, light, paths, pristine, processes, records, terminal
from sandbox.supervisor.tree import Tree

class Account:
    acting = contextlib.nullcontext

paths.ROOT = root
tree = Tree(Account())
loader = records.Loader(root, 10**18, tree)
for kind, path, content in (
    (protocol.FILE, b"d/a", b"1"),
    (protocol.SYMLINK, b"link", b"d"),
    (protocol.EXECUTABLE, b"gone", b""),
):
    identity = hashlib.sha1(b"blob %d\0" % len(content) + content).digest()
    loader.feed(protocol.encode_record(kind, path, content, identity))
loader.finish()
tree.remember()
tree.expect_writes()
tree.suspect = True
assert tree.changes(9) == {"changed": [], "deleted": [], "notes": []}
applier = records.Applier()
applier.feed(protocol.encode_record(protocol.DELETED, b"gone"))
applier.feed(protocol.encode_record(protocol.EXECUTABLE, b"new/f", b"new"))
applier.finish()
files.write("d/a", b"2", None)
os.mkfifo(root + "/pipe")
found = tree.changes(9)
assert sorted(found["changed"]) == [("d/a", "file", 1, False), ("new/f", "file", 3, True)], found
assert found["deleted"] == ["gone"] and found["notes"] == [("pipe", "is a pipe")], found
decoder = protocol.RecordDecoder()
pieces = decoder.feed(b"".join(tree.fetch(["d/a", "new/f", "pipe"], 99)))
assert [piece[4] for piece in pieces] == [b"2", b"new", b""]
assert b"".join(files.read_chunks("new/f", 9)) == b"new"
files.remove("new")
assert [entry[0] for entry in files.listing(".", 2, 9)["entries"]] == ["d", "d/a", "link", "pipe"]
request = {"pattern": "2", "literal": False, "glob": None, "path": ".", "limit": 1, "line_bytes": 9}
assert files.search(request) == 0
assert processes.libc.prctl(processes.PR_SET_DUMPABLE, light.UnsignedLong(0), 0, 0, 0) == 0
try:
    processes.set_process_option(processes.PR_SET_DUMPABLE, 1 << 33)
except OSError as error:
    assert error.errno == 22
else:
    assert False, "the upper half of a number was lost"
for value in (None, [True, False, -7, 0.5, (1,)], {"a": {"b": "\udce4\u20ac\\ \"\n"}}, ""):
    assert light.dumps(value) == json.dumps(value)
    assert light.loads(light.dumps(value).encode()) == json.loads(json.dumps(value))
"""
LOADED = """
import sys
exec(sys.argv[1].rpartition("sys.modules[")[0])
print(*sorted(sys.modules))
"""
SETTINGS = """
import os, sys
exec(sys.argv[1].rpartition("sys.modules[")[0])
main = sys.modules["sandbox.supervisor.main"]
class Supervisor:
    def __init__(self, source, target):
        pass
    def serve(self):
        import hashlib
        print(hashlib.sha1.__name__, os.environ["OPENSSL_CONF"], flush=True)
        raise SystemExit(0)
main.Supervisor = Supervisor
os.setgroups = lambda groups: None
main.main()
"""
# Of OpenSSL, which then has no SHA-1; Python's own is taken instead.
WITHOUT_SHA1 = """
openssl_conf = all
[all]
providers = some
[some]
legacy = one
[one]
activate = 1
"""
# What takes long to load, or loads what does.
HEAVY = {
    *(
        "collections",
        "contextlib",
        "ctypes",
        "enum",
        "functools",
        "inspect",
        "json",
        "re",
        "selectors",
    ),
    *("signal", "socket", "subprocess", "tempfile", "threading", "typing", "warnings"),
}


def installed(python: str) -> str:
    """A Python's program; skips where there is none."""
    program = shutil.which(python) or ""
    probe = [program, "-I", "-c", "import ctypes"]
    if not program or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip(f"there is no {python}")
    return program


@pytest.mark.parametrize("python", PYTHONS)
def test_old_pythons_load_and_work_it(python: str, tmp_path: Path) -> None:
    result = subprocess.run(
        [installed(python), "-I", "-S", "-X", "utf8", "-c", WORK, str(tmp_path), source.BOOTSTRAP],
        input=source.supervisor_source(),
        capture_output=True,
        check=False,
    )
    assert (result.stdout, result.stderr) == (b'["d/a", 1, "2"]\n', b"")


@pytest.mark.parametrize("python", PYTHONS)
def test_it_loads_nothing_that_takes_long(python: str) -> None:
    result = subprocess.run(
        [installed(python), "-I", "-S", "-X", "utf8", "-c", LOADED, source.BOOTSTRAP],
        input=source.supervisor_source(),
        capture_output=True,
        check=True,
    )
    assert HEAVY & set(result.stdout.decode().split()) == set()


def test_openssl_s_settings_are_not_read_and_the_commands_variables_stay(tmp_path: Path) -> None:
    conf = tmp_path / "openssl.cnf"
    conf.write_text(WITHOUT_SHA1)
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "utf8", "-c", SETTINGS, source.BOOTSTRAP],
        input=source.supervisor_source(),
        env={"PATH": os.defpath, "OPENSSL_CONF": str(conf)},
        capture_output=True,
        check=True,
    )
    assert result.stdout.decode() == f"openssl_sha1 {conf}\n"


def test_each_descriptor_s_work_is_done_while_it_is_ready_and_registered() -> None:
    selector = light.Selector()
    reads, writes = zip(os.pipe(), os.pipe(), strict=True)
    done: list[int] = []

    def first(fd: int, other: int) -> None:
        done.append(os.read(fd, 1)[0])
        if other in selector:  # what ended together with this one
            selector.unregister(other)

    try:
        selector.register(reads[0], light.READ, lambda: first(*reads))
        selector.register(reads[1], light.READ, lambda: first(*reversed(reads)))
        selector.work(0.0)
        assert done == []
        for fd, data in zip(writes, (b"a", b"b"), strict=True):
            os.write(fd, data)
        selector.work(60.0)
        assert len(done) == 1
        selector.work(0.0)
        assert len(done) == 1
    finally:
        for fd in (*reads, *writes):
            os.close(fd)
    for fd in reads:
        if fd in selector:
            selector.unregister(fd)  # although it was closed


@pytest.mark.parametrize("size", [1, 70_000])
def test_frames_go_out_whole_and_in_order_however_little_the_stream_takes(size: int) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    outbox = stream.Outbox(write)
    sent = [bytes([number % 251]) * size for number in range(150)]
    for number, payload in enumerate(sent):
        outbox.send(protocol.OUTPUT, number, payload)
    decoder = protocol.Decoder(protocol.SUPERVISOR_KINDS)
    got: list[bytes] = []
    while outbox.size:
        outbox.flush()
        got += [payload for _, _, payload in decoder.feed(os.read(read, 1 << 16))]
    os.close(write)
    while data := os.read(read, 1 << 16):
        got += [payload for _, _, payload in decoder.feed(data)]
    os.close(read)
    assert got == sent


# -- paths --------------------------------------------------------------------------------------


def opened(path: str, **options: bool) -> str:
    """Where a path leads, as the system sees what was opened."""
    with paths.ParentOf(path, **options) as (folder, name):
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), name)


def test_a_path_leads_to_its_folder(workspace: Path) -> None:
    (workspace / "a" / "b").mkdir(parents=True)
    assert opened("a/b/c") == f"{workspace}/a/b/c"
    assert opened("./a//b/./c") == f"{workspace}/a/b/c"
    assert opened("a/../a/b") == f"{workspace}/a/b"
    assert opened(f"{workspace}/a/x") == f"{workspace}/a/x"
    assert opened("") == f"{workspace}/."
    assert opened("a/..") == f"{workspace}/."


@pytest.mark.parametrize("path", ["..", "a/../..", "../workspace/a", "/", "/etc/passwd", "/work"])
def test_paths_out_of_the_workspace_are_refused(workspace: Path, path: str) -> None:
    (workspace / "a").mkdir()
    with pytest.raises(paths.OutsideError):
        opened(path)


def test_links_are_followed_while_they_stay_inside(workspace: Path) -> None:
    (workspace / "a").mkdir()
    (workspace / "in").symlink_to("a")
    (workspace / "absolute").symlink_to(workspace / "a")
    (workspace / "a" / "up").symlink_to("../a")
    assert opened("in/x") == f"{workspace}/a/x"
    assert opened("absolute/up/x") == f"{workspace}/a/x"
    assert opened("in", follow=False) == f"{workspace}/in"
    with pytest.raises(OSError, match="directory"):
        opened("in/x", through=False)


@pytest.mark.parametrize("target", ["..", "/etc", "../secret", "a/../../secret", "/proc/self"])
def test_links_out_of_the_workspace_are_refused(workspace: Path, target: str) -> None:
    (workspace / "a").mkdir()
    (workspace / "out").symlink_to(target)
    for path in ("out", "out/x", "a/../out/x"):
        with pytest.raises(paths.OutsideError):
            opened(path)


def test_links_in_a_circle_end(workspace: Path) -> None:
    (workspace / "a").symlink_to("b")
    (workspace / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        opened("a/x")


names = st.sampled_from(["a", "b", "c", "..", ".", "l1", "l2"])
targets = st.lists(names, min_size=1, max_size=4).map("/".join)


@settings(max_examples=150, deadline=None)
@given(
    links=st.dictionaries(st.sampled_from(["l1", "a/l2", "a/b/c"]), targets, max_size=3),
    absolute=st.booleans(),
    path=st.lists(names, max_size=5).map("/".join),
)
def test_no_mixture_of_links_and_parents_leads_out(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], absolute: bool, path: str
) -> None:
    workspace = tmp_path_factory.mktemp("links") / "workspace"
    (workspace / "a" / "b").mkdir(parents=True)
    (workspace / "b").mkdir()
    for place, target in links.items():
        (workspace / place).symlink_to(f"{workspace}/{target}" if absolute else target)
    before, paths.ROOT = paths.ROOT, str(workspace)
    try:
        where = opened(path)
    except OSError:
        return
    finally:
        paths.ROOT = before
    assert where == str(workspace) or where.startswith(f"{workspace}/")


def test_only_regular_files_are_opened_and_none_blocks(workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    (workspace / "folder").mkdir()
    (workspace / "link").symlink_to("file")
    (workspace / "file").write_text("x")
    folder = os.open(workspace, os.O_RDONLY)
    for name in ("pipe", "folder", "link"):
        with pytest.raises(OSError, match=r"regular|directory|symbolic"):
            paths.open_regular(folder, name, os.O_RDONLY)
    fd = paths.open_regular(folder, "file", os.O_RDONLY)
    assert os.read(fd, 9) == b"x"
    os.close(fd)
    os.close(folder)


def test_a_deep_tree_with_closed_folders_is_removed(workspace: Path) -> None:
    here = os.getcwd()
    os.chdir(workspace)
    try:
        for _ in range(700):
            os.mkdir("d")
            os.chdir("d")
        os.symlink("/etc", "link")
        os.chmod(".", 0)
    finally:
        os.chdir(here)
    folder = os.open(workspace, os.O_RDONLY)
    paths.remove_tree(folder, "d")
    os.close(folder)
    assert not list(workspace.iterdir())


def test_removing_a_link_leaves_what_it_leads_to(workspace: Path) -> None:
    (workspace / "kept").mkdir()
    (workspace / "kept" / "file").touch()
    (workspace / "link").symlink_to("kept")
    folder = os.open(workspace, os.O_RDONLY)
    paths.remove_tree(folder, "link")
    os.close(folder)
    assert (workspace / "kept" / "file").exists()


def test_a_written_file_gets_a_later_second(workspace: Path) -> None:
    files.write("m.py", b"1", None)
    first = (workspace / "m.py").stat()
    files.write("m.py", b"2", None)
    second = (workspace / "m.py").stat()
    assert int(second.st_mtime) > int(first.st_mtime)
    assert stat.S_IMODE(second.st_mode) == 0o644


# -- kept output --------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40)), st.integers(0, 30), st.integers(0, 30))
def test_of_output_head_and_tail_are_kept(parts: list[bytes], live: int, tail: int) -> None:
    kept = Kept(live, tail)
    sent = b"".join(kept.add(part) for part in parts)
    whole = b"".join(parts)
    assert sent == whole[:live]
    assert kept.total == len(whole)
    rest = whole[live:]
    assert kept.tail() == (rest[-tail:] if tail else b"")


def test_a_folder_is_emptied_however_deep_and_whatever_its_modes(workspace: Path) -> None:
    for name, depth in (("shallow", 3), ("deep", 100)):
        folder = workspace / name
        for level in range(depth):
            (folder / "empty").mkdir(parents=True)
            (folder / "file").touch()
            (folder / "link").symlink_to(workspace.parent)
            (folder / "empty").chmod(0)
            folder = folder / f"d{level}"
        folder.mkdir()
        folder.parent.chmod(0o500)
    fd = os.open(workspace, os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    paths.empty(fd)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)
    assert not list(workspace.iterdir())
    assert (workspace.parent / "secret").exists()
