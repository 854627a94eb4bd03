"""Random edits in a sandbox, taken out as a patch, applied on the host and in a sandbox put back:
everywhere the same files, to the byte and the executable bit; what is left out is named."""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from sandbox.container import FileProblem, Sandbox
from sandbox.image import Image
from sandbox.patch import EXECUTABLE, FILE, SYMLINK, Patch, encode_path, parents, printable
from sandbox.policy import MIB, Policy
from sandbox.trees import Base
from tests.sandbox.edits import BASE, EDIT, FORBIDDEN, LISTING, Found, rounds

pytestmark = pytest.mark.docker
PYTHON = ("python3", "-I", "-S", "-c")
# A tree: path to mode and the SHA-256 of the content or the link's target.
Files = dict[str, tuple[int, str | None]]


class Room:
    """One sandbox for all examples, put back before each."""

    def __init__(self, runner: asyncio.Runner, box: Sandbox) -> None:
        self.runner = runner
        self.box = box

    async def edit(self, wanted: Sequence[Any]) -> None:
        if wanted[0][0] == "written":
            await self._write(wanted)
            return
        text = json.dumps(wanted).encode("ascii")
        result = await self.box.run([*PYTHON, EDIT], stdin=text, timeout=60)
        assert result.ok, result.output.text

    async def _write(self, wanted: Sequence[Any]) -> None:
        for _, path, text in wanted:
            with suppress(OSError, FileProblem):
                if text is None:
                    await self.box.remove(path)
                else:
                    await self.box.write(path, encode_path(text))

    async def listing(self) -> dict[str, Found]:
        result = await self.box.run([*PYTHON, LISTING], output_limit=16 * MIB)
        assert result.ok, result.output.text
        return {path: Found(*rest) for path, *rest in json.loads(result.output.head)}


@pytest.fixture(scope="module")
def base(make_base: Any) -> Base:
    return make_base(BASE, ignore=(("", ("*.log", "/out/")),))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def room(image: Image, base: Base) -> Iterator[Room]:
    with asyncio.Runner() as runner:
        opened = Sandbox.open(image, base, Policy(), resettable=True)
        box = runner.run(opened.__aenter__())
        yield Room(runner, box)
        runner.run(opened.__aexit__(None, None, None))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def state_of(mode: int, content: bytes) -> tuple[int, str | None]:
    return mode, content.decode() if mode == SYMLINK else digest(content)


def tree_of(base: Base, tree: str) -> Files:
    entries = base.store.entries(tree)
    contents = base.store.read(entry.blob for entry in entries)
    return {e.path: state_of(e.mode, c) for e, c in zip(entries, contents, strict=True)}


# -- what has to come out -----------------------------------------------------------------------

BEFORE: Files = {path: state_of(*state) for path, state in BASE.items()}


def judged(found: Mapping[str, Found]) -> tuple[Files, set[str]]:
    """The tree that a listing stands for, and the paths that have to be named."""
    after: Files = {}
    named = {path for path, entry in found.items() if entry.kind in ("closed", "special")}
    closed = {path for path, entry in found.items() if entry.kind == "closed"}
    for path in set(found) | set(BEFORE):
        before = BEFORE.get(path)
        now = now_at(path, found, closed)
        if now == before or (before is None and ignored(path)):
            kept = before
        elif ".git" in path.split("/"):
            named.add(path[: path.index(".git/") + 4] if ".git/" in path else path)
            kept = None
        elif isinstance(now, str) or forbidden(path) or in_nested(path, found):
            named.add(path if now != "closed" else next(p for p in parents(path) if p in closed))
            kept = before
        else:
            kept = now
        if kept is not None:
            after[path] = kept
    # A file that no patch may delete holds its folder in place.
    in_the_way = {folder for path in after for folder in parents(path)} & after.keys()
    return {path: state for path, state in after.items() if path not in in_the_way}, (
        named | in_the_way
    )


def now_at(path: str, found: Mapping[str, Found], closed: set[str]) -> Any:
    """A file's or unchanged link's state, None where none is, a word for what no patch can hold."""
    if not closed.isdisjoint(parents(path)):
        return "closed"
    entry = found.get(path)
    if entry is None or entry.kind in ("folder", "closed", "special"):
        return None
    if entry.kind == "link":
        state = SYMLINK, entry.content
        return state if BEFORE.get(path) == state else "link"
    return (EXECUTABLE if entry.executable else FILE, entry.content) if entry.content else "shut"


def ignored(path: str) -> bool:
    parts = path.split("/")
    return (
        any(part.endswith((".log", ".pyc")) for part in parts)
        or (parts[0] == "out" and len(parts) > 1)
        or "__pycache__" in parts[:-1]
    )


def forbidden(path: str) -> bool:
    return not FORBIDDEN.isdisjoint(path.split("/"))


def in_nested(path: str, found: Mapping[str, Found]) -> bool:
    """Whether a path is in a repository of its own that holds nothing of the base."""
    inside = ".git" in path.split("/")[1:]
    return inside or any(
        f"{folder}/.git" in found and not any(p.startswith(f"{folder}/") for p in BEFORE)
        for folder in parents(path)
    )


def is_named(path: str, notes: Sequence[str]) -> bool:
    shown = printable(path)
    return any(note.startswith((f"{shown} ", f"The path {shown} ")) for note in notes)


# -- the property -------------------------------------------------------------------------------


@settings(
    max_examples=settings.default.max_examples * 3 // 10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(rounds)
def test_any_edits_come_out_to_the_byte_or_are_named(
    room: Room, base: Base, drawn: list[Any]
) -> None:
    room.runner.run(round_trip(room, base, drawn))


async def round_trip(room: Room, base: Base, drawn: list[Any]) -> None:
    box = room.box
    await box.reset()
    for edits in drawn:
        await room.edit(edits)
        patch = await box.delta()
    notes = box.delta_notes
    found = await room.listing()
    expected, named = judged(found)
    tree = base.store.apply(base.tree, patch)
    assert tree_of(base, tree) == expected
    assert [path for path in named if not is_named(path, notes)] == [], notes
    if patch:
        assert base.store.from_diff(base.tree, base.store.diff(base.tree, tree)) == patch
    await check_put_back(room, patch, expected)


async def check_put_back(room: Room, patch: Patch, expected: Files) -> None:
    await room.box.reset(patch)
    assert await room.box.delta() == patch
    assert room.box.delta_notes == ()
    found = await room.listing()
    closed: set[str] = set()
    states = {path: now_at(path, found, closed) for path in found}
    assert {path: state for path, state in states.items() if state is not None} == expected
