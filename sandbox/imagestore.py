"""The images that Greenroom has made on this engine: found by label, removed by age."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.cache import cache_folder
from sandbox.engine import Engine, shared_engine
from sandbox.layers import IMAGE_LABEL, KEY_LABEL
from sandbox.podman import short_name

# An image may be without a name for as long as its build goes on.
_BEING_MADE = timedelta(hours=1)


@dataclass(frozen=True)
class StoredImage:
    """One image of ours. `size` is in bytes, shared layers counted in; `used` is when it was last
    asked for, as far as this user's cache folder knows.
    """

    reference: str
    names: tuple[str, ...]
    key: str
    created: datetime
    used: datetime
    size: int


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
    api = (engine or shared_engine()).api
    folder = cache or cache_folder()
    found = []
    for item in api.images(filters={"label": f"{IMAGE_LABEL}=1"}):
        created = datetime.fromtimestamp(item["Created"], UTC)
        key = (item.get("Labels") or {}).get(KEY_LABEL, "")
        used = created
        with suppress(FileNotFoundError):
            used = datetime.fromtimestamp(lock_file(folder, key).stat().st_mtime, UTC)
        named = (n for n in item.get("RepoTags") or () if n != "<none>:<none>")
        names = tuple(map(short_name, named))
        found.append(StoredImage(item["Id"], names, key, created, max(created, used), item["Size"]))
    return sorted(found, key=lambda image: image.created, reverse=True)


def remove_images(
    older_than: timedelta = timedelta(0),
    *,
    engine: Engine | None = None,
    cache: Path | None = None,
    dry_run: bool = False,
) -> tuple[list[StoredImage], list[StoredImage]]:
    """Removes our images unused for `older_than`; returns those removed and those kept because a
    container or another image needs them. With `dry_run` only tells which it would try. Blocks.
    """
    from docker.errors import APIError  # noqa: PLC0415

    api = (engine or shared_engine()).api
    limit = datetime.now(UTC) - older_than
    removed, kept = [], []
    for image in list_images(
        engine=engine, cache=cache
    ):  # a layer is younger than what it stands on
        if image.used > limit:
            continue
        try:
            for name in (image.names or (image.reference,)) if not dry_run else ():
                api.remove_image(name)
        except APIError as error:
            if error.status_code != 409:
                raise
            kept.append(image)
        else:
            removed.append(image)
    return removed, kept


def remove_nameless(
    *, engine: Engine | None = None, cache: Path | None = None, dry_run: bool = False
) -> list[str]:
    """Removes our images that have no name: a build that was killed or made anew leaves them. Their
    short ids; one that is in use or young stays. With `dry_run` only tells them. Blocks.
    """
    from docker.errors import APIError  # noqa: PLC0415

    api = (engine or shared_engine()).api
    removed = []
    for image in list_images(engine=engine, cache=cache):
        if image.names or image.used > datetime.now(UTC) - _BEING_MADE:
            continue
        try:
            if not dry_run:
                api.remove_image(image.reference)
        except APIError as error:
            if error.status_code not in (404, 409):
                raise
        else:
            removed.append(image.reference.removeprefix("sha256:")[:12])
    return removed
