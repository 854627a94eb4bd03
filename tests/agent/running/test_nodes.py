"""What a node tells of its images, from where they are made to who asked; no cluster is needed."""

from pathlib import Path
from typing import Any

import pytest

from agent import settings
from agent.bench.cluster import RayEngine
from agent.bench.job import End, Job
from agent.bench.node import Node, Reply, Setup
from agent.bench.record import Result
from sandbox.image import Image, ImageSpec

SPEC, OTHER = ImageSpec(), ImageSpec(apt=("gcc",))
IMAGE = Image("sha256:1", "name", "from somewhere", SPEC)
DONE = Result("a", 1, "solved")


class Engine:
    async def attempt(self, job: Job) -> End:
        return End(DONE)


def setup_of(specs: dict[str, ImageSpec]) -> Setup:
    return Setup("s", "1", "gold", settings.load(None, {}), specs, "0")


def job_in(folder: Path) -> Job:
    return Job(suite="s", task="a", attempt=1, way="gold", folder=str(folder), settings={})


async def test_a_node_replies_with_what_it_made_of_the_tasks_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node(setup_of({"a": SPEC, "b": OTHER}), 1)
    monkeypatch.setattr(node, "_engine", Engine())
    monkeypatch.setattr(node, "_place", tmp_path)
    node._made(SPEC, IMAGE)
    node._made(OTHER, Image("sha256:2", "name"))
    reply = await node.attempt(job_in(tmp_path / "x").as_dict(), b"", None)
    assert reply == Reply(DONE, False, b"", (IMAGE,))


async def test_the_images_of_nodes_are_told_to_who_keeps_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    engine = RayEngine(
        setup_of({"a": SPEC}), "x", lambda _text: None, lambda *made: told.append(made)
    )

    async def somewhere(job: Job) -> Reply:
        return Reply(DONE, False, b"", (IMAGE,))

    monkeypatch.setattr(engine, "_somewhere", somewhere)
    assert await engine.attempt(job_in(tmp_path / "x")) == End(DONE)
    assert told == [(SPEC, IMAGE)]
