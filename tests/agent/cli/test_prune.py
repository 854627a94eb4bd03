"""`greenroom prune`, on an engine of the tests' own: what was left goes, and more on demand."""

import io
import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.leftovers import OPENED_LABEL, OWNER_LABEL, owner_labels
from sandbox.naming import IMAGE_LABEL
from tests.agent.cli.conftest import User
from tests.agent.cli.test_resume import STARTED, run_folder
from tests.private_engine import PrivateEngine
from tests.remains import no_janitor_cleans

OLD = time.time() - 40 * 24 * 3600
DEAD = {OWNER_LABEL: "another-boot/pid:[1]/1/1", OPENED_LABEL: "1"}


class Left:
    """What there is to remove, beside what has to stay."""

    def __init__(self, user: User, private: PrivateEngine, image: Image) -> None:
        self.api = private.connect().api
        self.dead = self.api.create_container(image.name, "true", labels=DEAD)["Id"]
        self.living = self.api.create_container(image.name, "true", labels=owner_labels())["Id"]
        self.nameless = load(self.api, "")
        self.unused = load(self.api, "greenroom/old:1")
        user.environment["XDG_CACHE_HOME"] = str(user.home / "cache")
        self.folder = user.home / "cache/greenroom/scratch/tmpdead"
        self.folder.mkdir(parents=True)
        (self.folder / "lock").touch()
        self.unbegun = aged(run_folder(user, "20200101-unbegun"))
        self.beginning = run_folder(user, "20200102-beginning")
        log = json.dumps(STARTED) + "\n"
        self.old = aged(run_folder(user, "20200103-old", log))
        self.young = run_folder(user, "20200104-young", log)

    def there(self) -> set[str]:
        """The names of those that are there."""
        containers = {c["Id"] for c in self.api.containers(all=True)}
        images = {image["Id"] for image in self.api.images()}
        return {
            name
            for name, thing in vars(self).items()
            if name != "api"
            and (thing.exists() if isinstance(thing, Path) else thing in containers | images)
        }

    def remove(self) -> None:
        there = self.there()
        for container in there & {"dead", "living"}:
            self.api.remove_container(getattr(self, container))
        for image in there & {"nameless", "unused"}:
            self.api.remove_image(getattr(self, image), force=True)


ALL = {"dead", "living", "nameless", "unused", "folder", "unbegun", "beginning", "old", "young"}
LEFT = {"dead", "nameless", "folder", "unbegun"}


def aged(folder: Path) -> Path:
    for path in [*folder.iterdir(), folder]:
        os.utime(path, (OLD, OLD))
    return folder


def load(api: Engine, name: str) -> str:
    """An empty image of ours that is years old, as a build that was killed leaves one."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {"Labels": {IMAGE_LABEL: "1", "name": name}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name] if name else None, "Layers": []}]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, data in (("config.json", config), ("manifest.json", manifest)):
            text = json.dumps(data).encode()
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    before = {image["Id"] for image in api.images()}
    for answer in api.load_image(archive.getvalue()):
        assert "error" not in answer, answer
    [made] = {image["Id"] for image in api.images()} - before
    return str(made)


@pytest.fixture
def left(user: User, private_engine: PrivateEngine, image: Image):  # type: ignore[no-untyped-def]
    no_janitor_cleans()
    found = Left(user, private_engine, image)
    assert found.there() == ALL
    yield found
    found.remove()


@pytest.mark.docker
@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ([], LEFT),
        (["--runs"], LEFT | {"old"}),
        (["--images"], LEFT | {"unused"}),
        (["--runs", "--images", "--older-than", "9000d"], LEFT),
        (["--runs", "--older-than", "0d"], LEFT | {"old", "young"}),
    ],
)
def test_what_was_left_goes_and_more_on_demand(
    user: User, private_engine: PrivateEngine, left: Left, words: list[str], gone: set[str]
) -> None:
    done = user.prune(*words, "--dry-run", engine=private_engine.url)
    assert done.returncode == 0, done.stderr
    assert left.there() == ALL
    would = {line.split()[-1] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert len(would) == len(gone)
    done = user.prune(*words, engine=private_engine.url)
    assert done.returncode == 0, done.stderr
    assert left.there() == ALL - gone
    assert "removed 1 container\n" in done.stdout
    images = len(gone & {"nameless", "unused"})
    assert f"removed {images} image{'s' if images > 1 else ''}, " in done.stdout


def test_an_age_alone_is_not_guessed_at(user: User) -> None:
    done = user.prune("--older-than", "0d")
    assert done.returncode == 2
    assert "Give --runs, --images or both." in done.stderr


def test_an_age_has_to_be_one(user: User) -> None:
    done = user.prune("--runs", "--older-than", "soon")
    assert done.returncode == 2
    assert "expected an age such as 12h" in done.stderr


def test_without_an_engine_the_rest_is_done(user: User) -> None:
    unbegun = aged(run_folder(user, "20200101-unbegun"))
    done = user.prune()
    assert done.returncode == 0
    assert "containers and images were not looked at" in done.stdout
    assert not unbegun.exists()
