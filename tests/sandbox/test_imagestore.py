import hashlib
import io
import json
import os
import tarfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.engine import Engine
from sandbox.imagestore import list_images, lock_file, remove_images
from sandbox.layers import IMAGE_LABEL, KEY_LABEL

pytestmark = pytest.mark.docker
# Older than any real image on this engine, which these tests must leave alone.
AGE = timedelta(days=20 * 365)
CREATED = datetime(2001, 2, 3, tzinfo=UTC)


@pytest.fixture
def old(engine: Engine) -> Iterator[tuple[str, str]]:
    """An image that claims to be decades old: its name and its key."""
    key = hashlib.sha256(uuid.uuid4().bytes).hexdigest()
    name = f"greenroom/test:{key[:16]}"
    engine.api.load_image(_archive(name, key))
    yield name, key
    if engine.api.images(name):
        engine.api.remove_image(name, force=True)


def _archive(name: str, key: str) -> bytes:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(key))
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "created": CREATED.isoformat(),
        "os": "linux",
        "architecture": "amd64",
        "config": {"Labels": {IMAGE_LABEL: "1", KEY_LABEL: key}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, data in {
            "config.json": json.dumps(config).encode(),
            "manifest.json": json.dumps(manifest).encode(),
            "layer.tar": layer.getvalue(),
        }.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return archive.getvalue()


def test_our_images_are_listed_with_key_and_age(
    engine: Engine, old: tuple[str, str], tmp_path: Path
) -> None:
    name, key = old
    found = next(i for i in list_images(engine=engine, cache=tmp_path) if name in i.names)
    assert found.key == key
    assert found.created == found.used == CREATED


def test_an_old_image_is_removed(engine: Engine, old: tuple[str, str], tmp_path: Path) -> None:
    removed, kept = remove_images(AGE, engine=engine, cache=tmp_path)
    assert [name for image in removed for name in image.names] == [old[0]]
    assert kept == []
    assert not engine.api.images(old[0])


def test_an_old_image_used_lately_is_kept(
    engine: Engine, old: tuple[str, str], tmp_path: Path
) -> None:
    path = lock_file(tmp_path, old[1])
    path.parent.mkdir(parents=True)
    path.touch()
    assert remove_images(AGE, engine=engine, cache=tmp_path) == ([], [])
    long_ago = time.time() - 2 * AGE.total_seconds()
    os.utime(path, (long_ago, long_ago))
    assert len(remove_images(AGE, engine=engine, cache=tmp_path)[0]) == 1


def test_an_image_that_a_container_needs_is_kept(
    engine: Engine, old: tuple[str, str], tmp_path: Path
) -> None:
    container = engine.api.create_container(old[0], ["x"])["Id"]
    try:
        removed, kept = remove_images(AGE, engine=engine, cache=tmp_path)
    finally:
        engine.api.remove_container(container)
    assert removed == []
    assert [image.names for image in kept] == [(old[0],)]
