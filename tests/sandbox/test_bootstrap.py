import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import bootstrap as module
from sandbox.aptsources import Source
from sandbox.bootstrap import bootstrap
from sandbox.buildjob import BuildSettings, Job, Stopped
from sandbox.engine import Engine
from sandbox.errors import SetupError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")
MAIN = Source("http://user:secret@mirror.example/debian", "bookworm", ("main", "contrib"))
SECURITY = Source("http://mirror.example/security", "bookworm-security", ("main",))
# Stands for debootstrap: leaves its arguments and a small system in the folder it is given.
PROGRAM = """#!/bin/bash
echo "I: Retrieving InRelease"
while [ $# -gt 3 ]; do options="$options $1"; shift; done
cd "$2"
mkdir -p bin dev etc/apt/apt.conf.d etc/dpkg/dpkg.cfg.d usr/sbin usr/share/man var/log var/cache/x
echo "$options $1 $3" > arguments
echo this-machine > etc/hostname
echo noise > var/log/noise
echo noise > usr/share/man/page
"""


@pytest.fixture
def job(engine: Engine) -> Job:
    found = Job(BuildSettings(), lambda _line: None)
    found.api = engine.api
    return found


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Debian with a mirror and a debootstrap of ours; the path of the latter."""
    program = tmp_path / "debootstrap"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setattr(module, "read_release", lambda: {"VERSION_CODENAME": "bookworm"})
    monkeypatch.setattr(module, "read_sources", lambda: [MAIN, SECURITY])
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return program


@pytest.fixture
def tag(engine: Engine) -> Iterator[str]:
    name = f"greenroom-test:{uuid.uuid4().hex}"
    yield name
    if engine.api.images(name):
        engine.api.remove_image(name)


@pytest.mark.docker
@needs_root
def test_the_machines_mirror_becomes_an_image(
    engine: Engine, job: Job, machine: Path, tag: str, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    assert bootstrap(job, ["git", "make"], tag, scratch) == "debootstrap bookworm"
    assert list(scratch.iterdir()) == []
    container = engine.api.create_container(tag, ["x"])["Id"]
    try:
        files = {
            path: b"".join(engine.api.get_archive(container, path)[0])[512:]
            for path in ("/arguments", "/etc/apt/sources.list", "/usr/sbin/policy-rc.d")
        }
        listing = b"".join(engine.api.export(container))
    finally:
        engine.api.remove_container(container)
    arguments = files["/arguments"].decode()
    assert "--variant=minbase --force-check-gpg --components=main --include=git,make" in arguments
    assert f"bookworm {MAIN.uri}" in arguments
    assert (
        b"deb http://mirror.example/debian bookworm main contrib\n"
        in files["/etc/apt/sources.list"]
    )
    assert b"bookworm-security main\n" in files["/etc/apt/sources.list"]
    assert b"secret" not in files["/etc/apt/sources.list"]
    assert b"noise" not in listing
    assert b"this-machine" not in listing


@pytest.mark.docker
@needs_root
def test_a_failing_debootstrap_shows_its_last_lines(
    job: Job, machine: Path, tag: str, tmp_path: Path
) -> None:
    machine.write_text("#!/bin/sh\necho 'E: Invalid Release signature' >&2\nexit 1\n")
    with pytest.raises(SetupError, match="Invalid Release signature") as caught:
        bootstrap(job, [], tag, tmp_path / "scratch")
    assert "secret" not in caught.value.message
    assert "docker load" in caught.value.hint
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.docker
@needs_root
def test_a_full_disk_is_named(job: Job, machine: Path, tag: str, tmp_path: Path) -> None:
    machine.write_text("#!/bin/sh\nhead -c 1 /dev/zero > /dev/full\n")
    with pytest.raises(SetupError, match="the disk is full"):
        bootstrap(job, [], tag, tmp_path / "scratch")


@pytest.mark.docker
@needs_root
def test_a_stopped_bootstrap_ends_at_once_and_leaves_nothing(
    job: Job, machine: Path, tag: str, tmp_path: Path
) -> None:
    machine.write_text("#!/bin/sh\nsleep 60 &\nwait\n")
    timer = threading.Timer(0.5, job.stop)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Stopped):
        bootstrap(job, [], tag, tmp_path / "scratch")
    assert time.monotonic() - started < 10
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.docker
@needs_root
def test_a_disk_that_fills_up_meanwhile_is_named(
    job: Job, machine: Path, tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # debootstrap tells of a full disk as of packages that it could not download.
    machine.write_text("#!/bin/sh\necho 'E: Couldnt download packages: tar'; exit 1\n")
    monkeypatch.setattr(module, "_LEAST_FREE", 1 << 60)
    with pytest.raises(SetupError, match="the disk is full"):
        bootstrap(job, [], tag, tmp_path / "scratch")


def test_a_disk_that_is_too_small_is_said_before(
    machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(module, "_TREE_BYTES", 1 << 60)
    with pytest.raises(SetupError, match=r"the disk of .* is full") as caught:
        bootstrap(Job(BuildSettings(), print), [], "x:y", tmp_path)
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_a_system_without_a_mirror_is_told_the_other_ways(
    machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "read_release", lambda: {"PRETTY_NAME": "Fedora Linux 42"})
    monkeypatch.setattr(module, "read_sources", list)
    with pytest.raises(SetupError, match="Fedora Linux 42") as caught:
        bootstrap(Job(BuildSettings(), print), [], "x:y", tmp_path)
    assert "docker load" in caught.value.hint
    assert "--image" in caught.value.hint


def test_a_missing_debootstrap_is_told_how_to_install(
    machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.unlink()
    monkeypatch.setattr(module, "_PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SetupError, match="debootstrap") as caught:
        bootstrap(Job(BuildSettings(), print), [], "x:y", tmp_path)
    assert "apt-get install debootstrap" in caught.value.hint


def test_an_ordinary_user_is_told_to_run_it_once_as_root(
    machine: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match="needs root") as caught:
        bootstrap(Job(BuildSettings(), print), [], "x:y", tmp_path)
    assert "sudo" in caught.value.hint
