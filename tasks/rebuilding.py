"""A rebuild step run on a patch in one room, and what it made put into another.

What is allowed over stands in `tasks.products`. Everything that comes out of the first room is the
patch's own word, the output of commands too; what is put into the second is checked here.
"""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from sandbox.container import Sandbox
from sandbox.errors import PatchError
from sandbox.patch import Patch, PatchLimits
from sandbox.policy import MIB
from sandbox.products import Rebuilt
from sandbox.results import CommandResult
from tasks.products import ProductRules, Products, deletions
from tasks.task import Checks

# This process holds them while a patch is judged, and the supervisor each while it sends it.
LIMITS = PatchLimits(changes=50_000, file_bytes=128 * MIB, total_bytes=128 * MIB)
# In the form they travel in: as the input of a command.
INSTALLED_BYTES = 15 * MIB
_USER_SITE = re.compile(r"lib/python3[^/]*/site-packages/")
# Neither looks at what a program or a module of the user's own may say.
_PYTHON = ("python3", "-I", "-S", "-c")
# Reads names of modules. Writes what ~/.local holds of them, a line of JSON for each file.
_TAKE = """
import base64, glob, json, os, stat, sys
names = set(json.load(sys.stdin))
top = os.path.expanduser("~/.local/")
with open(int(os.environ["GREENROOM_EVENTS_FD"]), "w") as out:
    for site in glob.glob(top + "lib/python3*/site-packages"):
        for folder, folders, files in os.walk(site):
            if folder == site:
                folders[:] = [name for name in folders if name in names]
                files = [name for name in files if name.split(".")[0] in names]
            for path in (os.path.join(folder, name) for name in files):
                if stat.S_ISREG(os.lstat(path).st_mode):
                    with open(path, "rb") as file:
                        content = base64.b64encode(file.read()).decode()
                    print(json.dumps([path[len(top):], content]), file=out)
"""
# Reads such lines. Only what the base's own step has installed, too, is replaced; a link there may
# lead to the tests.
_PUT = """
import base64, json, os, sys
top = os.path.realpath(os.path.expanduser("~/.local")) + "/"
for path, content in map(json.loads, sys.stdin):
    site, inner = path.split("site-packages/", 1)
    module = top + site + "site-packages/" + inner.split("/")[0]
    folder = os.path.dirname(top + path)
    try:
        if os.path.exists(module) and os.path.realpath(folder) == folder:
            os.makedirs(folder, exist_ok=True)
            with open(top + path + ".new", "wb") as file:
                file.write(base64.b64decode(content))
            os.replace(top + path + ".new", top + path)
    except (OSError, ValueError) as error:
        sys.exit("~/.local/%s cannot be written: %s" % (path, getattr(error, "strerror", error)))
"""


@dataclass(frozen=True)
class Build:
    """A rebuild step's result on a patch, and what of its products may be used; or the `problem`
    for which none can be."""

    result: CommandResult
    products: Products = field(default_factory=Products)
    problem: str = ""


async def build(
    box: Sandbox,
    patch: Patch,
    checks: Checks,
    image_modules: Callable[[], Awaitable[Collection[str]]],
) -> Build | None:
    """Apply a patch in a room and run its rebuild step; None where the patch changes none of its
    inputs. `image_modules` tells the names of the modules that the image has. Raises PatchError
    when the patch cannot be applied."""
    result = await box.apply(patch)
    if result is None or box.rebuilt is None or box.prepared is None:
        return None
    before = box.prepared.made
    rules = ProductRules(checks, box.base, patch, before)
    if rules.new_modules(rules.judged(box.rebuilt.made)):
        rules = ProductRules(checks, box.base, patch, before, await image_modules())
    try:
        files, held_back = await _files(box, box.rebuilt, patch, rules)
        return Build(result, Products(files, await _installed(box, rules), held_back))
    except PatchError as error:
        return Build(result, problem=f"What the rebuild step makes cannot be used: {error}")


async def bring(box: Sandbox, products: Products) -> None:
    """Put products into a room that has the base and the patch. Raises PatchError when they do not
    fit into it."""
    if products.files:
        await box.apply(products.files, rebuild=False, limits=LIMITS)
    if products.installed:
        lines = b"".join(_lines(products.installed))
        put = await box.run([*_PYTHON, _PUT], stdin=lines, cwd="/")
        if not put.ok:
            said = put.output.text.strip()[-500:]
            raise PatchError(f"What the rebuild step installed cannot be used: {said}")


async def _files(
    box: Sandbox, rebuilt: Rebuilt, patch: Patch, rules: ProductRules
) -> tuple[Patch, tuple[str, ...]]:
    """The products in the workspace, and the paths that were changed in vain."""
    written = {change.path: change for change in patch if not change.deleted}
    # What the step made of the patch's own files is not among what it made.
    made = set(rules.judged([*rebuilt.made, *written]))
    held = {path for path in made if rules.holds_back(path)}
    if len(made) > LIMITS.changes:
        raise PatchError(f"It changes {len(made):,} files, more than {LIMITS.changes:,}.")
    known = box.base.store.modes(box.base.tree)
    # Of what is held back, only a file of the base or the patch is compared with what it was.
    compared = {path for path in held if path in known or path in written}
    found, missing = await box.files(sorted((made - held) | compared), LIMITS)
    changed = found.only(c.path for c in found if written.get(c.path) != c)
    gone = set(rules.judged(rebuilt.gone))
    kept_from_going = {path for path in gone if rules.holds_back(path)}
    told = {path for path in (held - compared) | set(missing) if rules.is_news(path)}
    told |= (set(changed.paths) & compared) | {p for p in kept_from_going if rules.is_news(p)}
    files = changed.only(path for path in changed.paths if path not in held)
    return deletions(gone - kept_from_going).merge(files), tuple(sorted(told))


async def _installed(box: Sandbox, rules: ProductRules) -> Mapping[str, bytes]:
    """What the step left of the project's own modules below ~/.local."""
    names = rules.own_modules
    if not names:
        return {}
    taken = await box.run(
        [*_PYTHON, _TAKE],
        stdin=json.dumps(names).encode(),
        cwd="/",
        events_limit=INSTALLED_BYTES,
    )
    if not taken.ok:
        said = taken.output.text.strip()[-500:]
        raise PatchError(f"What it installs in ~/.local cannot be read: {said}")
    if taken.events_total > INSTALLED_BYTES:
        raise PatchError(f"It installs more than {INSTALLED_BYTES // MIB} MiB in ~/.local.")
    found = dict(_entries(taken.events))
    return {
        path: content
        for path, content in found.items()
        if _USER_SITE.match(path) and rules.belongs_to_the_project(path)
    }


def _entries(events: bytes) -> Iterator[tuple[str, bytes]]:
    """The files that a room says it has installed."""
    try:
        for line in events.splitlines():
            path, content = json.loads(line)
            yield str(path), base64.b64decode(content, validate=True)
    except (ValueError, TypeError, RecursionError):
        raise PatchError("What it installs in ~/.local cannot be read.") from None


def _lines(installed: Mapping[str, bytes]) -> Iterator[bytes]:
    for path, content in installed.items():
        yield json.dumps([path, base64.b64encode(content).decode()]).encode() + b"\n"
