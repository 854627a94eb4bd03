import hashlib
import io
import json
import os
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox import imagestore
from sandbox.engine import Engine
from sandbox.imagestore import (
    Removal,
    StoredImage,
    keep_within,
    list_images,
    lock_file,
    remove_images,
)
from sandbox.naming import IMAGE_LABEL, KEY_LABEL, PARENT_LABEL, WHAT_LABEL

pytestmark = pytest.mark.docker
# Older than any real image on this engine, which these tests must leave alone.
AGE = timedelta(days=20 * 365)
CREATED = datetime(2001, 2, 3, tzinfo=UTC)
KIB = 1 << 10
Load = Callable[..., tuple[str, str]]


@pytest.fixture
def load(engine: Engine) -> Iterator[Load]:
    """Makes images that claim to be decades old, of layers of so many KiB; gives name and key."""
    names: list[str] = []

    def make(*layers: int, parent: str = "", named: bool = True) -> tuple[str, str]:
        key = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        name = f"greenroom/test:{key[:16]}"
        parent_id = engine.api.inspect_image(parent)["Id"] if parent else ""
        engine.api.load_image(_archive(name, key, layers, parent_id))
        names.append(name)
        if not named:
            # A second name is dropped, and with it the image would go: so it is moved away.
            other = engine.api.inspect_image(name)["Id"]
            engine.api.load_image(_archive(name, key, (*layers, 1), parent_id))
            return str(other), key
        return name, key

    yield make
    for name in reversed(names):
        if engine.api.images(name):
            engine.api.remove_image(name, force=True)


