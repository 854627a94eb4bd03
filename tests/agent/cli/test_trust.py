"""`greenroom trust`, and what it opens: Dockerfiles and devcontainer.json."""

import uuid
from collections.abc import Iterator

import pytest

from sandbox.engine import Engine
from sandbox.image import Image
from tests.agent.cli.conftest import User
from tests.sandbox.chains import remove_chain

PLACE = ".devcontainer/devcontainer.json"


@pytest.fixture
def base(engine: Engine, image: Image) -> Iterator[str]:
    """The lines that a Dockerfile on our own image begins with; what was built of it goes."""
    mark = uuid.uuid4().hex
    yield f"FROM {image.name}\nLABEL greenroom-test={mark}\n"
    for found in engine.api.images(filters={"label": f"greenroom-test={mark}"}):
        for name in found["RepoTags"] or ():
            remove_chain(engine, name)


def test_a_devcontainer_is_shown_and_then_trusted_until_it_changes(user: User) -> None:
    text = (
        '{"image": "x:1", "postCreateCommand": "make", "containerEnv": {"A": "1"}, "mounts": [1]}'
    )
    user.write({PLACE: text})
    shown = user.greenroom("trust", "--yes")
    assert shown.returncode == 0, shown.stderr
    for line in ("uses the image x:1", "sets A=1", "runs make", "not used: mounts"):
        assert f"  {line}\n" in shown.stdout
    assert f"{PLACE} trusted already" in user.greenroom("trust").stdout
    user.write({PLACE: text.replace("make", "make all")})
    assert "runs make all" in user.greenroom("trust", "--yes").stdout
    assert "no longer trusted" in user.greenroom("trust", "--remove").stdout
    assert "runs make all" in user.greenroom("trust", "--yes").stdout


def test_both_files_are_shown_and_one_that_is_not_usable_is_named(user: User) -> None:
    user.write({PLACE: '{"dockerComposeFile": "x"}', "greenroom.toml": "setup = ['make deps']"})
    shown = user.greenroom("trust", "--yes").stdout
    assert "no image can be made of a devcontainer.json" in shown
    assert "setup = ['make deps']   <- needs your trust" in shown


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("dockerfile = 'ci/Dockerfile'", "not in the checkout, or empty: ci/Dockerfile"),
        ("python = '2.7'", "no version that a sandbox can have"),
        ("pip = ['two words']", "not a Python requirement"),
        ("apt = ['-o evil']", "not the name of a Debian package"),
        ("image = 'A B'", "not the name of an image"),
        ("memory = '64M'", "but memory is 64"),
        ("build_places = ['*.example']", "*.example"),
        ("setup = [1]", "expected a list of strings"),
    ],
)
def test_settings_that_no_run_could_follow_are_refused(user: User, written: str, said: str) -> None:
    user.write({"greenroom.toml": written})
    done = user.greenroom("trust", "--yes")
    assert done.returncode == 2
    assert said in done.stderr
    assert "as it is now" not in done.stdout
    assert "Trusted" not in done.stdout


def test_nothing_to_trust_is_said(user: User) -> None:
    done = user.greenroom("trust")
    assert done.returncode == 2
    assert "no devcontainer.json" in done.stderr


def test_a_broken_devcontainer_is_not_said_to_be_missing(user: User) -> None:
    user.write({PLACE: '{"image": '})
    done = user.greenroom("trust", "--yes")
    assert done.returncode == 2
    assert f"no image can be made of a devcontainer.json: {PLACE} cannot be read" in done.stderr
    assert "no greenroom.toml" not in done.stderr


@pytest.mark.docker
def test_a_devcontainer_counts_once_it_is_trusted(user: User, base: str) -> None:
    user.write(
        {
            PLACE: """{"build": {"dockerfile": "Dockerfile"}, // ours
                       "containerEnv": {"COLOUR": "green"},
                       "postCreateCommand": "cp data.txt /created",}""",
            ".devcontainer/Dockerfile": f"{base}RUN mkdir /made\n",
            "data.txt": "from the checkout",
            "test_calc.py": """
import os, pathlib
def test_it():
    assert os.path.isdir("/made")
    assert os.environ["COLOUR"] == "green"
    assert pathlib.Path("/created").read_text() == "from the checkout"
""",
        }
    )
    user.commit()
    before = user.greenroom("check")
    assert f"{PLACE} is not trusted (see `greenroom trust`), so it is not used." in before.stdout
    assert "1 failed" in before.stdout
    user.greenroom("trust", "--yes")
    after = user.greenroom("check")
    assert "1 passed" in after.stdout, after.stdout + after.stderr
    assert "image      greenroom/create:" in after.stdout
    built = user.greenroom("image", "build").stdout
    assert "base     .devcontainer/Dockerfile" in built
    assert "create   cp data.txt /created" in built
    assert f"because  the image: {PLACE} names .devcontainer/Dockerfile" in built


@pytest.mark.docker
def test_a_dockerfile_of_the_settings(user: User, base: str) -> None:
    user.write(
        {
            "greenroom.toml": 'dockerfile = "ci/Dockerfile"\n',
            "ci/Dockerfile": f"{base}COPY calc.py /copied.py\n",
            "test_calc.py": "import os\ndef test_it():\n    assert os.path.exists('/copied.py')\n",
        }
    )
    user.commit()
    assert "so not set: dockerfile" in user.greenroom("check").stdout
    # The user's own word needs no trust.
    assert "1 passed" in user.greenroom("check", "--dockerfile", "ci/Dockerfile").stdout
    user.greenroom("trust", "--yes")
    assert "1 passed" in user.greenroom("check").stdout
    user.write({"ci/Dockerfile": "FROM scratch\n"})
    assert "so not set: dockerfile" in user.greenroom("check").stdout
