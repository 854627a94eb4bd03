"""A wheel, built from the files as they are tracked, works without the checkout."""

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import sandbox
from sandbox.baseimage import dockerfile
from sandbox.profile import seccomp_profile
print(len(dockerfile()), len(seccomp_profile("x86_64")), sandbox.__file__)
"""


def tracked_files() -> list[str]:
    """What is in the checkout and not ignored: just that is what a fresh clone would have."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return [name for name in listing.decode().split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packaging")
    for name in tracked_files():
        target = folder / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet",
         "--wheel-dir", str(folder), str(folder / "source")],
        check=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module(names: set[str]) -> None:
    packages = ("agent/", "sandbox/", "tasks/", "tools/")
    own = [
        name
        for name in tracked_files()
        if name.startswith(packages) and name.endswith(".py") and "/starter/" not in name
    ]
    assert set(own) - names == set()


def test_the_wheel_holds_the_starter_suite_to_the_last_file(names: set[str]) -> None:
    suite = [name for name in tracked_files() if name.startswith("tasks/suites/starter/")]
    assert len([name for name in suite if name.endswith("/task.toml")]) >= 16
    assert set(suite) - names == set()


def test_the_wheel_holds_the_dockerfile_itself_and_the_seccomp_profiles(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read("sandbox/Dockerfile.sandbox").decode()
        profiles = {n for n in archive.namelist() if n.startswith("sandbox/seccomp/")}
    assert text == (ROOT / "Dockerfile.sandbox").read_text()
    assert {"sandbox/seccomp/x86_64.json", "sandbox/seccomp/aarch64.json"} <= profiles


def test_the_wheel_holds_what_an_image_build_is_given(names: set[str]) -> None:
    assert "tasks/installs/place.js" in names


def test_the_wheel_holds_nothing_else(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "agent",
        "sandbox",
        "tasks",
        "tools",
    }
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_core_needs_no_deep_learning_library(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        path = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(path).decode()
    needs = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    core = [line for line in needs if "extra ==" not in line]
    assert core
    assert not [line for line in core if "torch" in line or "transformers" in line]
    assert [
        line for line in needs if "torch" in line and "extra == 'local'" in line.replace('"', "'")
    ]


def test_the_installed_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install",
         "--no-deps", "--no-index", "--quiet", str(wheel)],
        check=True,
    )  # fmt: skip
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    shown = subprocess.run(
        [home / "bin/greenroom", "--help"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "solve" in shown
    found = subprocess.run(
        [home / "bin/python", "-P", "-c", USE],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    assert int(found[0]) > 500
    assert int(found[1]) > 500
    assert found[2].startswith(str(home))
