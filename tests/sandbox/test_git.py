import os
import subprocess
import time
from pathlib import Path

import pytest

from sandbox import git as git_module
from sandbox.errors import SetupError
from sandbox.git import Git, GitError, GitLimits


@pytest.fixture
def store(tmp_path: Path) -> Git:
    Git(tmp_path).run("init", "--bare", "--quiet")
    return Git(tmp_path)


def test_a_command_gives_its_output_and_takes_standard_input(store: Git) -> None:
    oid = store.run("hash-object", "-w", "--stdin", "--no-filters", stdin=b"text\r\n").stdout
    assert store.run("cat-file", "blob", oid.decode().strip()).stdout == b"text\r\n"


def test_a_failing_command_raises_what_git_said(store: Git) -> None:
    with pytest.raises(GitError) as caught:
        store.run("cat-file", "blob", "nothing")
    assert "nothing" in caught.value.stderr
    assert caught.value.status == 128


def test_a_failing_command_can_be_looked_at_instead(store: Git) -> None:
    assert store.run("cat-file", "-e", "0" * 40, check=False).status != 0


def test_the_environment_of_this_process_does_not_reach_git(
    store: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Mallory")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    tell = store.run("-c", "alias.tell=!env", "tell").stdout.decode()
    assert "secret" not in tell
    assert "Mallory" not in tell
    assert "elsewhere" not in tell
    assert store.run("config", "user.name", check=False).status == 1


def test_settings_of_a_repository_start_no_program(tmp_path: Path) -> None:
    top = tmp_path / "hostile"
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    (top / "file").write_text("text")
    subprocess.run(["git", "-C", str(top), "add", "file"], check=True)
    ran = tmp_path / "ran"
    hook = top / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n")
    hook.chmod(0o755)
    program = f"touch {ran}; false"
    with (top / ".git" / "config").open("a") as config:
        config.write(f'[core]\nfsmonitor = "{program}"\nsshCommand = "{program}"\n')
        config.write(f'pager = "{program}"\nhooksPath = {hook.parent}\n')
        config.write(f'[pager]\nls-files = "{program}"\n[alias]\nls-files = "!{program}"\n')
        config.write(f'[diff]\nexternal = "{program}"\n')
    git = Git(top / ".git", work_tree=top)
    listed = git.run("ls-files", "-z", "--stage").stdout
    assert listed.endswith(b"\tfile\0")
    git.run("ls-files", "-o", "--exclude-standard", "-z")
    assert not ran.exists()


def test_a_command_that_takes_too_long_is_killed_with_its_children(
    store: Git, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    alias = f"alias.wait=!sleep 60 & echo $! > '{child}'; wait"
    started = time.monotonic()
    with pytest.raises(GitError, match=r"longer than 0\.5 seconds"):
        store.run("-c", alias, "wait", limits=GitLimits(seconds=0.5))
    assert time.monotonic() - started < 20
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child.read_text().strip()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_size_of_a_file_is_limited(store: Git) -> None:
    with pytest.raises(GitError):
        store.run(
            "hash-object",
            "-w",
            "--stdin",
            stdin=os.urandom(1 << 20),
            limits=GitLimits(file_bytes=64 << 10),
        )


def test_memory_is_limited(store: Git) -> None:
    content = bytes(48 << 20)
    with pytest.raises(GitError):
        store.run("hash-object", "--stdin", stdin=content, limits=GitLimits(memory_bytes=32 << 20))


def test_a_folder_with_any_characters_works(tmp_path: Path) -> None:
    folder = tmp_path / "~ $HOME 'é\n\udcff"
    folder.mkdir()
    Git(folder).run("init", "--bare", "--quiet")
    assert Git(folder).run("rev-parse", "--is-bare-repository").stdout == b"true\n"


def test_a_machine_without_git_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git_module._git_python.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="git was not found") as caught:
        Git().run("version")
    assert "install" in caught.value.hint


def test_programs_of_the_current_folder_are_never_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "git"
    fake.write_text("#!/bin/sh\necho fake\n")
    fake.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert Git().run("version").stdout.startswith(b"git version")
