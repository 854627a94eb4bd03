"""`greenroom image`: build, list, prune."""

import json
import os
import pty
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agent.cli.main import main
from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.imagestore import StoredImage
from tests.agent.cli.conftest import User

pytestmark = pytest.mark.docker


@pytest.fixture
def command(engine: Engine, image: Image) -> Iterator[str]:
    """A setup command that no earlier run can have cached; the image that it makes goes."""
    mark = uuid.uuid4().hex
    yield f"echo hello; echo {mark} > /mark"
    for found in engine.api.images(filters={"label": "greenroom.what=setup: 1 command"}):
        container = engine.api.create_container(found["Id"], ["cat", "/mark"])["Id"]
        engine.api.start(container)
        ours = mark.encode() in engine.api.logs(container, follow=True)
        engine.api.remove_container(container)
        if ours:
            engine.api.remove_image(found["RepoTags"][0])


def configure(user: User, text: str) -> None:
    folder = user.home / ".config" / "greenroom"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(text)


def test_an_image_is_built_and_told(user: User, command: str) -> None:
    configure(user, f"setup = [{json.dumps(command)}]")
    done = user.greenroom("image", "build")
    assert done.returncode == 0, done.stderr
    assert f"setup command {command!r}: done (" in done.stdout
    told = done.stdout[done.stdout.index("\nimage ") :]
    assert "base     Greenroom's own (" in told
    assert f"setup    {command}" in told
    assert "because  pytest: test functions in test_calc.py" in told
    assert "because  setup is set: " in told
    listed = user.greenroom("image", "list")
    assert "setup: 1 command" in listed.stdout
    document = json.loads(user.greenroom("image", "list", "--json").stdout)
    assert document["bytes"] == sum(image["own"] for image in document["images"])
    assert any(image["what"] == "setup: 1 command" for image in document["images"])


def test_a_terminal_sees_all_output_of_a_build(user: User, command: str) -> None:
    lines = "for n in 1 2 3 4 5 6 7 8 9; do echo line $n; done"
    configure(user, f"setup = [{json.dumps(f'{lines}; {command}')}]")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        user.command("image", "build"),
        cwd=user.checkout,
        env=user.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while more := os.read(ours, 65536):
            shown += more
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown
    assert all(f"  line {number}".encode() in shown for number in range(1, 10))


def test_the_failing_step_is_named_with_its_last_lines(user: User) -> None:
    configure(user, 'setup = ["echo trouble >&2; exit 7"]')
    done = user.greenroom("image", "build")
    assert done.returncode == 3
    assert "setup command 'echo trouble >&2; exit 7' failed" in done.stderr
    assert "\n  trouble\n" in done.stderr
    assert "It stands in `setup` of the settings" in done.stderr


def test_a_prune_says_what_it_would_remove(user: User, image: Image) -> None:
    done = user.greenroom("image", "prune", "--older-than", "9999d", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "would remove " in done.stdout
    assert image.name not in done.stdout
    done = user.greenroom("image", "prune", "--older-than", "soon")
    assert done.returncode == 2
    assert "expected an age such as 12h" in done.stderr


def test_images_that_only_help_others_are_counted_and_listed_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moment = datetime.now(UTC)
    names = (("greenroom/setup:1",), ("greenroom/identity:1",), ())
    found = [StoredImage(f"sha256:{n}", n, "", moment, moment, 9, 3) for n in names]
    monkeypatch.setattr("agent.cli.image.list_images", lambda **_: found)
    assert main(["image", "list"]) == 0
    brief = capsys.readouterr().out
    assert "greenroom/setup:1" in brief
    assert "identity" not in brief
    assert "<none>" not in brief
    assert "3 images of ours take 9 B" in brief
    assert "2 of them only help others; -v lists these, too" in brief
    assert main(["image", "list", "-v"]) == 0
    whole = capsys.readouterr().out
    assert "greenroom/identity:1" in whole
    assert "<none>" in whole


def test_an_action_is_needed(user: User) -> None:
    done = user.greenroom("image")
    assert done.returncode == 2
    assert "build|list|prune" in done.stderr
