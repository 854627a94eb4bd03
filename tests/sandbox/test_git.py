import os
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


def test_private_variables_reach_git_and_are_in_no_argument(tmp_path: Path) -> None:
    git = Git(tmp_path, private={"GIT_CONFIG_COUNT": "1", **_setting("user.name", "a 'b' $c =d")})
    assert git.run("config", "user.name").stdout == b"a 'b' $c =d\n"
    git.run("init", "--bare", "--quiet")
    oid = git.run("hash-object", "-w", "--stdin", stdin=b"x\n\ny").stdout.decode().strip()
    assert git.run("cat-file", "blob", oid).stdout == b"x\n\ny"
    with git.process("version") as process:
        assert not any("a 'b' $c" in str(word) for word in process.args)
    assert "a 'b' $c" not in repr(git)
    with pytest.raises(ValueError, match="one line"):
        Git(tmp_path, private={"A": "b\nPATH=/evil"}).run("version")


def _setting(name: str, value: str) -> dict[str, str]:
    return {"GIT_CONFIG_KEY_0": name, "GIT_CONFIG_VALUE_0": value}


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