def _archive(name: str, key: str, sizes: tuple[int, ...], parent: str) -> bytes:
    layers = [_layer(size) for size in sizes]
    labels = {IMAGE_LABEL: "1", KEY_LABEL: key, PARENT_LABEL: parent, WHAT_LABEL: "a test"}
    config = {
        "created": CREATED.isoformat(),
        "os": "linux",
        "architecture": "amd64",
        "config": {"Labels": labels},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers],
        },
    }
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    files = {
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps(manifest).encode(),
        **dict(zip(names, layers, strict=True)),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def _layer(size: int) -> bytes:
    """A layer of one file, the same for the same size, so that images share it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo(f"file-{size}")
        entry.size = size * KIB
        tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    return layer.getvalue()


def used(cache: Path, key: str, years_ago: float) -> None:
    path = lock_file(cache, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    then = time.time() - years_ago * 365 * 24 * 3600
    os.utime(path, (then, then))


def names(images: list[StoredImage]) -> list[str]:
    return [name for image in images for name in image.names]


def prune(engine: Engine, cache: Path, *, dry_run: bool = False) -> Removal:
    return remove_images(AGE, engine=engine, cache=cache, nameless=AGE, dry_run=dry_run)


def test_our_images_are_listed_with_what_is_known_of_them(
    engine: Engine, load: Load, tmp_path: Path
) -> None:
    below, _ = load(3)
    name, key = load(3, 5, parent=below)
    found = {n: image for image in list_images(engine=engine, cache=tmp_path) for n in image.names}
    assert found[name].key == key
    assert found[name].created == found[name].used == CREATED
    assert (found[name].size, found[name].own) == (8 * KIB, 5 * KIB)
    assert (found[below].size, found[below].own) == (3 * KIB, 3 * KIB)
    assert found[name].parent == found[below].reference
    assert found[name].what == "a test"


def test_an_old_image_is_removed(engine: Engine, load: Load, tmp_path: Path) -> None:
    name, _ = load(1)
    would = prune(engine, tmp_path, dry_run=True)
    assert names(would.removed) == [name]
    assert engine.api.images(name)
    assert names(prune(engine, tmp_path).removed) == [name]
    assert not engine.api.images(name)


def test_an_old_image_used_lately_is_kept(engine: Engine, load: Load, tmp_path: Path) -> None:
    name, key = load(1)
    used(tmp_path, key, years_ago=0)
    assert prune(engine, tmp_path).removed == []
    used(tmp_path, key, years_ago=22)
    assert names(prune(engine, tmp_path).removed) == [name]


def test_an_image_that_a_container_needs_is_kept(
    engine: Engine, load: Load, tmp_path: Path
) -> None:
    name, _ = load(1)
    container = engine.api.create_container(name, ["x"])["Id"]
    try:
        done = prune(engine, tmp_path)
    finally:
        engine.api.remove_container(container)
    assert done.removed == []
    assert names(done.kept) == [name]


def test_an_image_goes_after_what_stands_on_it_and_stays_with_it(
    engine: Engine, load: Load, tmp_path: Path
) -> None:
    below, _ = load(1)
    above, key = load(1, 2, parent=below)
    used(tmp_path, key, years_ago=0)
    done = prune(engine, tmp_path)
    assert (done.removed, names(done.kept)) == ([], [below])
    assert engine.api.images(below), "the engine would take its name and leave its bytes"
    used(tmp_path, key, years_ago=22)
    assert names(prune(engine, tmp_path).removed) == [above, below]


def test_an_image_without_a_name_is_removed_whatever_its_use(
    engine: Engine, load: Load, tmp_path: Path
) -> None:
    reference, key = load(1, named=False)
    used(tmp_path, key, years_ago=0)
    assert [image.reference for image in prune(engine, tmp_path).removed] == [reference]
    assert not [image for image in engine.api.images() if image["Id"] == reference]


@pytest.fixture
def only_these(load: Load, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Load:
    """As `load`, and no other image of ours is seen."""
    made: list[str] = []
    everything = imagestore._everything

    def make(*layers: int, **more: str) -> tuple[str, str]:
        name, key = load(*layers, **more)
        made.append(name)
        return name, key

    def seen(api: object) -> imagestore._Everything:
        every = everything(api)
        images = [i for i in every.images if set(i["RepoTags"] or ()) & set(made)]
        return imagestore._Everything(images, every.in_use)

    monkeypatch.setattr(imagestore, "_everything", seen)
    return make


def test_within_its_budget_no_image_goes(engine: Engine, only_these: Load, tmp_path: Path) -> None:
    below, _ = only_these(40)
    only_these(40, 1, parent=below)
    only_these(40, 2, parent=below)
    # What they share is counted once.
    done = keep_within(43 * KIB, engine=engine, cache=tmp_path)
    assert (done.removed, done.left_bytes) == ([], 43 * KIB)


def test_over_the_budget_the_image_unused_for_longest_goes_first(
    engine: Engine, only_these: Load, tmp_path: Path
) -> None:
    below, base_key = only_these(40)
    old, old_key = only_these(40, 1, parent=below)
    older, older_key = only_these(40, 2, parent=below)
    for key, years in ((base_key, 5), (old_key, 1), (older_key, 3)):
        used(tmp_path, key, years)
    done = keep_within(42 * KIB, engine=engine, cache=tmp_path)
    assert names(done.removed) == [older]
    assert done.left_bytes == 41 * KIB
    # The base is the oldest, and goes last.
    assert names(keep_within(0, engine=engine, cache=tmp_path).removed) == [old, below]


def test_no_budget_takes_what_was_asked_for_lately_or_is_in_use(
    engine: Engine, only_these: Load, tmp_path: Path
) -> None:
    _, key = only_these(1)
    busy, _ = only_these(2)
    used(tmp_path, key, years_ago=0)
    container = engine.api.create_container(busy, ["x"])["Id"]
    try:
        done = keep_within(0, engine=engine, cache=tmp_path)
    finally:
        engine.api.remove_container(container)
    assert (done.removed, done.left_bytes) == ([], 3 * KIB)


def test_what_is_done_with_may_go_at_once_and_what_is_needed_stays(
    engine: Engine, only_these: Load, tmp_path: Path
) -> None:
    below, base_key = only_these(40)
    needed, needed_key = only_these(40, 1, parent=below)
    gone, gone_key = only_these(40, 2, parent=below)
    above, above_key = only_these(40, 2, 3, parent=gone)
    used(tmp_path, needed_key, years_ago=9)
    for key in (base_key, gone_key, above_key):
        used(tmp_path, key, years_ago=0)
    ids = {name: engine.api.inspect_image(name)["Id"] for name in (needed, gone)}
    done = keep_within(
        0, engine=engine, cache=tmp_path, done_with={ids[gone]}, needed={ids[needed]}
    )
    assert names(done.removed) == [above, gone]
