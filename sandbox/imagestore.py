"""The images that Greenroom has made on this engine: found by label, removed by age or by size.

They stand on each other, so each is counted with what it adds to the one below it: their sum is
what they take on the disk, shared layers once. Only one that nothing stands on can go.
"""

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.cache import cache_folder
from sandbox.engine import Engine, shared_engine
from sandbox.naming import IMAGE_LABEL, KEY_LABEL, PARENT_LABEL, WHAT_LABEL
from sandbox.podman import short_name

# What was asked for so lately may be about to be opened: no budget takes it away.
_LATELY = timedelta(hours=1)
# An image has no name for a moment after it was made; one without a name for longer is of no use.
_NAMELESS = timedelta(minutes=10)


@dataclass(frozen=True)
class StoredImage:
    """One image of ours. `size` is in bytes, shared layers counted in, `own` what it adds to
    `parent`, the image that it stands on. `used` is when it was last asked for, as far as this
    user's cache folder knows; `what` tells in a few words what it is; `in_use`: a container has it.
    """

    reference: str
    names: tuple[str, ...]
    key: str
    created: datetime
    used: datetime
    size: int
    own: int
    what: str = ""
    parent: str = ""
    in_use: bool = False


@dataclass
class Removal:
    """What a clean-up did, or would do: images removed, and those that were to go and are needed by
    a container or another image. `left_bytes` is what our images take on the disk after it.
    """

    removed: list[StoredImage] = field(default_factory=list)
    kept: list[StoredImage] = field(default_factory=list)
    left_bytes: int = 0


def mark_used(cache: Path, key: str) -> None:
    """Notes that the image of `key` is wanted now, so that a clean-up by age spares it."""
    path = lock_file(cache, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def lock_file(cache: Path, key: str) -> Path:
    """The file that is locked while the image of `key` is built; its time is the last use."""
    return cache / "locks" / f"{key[:16]}.lock"


def list_images(*, engine: Engine | None = None, cache: Path | None = None) -> list[StoredImage]:
    """Every image that carries our label, the youngest first. `cache` is the folder
    that `ensure_image` was given. Blocks.
    """
    return _stored(_everything((engine or shared_engine()).api), cache or cache_folder())


def remove_images(
    older_than: timedelta | None,
    *,
    engine: Engine | None = None,
    cache: Path | None = None,
    nameless: timedelta = _NAMELESS,
    dry_run: bool = False,
) -> Removal:
    """Removes our images unused for `older_than` (None: none for its age), and those that are older
    than `nameless` and have no name; with `dry_run` only tells which. Blocks.
    """
    now = datetime.now(UTC)

    def wanted(image: StoredImage, _left: int) -> bool:
        if not image.names and image.created <= now - nameless:
            return True
        return older_than is not None and image.used <= now - older_than

    return _remove((engine or shared_engine()).api, cache, wanted, dry_run)


def keep_within(
    budget: int,
    *,
    engine: Engine | None = None,
    cache: Path | None = None,
    done_with: Collection[str] = (),
    needed: Collection[str] = (),
) -> Removal:
    """Removes those of our images that were unused for longest, until all of them together take no
    more than `budget` bytes or the others are in use or were asked for within the hour. Those whose
    ids are in `done_with` may go however lately they were asked for, those in `needed` stay; the
    same holds for what stands on them. Blocks.
    """
    lately = datetime.now(UTC) - _LATELY

    def wanted(image: StoredImage, left: int) -> bool:
        ids = {image.reference, image.parent}
        gone = image.used < lately or not ids.isdisjoint(done_with)
        return left > budget and gone and ids.isdisjoint(needed)

    return _remove((engine or shared_engine()).api, cache, wanted, dry_run=False)


@dataclass(frozen=True)
class _Everything:
    """All images of an engine, those without a name too, and the ids of those with a container."""

    images: list[dict[str, Any]]
    in_use: frozenset[str]


def _everything(api: Any) -> _Everything:
    in_use = frozenset(container["ImageID"] for container in api.containers(all=True))
    return _Everything(api.images(all=True), in_use)


def _parent(item: dict[str, Any]) -> str:
    """Not every kind of engine tells it, so our own images say it in a label."""
    told: str = item.get("ParentId") or (item.get("Labels") or {}).get(PARENT_LABEL, "")
    return told


def _stored(every: _Everything, cache: Path) -> list[StoredImage]:
    sizes = {item["Id"]: item["Size"] for item in every.images}
    found = []
    for item in every.images:
        labels = item.get("Labels") or {}
        if labels.get(IMAGE_LABEL) != "1":
            continue
        created = used = datetime.fromtimestamp(item["Created"], UTC)
        key, parent = labels.get(KEY_LABEL, ""), _parent(item)
        with suppress(FileNotFoundError):
            used = datetime.fromtimestamp(lock_file(cache, key).stat().st_mtime, UTC)
        image = StoredImage(
            reference=item["Id"],
            names=tuple(short_name(n) for n in item.get("RepoTags") or () if n != "<none>:<none>"),
            key=key,
            created=created,
            used=max(created, used),
            size=item["Size"],
            own=max(0, item["Size"] - sizes.get(parent, 0)),
            what=labels.get(WHAT_LABEL, ""),
            parent=parent,
            in_use=item["Id"] in every.in_use,
        )
        found.append(image)
    return sorted(found, key=lambda image: image.created, reverse=True)


def _remove(
    api: Any, cache: Path | None, wanted: Callable[[StoredImage, int], bool], dry_run: bool
) -> Removal:
    """Removes what is `wanted` gone, given the image and what all of ours take at that moment: of
    those that nothing stands on, the one that was unused for longest, again and again.
    """
    every = _everything(api)
    images = _stored(every, cache or cache_folder())
    above = Counter(_parent(item) for item in every.images)
    done = Removal(left_bytes=sum(image.own for image in images))
    waiting = {image.reference: image for image in images}
    while loose := [
        image
        for image in waiting.values()
        if not above[image.reference] and not image.in_use and wanted(image, done.left_bytes)
    ]:
        image = waiting.pop(min(loose, key=lambda image: image.used).reference)
        if dry_run or _removed(api, image):
            done.removed.append(image)
            done.left_bytes -= image.own
            above[image.parent] -= 1
        else:
            done.kept.append(image)
    kept = (image for image in waiting.values() if wanted(image, done.left_bytes))
    done.kept += [image for image in kept if image.names]
    return done


def _removed(api: Any, image: StoredImage) -> bool:
    """Removes an image; whether it is gone. It stays where something has begun to use it."""
    from docker.errors import APIError  # noqa: PLC0415

    try:
        for name in image.names or (image.reference,):
            api.remove_image(name)
    except APIError as error:
        if error.status_code == 404:  # the engine removed it with what stood on it
            return True
        if error.status_code != 409:
            raise
        return False
    return True
