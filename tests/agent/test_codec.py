import json

from agent.codec import image_data, image_from
from sandbox.image import ImageSpec
from sandbox.install import Install


def test_an_image_with_installations_survives_the_log() -> None:
    install = Install("node", "npm ci", (("a/b", b"\xff\0"),), ("true",), (("A", "b"),))
    spec = ImageSpec(apt=("gcc",), installs=(install, install), pip=("six",), setup=("true",))
    assert image_from(json.loads(json.dumps(image_data(spec)))) == spec


def test_an_image_of_an_older_log_has_none() -> None:
    data = {"base": None, "apt": ["gcc"], "pip": [], "setup": []}
    assert image_from(data) == ImageSpec(apt=("gcc",))
