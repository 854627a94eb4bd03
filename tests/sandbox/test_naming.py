import uuid
from collections.abc import Callable, Iterator

import pytest
from docker.errors import ImageNotFound

from sandbox.engine import Engine
from sandbox.image import Image
from sandbox.naming import name_once

pytestmark = pytest.mark.docker
Commit = Callable[[str], str]


@pytest.fixture
def commit(engine: Engine, image: Image) -> Iterator[Commit]:
    """Makes an image without a name, with a label `key` of that value; gives its id."""
    made: list[str] = []

    def make(key: str) -> str:
        container = engine.api.create_container(image.reference, ["true"])["Id"]
        try:
            conf = {"Labels": {"key": key, "which": uuid.uuid4().hex}}
            made.append(engine.api.commit(container, conf=conf)["Id"])
        finally:
            engine.api.remove_container(container)
        return made[-1]

    yield make
    for each in made:
        if engine.api.images(filters={"label": "which"}):
            try:
                engine.api.remove_image(each, force=True)
            except ImageNotFound:
                continue


def test_an_image_gets_its_name(engine: Engine, commit: Commit) -> None:
    made, name = commit("a"), f"greenroom-test:{uuid.uuid4().hex}"
    assert name_once(engine.api, made, name, "key") == made
    assert engine.api.inspect_image(name)["Id"] == made


def test_the_first_of_two_builds_keeps_the_name_and_the_other_is_not_left(
    engine: Engine, commit: Commit
) -> None:
    first, second, name = commit("a"), commit("a"), f"greenroom-test:{uuid.uuid4().hex}"
    assert name_once(engine.api, first, name, "key") == first
    assert name_once(engine.api, second, name, "key") == first
    assert engine.api.inspect_image(name)["Id"] == first
    with pytest.raises(ImageNotFound):
        engine.api.inspect_image(second)


def test_an_image_of_another_content_loses_the_name(engine: Engine, commit: Commit) -> None:
    old, new, name = commit("a"), commit("b"), f"greenroom-test:{uuid.uuid4().hex}"
    name_once(engine.api, old, name, "key")
    assert name_once(engine.api, new, name, "key") == new
    assert engine.api.inspect_image(name)["Id"] == new
