import errno
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.errors import UsageError
from sandbox.patch import EXECUTABLE, FILE, SYMLINK, decode_path
from sandbox.trees import TreeStore
from tasks.nofollow import CheckoutFiles
from tasks.workspace import Prepared, fingerprint_of, prepare_base, size_text

Prepare = Callable[..., Prepared]


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "check out é"
    git(tmp_path, "init", "-q", str(folder))
    return folder


@pytest.fixture
def prepare(top: Path, tmp_path: Path) -> Prepare:
    store = TreeStore.create(tmp_path / "store")
    return lambda folder=top, **options: prepare_base(folder, store, **options)


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def put(top: Path, path: str, content: bytes | str = b"x\n") -> None:
    place = top / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)


def commit(top: Path, **files: str) -> None:
    for path, content in files.items():
        put(top, path, content)
    git(top, "add", "-A")
    git(top, "commit", "-qm", "a commit")


def taken(prepared: Prepared) -> dict[str, tuple[int, bytes]]:
    entries = prepared.base.entries.values()
    blobs = prepared.base.store.read(entry.blob for entry in entries)
    return {e.path: (e.mode, content) for e, content in zip(entries, blobs, strict=True)}


def test_what_the_user_sees_now_is_taken(top: Path, prepare: Prepare) -> None:
    commit(top, kept="old\n", changed="old\n", gone="old\n", staged="old\n")
    put(top, "changed", "new\n")
    put(top, "staged", "staged\n")
    git(top, "add", "staged")
    put(top, "staged", "newest\n")
    (top / "gone").unlink()
    put(top, "sub/untracked", "new\n")
    put(top, ".gitignore", "*.log\n")
    put(top, "a.log")
    prepared = prepare()
    assert {path: content for path, (_, content) in taken(prepared).items()} == {
        ".gitignore": b"*.log\n",
        "changed": b"new\n",
        "kept": b"old\n",
        "staged": b"newest\n",
        "sub/untracked": b"new\n",
    }
    assert prepared.untracked == (".gitignore", "sub/untracked")
    assert any("Deleted in your checkout" in note and "gone" in note for note in prepared.notes)
    head = subprocess.run(
        ["git", "-C", str(top), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert prepared.head_commit == head.stdout.strip()


def test_contents_names_and_modes_are_exact(top: Path, prepare: Prepare) -> None:
    odd = decode_path(b"latin-\xe9")
    put(top, ".gitattributes", "* text=auto eol=lf\n*.txt filter=broken\n")
    put(top, "crlf.txt", b"a\r\nb\n\r")
    put(top, "binary", bytes(range(256)))
    put(top, "sp ace/ünï\u202e.py", "…")
    put(top, "line\nbreak", b"")
    (top / os.fsdecode(b"latin-\xe9")).write_bytes(b"\xe9")
    put(top, "run.sh", "#!/bin/sh\n")
    (top / "run.sh").chmod(0o775)
    git(top, "config", "filter.broken.clean", "false")
    git(top, "config", "core.autocrlf", "true")
    found = taken(prepare())
    assert found["crlf.txt"] == (FILE, b"a\r\nb\n\r")
    assert found["binary"] == (FILE, bytes(range(256)))
    assert found["sp ace/ünï\u202e.py"] == (FILE, "…".encode())
    assert found["line\nbreak"] == (FILE, b"")
    assert found[odd] == (FILE, b"\xe9")
    assert found["run.sh"] == (EXECUTABLE, b"#!/bin/sh\n")


def test_links_are_recorded_and_never_followed(top: Path, prepare: Prepare, tmp_path: Path) -> None:
    put(tmp_path, "secret/file", "secret")
    commit(top, **{"real/file": "x"})
    (top / "inner").symlink_to("real/file")
    (top / "outer").symlink_to(tmp_path / "secret" / "file")
    (top / "up").symlink_to("../elsewhere")
    # A tracked folder that was replaced by a link to another place.
    (top / "real" / "file").unlink()
    (top / "real").rmdir()
    (top / "real").symlink_to(tmp_path / "secret")
    prepared = prepare()
    found = taken(prepared)
    assert found["inner"] == (SYMLINK, b"real/file")
    assert found["real"][0] == SYMLINK
    assert "real/file" not in found
    assert not any(content == b"secret" for _, content in found.values())
    note = next(note for note in prepared.notes if "point out" in note)
    assert "outer" in note
    assert "up" in note
    assert "inner" not in note


def test_a_checkout_without_a_commit_is_fine(top: Path, prepare: Prepare) -> None:
    put(top, "one")
    git(top, "add", "one")
    put(top, "two")
    prepared = prepare()
    assert set(taken(prepared)) == {"one", "two"}
    assert prepared.head_commit is None


def test_any_folder_inside_stands_for_the_whole(top: Path, prepare: Prepare) -> None:
    commit(top, **{"one": "x", "deep/er/two": "x"})
    prepared = prepare(top / "deep" / "er")
    assert set(taken(prepared)) == {"one", "deep/er/two"}
    assert prepared.checkout.top == top.resolve()


def test_a_further_work_tree_is_a_checkout(top: Path, prepare: Prepare, tmp_path: Path) -> None:
    commit(top, one="x")
    git(top, "worktree", "add", "-q", str(tmp_path / "second"), "-b", "second")
    put(top, ".git/info/exclude", "hidden\n")
    put(tmp_path / "second", "two")
    put(tmp_path / "second", "hidden")
    assert set(taken(prepare(tmp_path / "second"))) == {"one", "two"}


def test_folders_that_are_no_checkout_are_told_apart(
    top: Path, prepare: Prepare, tmp_path: Path
) -> None:
    put(tmp_path, "plain/file")
    git(tmp_path, "init", "-q", "--bare", str(tmp_path / "bare"))
    put(tmp_path, "stale/.git", "gitdir: /nowhere/at/all\n")
    cases = {
        tmp_path / "plain": "not in a git repository",
        tmp_path / "bare": "without a work tree",
        top / ".git" / "refs": "without a work tree",
        tmp_path / "missing": "does not exist",
        tmp_path / "plain" / "file": "is not a folder",
        tmp_path / "stale": "names no git directory",
        top: "has no files",
    }
    for folder, said in cases.items():
        with pytest.raises(UsageError, match=said) as caught:
            prepare(folder)
        assert caught.value.hint


def test_a_broken_index_is_said(top: Path, prepare: Prepare) -> None:
    commit(top, one="x")
    (top / ".git" / "index").write_bytes(b"garbage")
    with pytest.raises(UsageError, match="could not be read"):
        prepare()


def test_ignored_files_are_taken_when_asked_for(top: Path, prepare: Prepare) -> None:
    put(top, ".gitignore", "data/\n*.env\n")
    put(top, "data/one.csv")
    put(top, "data/two.bin")
    put(top, "local.env")
    assert set(taken(prepare())) == {".gitignore"}
    prepared = prepare(include=["data/*.csv"])
    assert set(taken(prepared)) == {".gitignore", "data/one.csv"}
    assert prepared.included == ("data/one.csv",)
    assert prepared.untracked == (".gitignore",)


def test_files_are_left_out_when_asked_for(top: Path, prepare: Prepare) -> None:
    commit(top, **{"big/tracked": "x", "kept": "x"})
    put(top, "big/untracked")
    prepared = prepare(exclude=["big/"])
    assert set(taken(prepared)) == {"kept"}
    assert prepared.notes == ()


def test_what_tools_leave_behind_is_left_out_unless_tracked(top: Path, prepare: Prepare) -> None:
    put(top, "pkg/__pycache__/tracked.pyc")
    git(top, "add", "-f", ".")
    put(top, "pkg/__pycache__/a.pyc")
    put(top, "pkg.egg-info/entry_points.txt")
    put(top, "code.py")
    assert set(taken(prepare())) == {"pkg/__pycache__/tracked.pyc", "code.py"}
    assert "pkg.egg-info/entry_points.txt" in taken(prepare(include=["*.egg-info/"]))


def test_the_base_keeps_the_ignore_rules_of_repository_and_user(
    top: Path, prepare: Prepare, own_home: Path
) -> None:
    put(own_home, "my ignores", "*.mine\n")
    put(own_home, ".gitconfig", "[core]\nexcludesFile = ~/my ignores\n")
    put(top, ".git/info/exclude", "*.info\n")
    put(top, ".gitignore", "*.top\n")
    put(top, "sub/.gitignore", "!keep.top\n")
    put(top, "a.mine")
    put(top, "a.info")
    put(top, "a.top")
    base = prepare().base
    assert {entry.path for entry in base.entries.values()} == {".gitignore", "sub/.gitignore"}
    for ignored in ("x.mine", "x.info", "x.top", "sub/x.top"):
        assert base.ignores(ignored)
    for kept in ("sub/keep.top", "x"):
        assert not base.ignores(kept)


def test_default_global_excludes_are_found(top: Path, prepare: Prepare, own_home: Path) -> None:
    put(own_home, ".config/git/ignore", "*.mine\n")
    put(top, "a.mine")
    put(top, "b")
    prepared = prepare()
    assert set(taken(prepared)) == {"b"}
    assert prepared.base.ignores("x.mine")


def test_a_repository_cannot_make_a_private_file_part_of_the_rules(
    top: Path, prepare: Prepare, own_home: Path
) -> None:
    put(own_home, "private", "SECRET\n")
    git(top, "config", "core.excludesFile", str(own_home / "private"))
    put(top, "a")
    (top / ".git" / "info" / "exclude").unlink(missing_ok=True)
    (top / ".git" / "info").mkdir(exist_ok=True)
    (top / ".git" / "info" / "exclude").symlink_to(own_home / "private")
    (top / "sub").mkdir()
    (top / "sub" / ".gitignore").symlink_to(own_home / "private")
    assert prepare().base.ignore == ()


def test_submodules_and_nested_repositories_are_named(
    top: Path, prepare: Prepare, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    commit(other, inner="x")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "mod")
    git(tmp_path, "init", "-q", str(top / "nest"))
    put(top, "nest/file")
    commit(top / "nest", one="x")
    put(top, "a")
    prepared = prepare()
    assert set(taken(prepared)) == {".gitmodules", "a"}
    assert any("Submodules" in note and "mod" in note for note in prepared.notes)
    assert any("Nested" in note and "nest" in note for note in prepared.notes)
    prepared = prepare(include=["mod/", "nest/file"])
    assert set(taken(prepared)) == {".gitmodules", "a", "mod/inner", "nest/file"}
    assert prepared.notes == ()


def test_lfs_pointers_are_named(top: Path, prepare: Prepare) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    put(top, "model.bin", pointer)
    assert any("LFS" in note and "model.bin" in note for note in prepare().notes)


def test_conflicts_and_sparse_checkouts_are_said(top: Path, prepare: Prepare) -> None:
    commit(top, **{"a": "base\n", "other/b": "x\n"})
    git(top, "checkout", "-qb", "side")
    commit(top, a="side\n")
    git(top, "checkout", "-q", "-")
    commit(top, a="main\n")
    with pytest.raises(subprocess.CalledProcessError):
        git(top, "merge", "-q", "side")
    assert any("merge conflicts: a" in note for note in prepare().notes)
    git(top, "merge", "--abort")
    git(top, "sparse-checkout", "set", "nothing")
    notes = prepare().notes
    assert any("sparse" in note and "1 tracked" in note for note in notes)


def test_special_files_do_not_hang_and_are_named(top: Path, prepare: Prepare) -> None:
    commit(top, pipe="x", a="x")
    (top / "pipe").unlink()
    os.mkfifo(top / "pipe")
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind(str(top / "sock"))
        prepared = prepare()
    assert set(taken(prepared)) == {"a"}
    assert any("neither files nor links: pipe" in note for note in prepared.notes)


def test_an_unreadable_file_is_named(
    top: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(top, "closed")

    def refuse(self: CheckoutFiles, path: str) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    # The tests may run as root, who can read everything.
    monkeypatch.setattr(CheckoutFiles, "read", refuse)
    with pytest.raises(UsageError, match="closed cannot be read: Permission denied"):
        prepare()


def test_a_file_that_vanishes_meanwhile_is_named(
    top: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(top, "fleeting")
    real = TreeStore.add_tree

    def add_late(self: TreeStore, files: object) -> str:
        (top / "fleeting").unlink()
        return real(self, files)  # type: ignore[arg-type]

    monkeypatch.setattr(TreeStore, "add_tree", add_late)
    with pytest.raises(UsageError, match="fleeting vanished"):
        prepare()


def test_too_much_is_refused_with_sizes_bound_and_biggest_folders(
    top: Path, prepare: Prepare
) -> None:
    put(top, "data/raw/one", bytes(3 << 20))
    put(top, "data/raw/two", bytes(2 << 20))
    put(top, "top.bin", bytes(1 << 20))
    with pytest.raises(UsageError) as caught:
        prepare(limit_bytes=5 << 20)
    assert "has 6.0 MiB in 3 files" in caught.value.message
    assert "at most 5.0 MiB" in caught.value.message
    assert "data/raw/ (5.0 MiB), top.bin (1.0 MiB)" in caught.value.message
    assert "exclude" in caught.value.hint
    assert "workspace_size" in caught.value.hint
    assert set(taken(prepare(limit_bytes=5 << 20, exclude=["data/raw/two"]))) == {
        "data/raw/one",
        "top.bin",
    }


def test_small_files_count_as_pages(top: Path, prepare: Prepare) -> None:
    for number in range(20):
        put(top, f"f{number}", b"x")
    with pytest.raises(UsageError, match="has 80 KiB"):
        prepare(limit_bytes=79 << 10)


def test_too_many_files_are_refused_with_counts(top: Path, prepare: Prepare) -> None:
    for number in range(20):
        put(top, f"many/f{number}", b"")
    with pytest.raises(UsageError, match=r"21 files and folders; at most 20.*many/ \(20\)"):
        prepare(limit_files=20)


def test_a_hostile_repository_starts_no_program(
    top: Path, prepare: Prepare, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch '{ran}'\nexit 1\n")
    script.chmod(0o755)
    commit(top, **{"a.txt": "x", ".gitattributes": "* filter=evil diff=evil merge=evil\n"})
    for key in (
        *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass"),
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.external"),
        *("diff.evil.textconv", "alias.ls-files", "pager.ls-files", "gpg.program"),
        *("core.alternateRefsCommand", "credential.helper", "core.gitProxy"),
    ):
        git(top, "config", key, str(script))
    git(top, "config", "core.hooksPath", str(tmp_path / "hooks"))
    git(top, "config", "core.worktree", "/")
    (tmp_path / "hooks").mkdir()
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "fsmonitor"):
        (tmp_path / "hooks" / hook).symlink_to(script)
    os.utime(top / "a.txt", (1, 1))
    ran.unlink(missing_ok=True)
    assert set(taken(prepare())) == {"a.txt", ".gitattributes"}
    assert not ran.exists()


def test_a_checkout_is_left_as_it_was(top: Path, prepare: Prepare) -> None:
    commit(top, a="x")
    put(top, "b")
    before = {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in top.rglob("*")}
    prepare()
    assert {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in top.rglob("*")} == before


def test_the_fingerprint_changes_with_any_file(top: Path, prepare: Prepare) -> None:
    commit(top, a="x", b="x")
    first = prepare().fingerprint
    assert prepare().fingerprint == first
    os.utime(top / "b", ns=(1, 1))
    second = prepare().fingerprint
    assert second != first
    (top / "b").unlink()
    assert prepare().fingerprint not in {first, second}
    assert fingerprint_of({}) != fingerprint_of({"a": None})


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (20 << 20, "20 MiB"), (3 << 30, "3.0 GiB")],
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_pipe_where_git_expects_settings_does_not_hang_it(
    top: Path, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.discovery.ANSWER_SECONDS", 0.5)
    put(top, "a.txt", b"x")
    os.mkfifo(top.parent / "pipe")
    git(top, "config", "include.path", str(top.parent / "pipe"))
    with pytest.raises(UsageError, match="it took longer than"):
        prepare()
