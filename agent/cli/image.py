"""`greenroom image`: builds the image that a checkout needs, lists our images, removes old ones."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from agent import images, paths
from agent.cli.command import add_checkout, add_common, add_settings, flags, parse_age
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import count, duration, one_line, size, table
from agent.keys import IMAGE
from agent.request import Request
from sandbox.engine import Engine, shared_engine
from sandbox.imagestore import StoredImage, list_images, remove_images

DESCRIPTION = """\
Images of sandboxes. `build` makes the one that a checkout needs and says what it is made of, `list`
shows those that are here, `prune` removes those that were not asked for in a while. An image that
is in use, or that another one stands on, is never removed.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="build|list|prune", required=True)
    build = actions.add_parser("build", help="make the image that a checkout needs")
    add_checkout(build)
    add_settings(build, IMAGE)
    listing = actions.add_parser("list", help="show the images of ours on this engine")
    listing.add_argument("--json", action="store_true", help="one JSON document")
    prune = actions.add_parser("prune", help="remove images that were not asked for in a while")
    prune.add_argument(
        "--older-than",
        metavar="AGE",
        default="30d",
        help="remove what was last used longer ago, e.g. 12h, 30d, 2w (default: 30d)",
    )
    prune.add_argument("--all", action="store_true", help="whenever they were used last")
    prune.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    for action in (build, listing, prune):
        add_common(action)


def main(options: argparse.Namespace, console: Console) -> int:
    if options.action == "build":
        return _build(options, console)
    if options.action == "list":
        return _list(options, console)
    older_than = timedelta(0) if options.all else parse_age(options.older_than)
    prune_images(older_than, console, shared_engine(), dry_run=options.dry_run)
    return 0


def prune_images(
    older_than: timedelta | None, console: Console, engine: Engine, *, dry_run: bool = False
) -> None:
    """Removes our images unused for `older_than`, if any age is given, and those without a name;
    says so."""
    done = remove_images(older_than, engine=engine, cache=paths.cache_folder(), dry_run=dry_run)
    word = "would remove" if dry_run else "removed"
    for image in done.removed if dry_run or console.verbose else ():
        console.say(f"  image {_name(image)}  {one_line(image.what, 60)}".rstrip())
    in_use = f"; {count(len(done.kept), 'image')} in use stayed" if done.kept else ""
    gone = f", {size(sum(image.own for image in done.removed))}" if done.removed else ""
    console.say(f"{word} {count(len(done.removed), 'image')}{gone}{in_use}")


def _list(options: argparse.Namespace, console: Console) -> int:
    found = list_images(engine=shared_engine(), cache=paths.cache_folder())
    total = sum(image.own for image in found)
    if options.json:
        console.document(
            {
                "schema": "greenroom.images/1",
                "images": [_data(image) for image in found],
                "bytes": total,
            }
        )
        return 0
    if not found:
        console.say("no images yet; `greenroom image build` makes one")
        return 0
    shown = found if console.verbose else [image for image in found if not _is_helper(image)]
    rows = [("IMAGE", "SIZE", "OWN", "LAST USED", "WHAT IT IS")]
    rows += [
        (_name(i), size(i.size), size(i.own), _ago(i.used), one_line(_what(i), 70)) for i in shown
    ]
    for row in table(rows).splitlines():
        console.say(row)
    console.say(f"{count(len(found), 'image')} of ours take {size(total)}; OWN is what each adds")
    if len(shown) < len(found):
        console.say(f"{len(found) - len(shown):,} of them only help others; -v lists these, too")
    return 0


def _data(image: StoredImage) -> dict[str, object]:
    times = {"created": image.created.isoformat(), "used": image.used.isoformat()}
    return {**asdict(image), **times, "names": list(image.names)}


def _name(image: StoredImage) -> str:
    return image.names[0] if image.names else f"<none> {image.reference[7:19]}"


def _is_helper(image: StoredImage) -> bool:
    """Whether an image is no more than a step to another: it has no name, or adds an account."""
    return not image.names or "/identity:" in _name(image)


def _what(image: StoredImage) -> str:
    kind = "with its account: " if "/identity:" in _name(image) else ""
    return f"{kind}{image.what}{' (in use)' if image.in_use else ''}"


def _ago(moment: datetime) -> str:
    minutes = (datetime.now(UTC) - moment).total_seconds() / 60
    for unit, length in (("d", 24 * 60), ("h", 60)):
        if minutes >= 2 * length:
            return f"{minutes / length:.0f} {unit} ago"
    return f"{max(0, minutes):.0f} min ago"


def _build(options: argparse.Namespace, console: Console) -> int:
    request = Request(options.checkout, flags=flags(options))
    live = (lambda line: console.note(f"  {line}", "dim")) if console.terminal else None
    found = run(images.build(request, lambda text: console.note(text, "dim"), live))
    for row in table(_rows(found)).splitlines():
        console.say(row)
    console.say(f"ready in {duration(found.seconds)}", "bold")
    return 0


def _rows(found: images.Built) -> Sequence[tuple[str, str]]:
    spec, origin = found.image.spec, found.image.origin
    base = spec.dockerfile or spec.base or "Greenroom's own"
    rows = [("image", found.image.name), ("base", f"{base} ({origin})" if origin else base)]
    installs = [install.what for install in spec.installs]
    added = {"sets": spec.variables, "apt": spec.apt, "installs": installs, "pip": spec.pip}
    rows += [(kind, ", ".join(names)) for kind, names in added.items() if names]
    rows += [("create", command) for command in spec.create]
    rows += [("setup", command) for command in spec.setup]
    return [*rows, *(("because", reason) for reason in found.reasons)]
