"""`greenroom trust`: the user's word for a checkout's settings file and devcontainer.json, as they
are now."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from agent import settings, trust
from agent.cli.command import add_checkout
from agent.cli.console import Console, flush_typed
from agent.keys import KEYS, from_toml
from agent.request import policy_of
from agent.settingsfile import RepositoryFile, in_folder, repository_file
from sandbox.allowlist import Allowlist
from sandbox.errors import UsageError
from sandbox.image import ImageSpec
from tasks.devcontainer import PLACES, DevContainer, NotUsable, find_devcontainer
from tasks.imagepython import official_image
from tasks.reading import decoded
from tasks.repository import own_requirements

DESCRIPTION = """\
Trust this checkout's greenroom.toml (or [tool.greenroom]) and its devcontainer.json as they are
now. Until then they may not set a model's address, a key variable, an image, a Dockerfile or
commands that build one, ignored files to copy, or raise a bound. A change of the table, of
devcontainer.json, or of the Dockerfile that one of them names ends the trust in it.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    add_checkout(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--remove", action="store_true", help="take the trust back")


def main(options: argparse.Namespace, console: Console) -> int:
    checkout = settings.top_of(options.checkout)
    if options.remove:
        was = "no longer trusted" if trust.distrust(checkout) else "was not trusted"
        console.say(f"{checkout}: {was}")
        return 0
    found = repository_file(checkout)
    try:
        container = _devcontainer(checkout)
    except NotUsable as problem:
        unusable = f"no image can be made of a devcontainer.json: {problem}"
        if found is None:
            raise UsageError(unusable, "There is nothing else here to trust.") from None
        console.note(f"{unusable}.", "dim")
        container = None
    if found is None and container is None:
        raise UsageError(
            f"{checkout} has no greenroom.toml, no [tool.greenroom] and no devcontainer.json",
            "`greenroom init` writes one.",
        )
    new_table = found is not None and not trust.is_trusted(checkout, found.table)
    new_container = container is not None and container.digest != trust.trusted_devcontainer(
        checkout
    )
    if found and new_table:
        before = settings.load(checkout, {})
        _check_usable(checkout, found.table)
        _show_table(found, before, console)
    if container and new_container:
        _show_devcontainer(container, console)
    if not new_table and not new_container:
        known = [found.path.name] if found else []
        known += [container.path] if container else []
        console.say(f"{checkout}: {' and '.join(known)} trusted already")
        return 0
    if not options.yes and not _confirmed():
        console.say("Not trusted.")
        return 1
    if found and new_table:
        trust.trust(checkout, found.table)
    if container and new_container:
        trust.trust_devcontainer(checkout, container.digest)
    console.say("Trusted, until it changes.")
    return 0


def _devcontainer(checkout: Path) -> DevContainer | None:
    """The devcontainer.json that lies in the checkout now. Raises NotUsable for one of which no
    image can be made."""
    read = in_folder(checkout)

    def text(name: str) -> str | None:
        content = read(name)
        return None if content is None else decoded(content)

    below = (checkout / ".devcontainer").glob("*/devcontainer.json")
    names = [*PLACES, *(path.relative_to(checkout).as_posix() for path in below)]
    return find_devcontainer([name for name in names if read(name) is not None], text)


def _check_usable(checkout: Path, table: Mapping[str, object]) -> None:
    """Raises UsageError for settings that no run could follow."""
    trust.trustable(checkout, table)
    wanted = {name: from_toml(KEYS[name], value) for name, value in table.items()}
    found = settings.load(checkout, wanted)
    policy_of(found)
    Allowlist.parse(found["build_places"])
    list(own_requirements(found["pip"]))
    official_image(found["python"])
    ImageSpec(base=found["image"], apt=found["apt"]).check()


def _show_table(found: RepositoryFile, before: settings.Settings, console: Console) -> None:
    console.say(f"{found.path} sets:")
    for name, value in found.table.items():
        matters = "" if KEYS[name].reach == "free" else "   <- needs your trust"
        console.say(f"  {name} = {value!r}{matters if _held_back(before, name) else ''}")
    if "dockerfile" in found.table:
        console.say("  with the Dockerfile as it is now: see it first")


def _show_devcontainer(found: DevContainer, console: Console) -> None:
    console.say(f"{found.path}:   <- needs your trust")
    if found.dockerfile:
        console.say(f"  builds {found.dockerfile} as it is now: see it first")
    else:
        console.say(f"  uses the image {found.image}")
    for what, entries in (("sets", found.variables), ("runs", found.commands)):
        for entry in entries:
            console.say(f"  {what} {entry}")
    if found.unused:
        console.say(f"  not used: {', '.join(found.unused)}")


def _held_back(before: settings.Settings, name: str) -> bool:
    return any(entry.split()[0] == name for entry in before.ignored)


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("standard input is not a terminal, so nobody can be asked", "Give --yes.")
    flush_typed()
    try:
        return input("Trust it? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False
