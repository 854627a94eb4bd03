"""The thin layer that gives a sandbox its account entry."""

import io
import secrets
import tarfile

import pytest

from sandbox.engine import Engine
from sandbox.identity import LABEL, image_with_identity
from sandbox.image import Image

pytestmark = pytest.mark.docker


def add_image(engine: Engine, **files: str) -> str:
    """A throwaway image that holds nothing but files of /etc: its id."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in {"unique": secrets.token_hex(8), **files}.items():
            entry = tarfile.TarInfo(f"etc/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    name = f"greenroom-test:{secrets.token_hex(8)}"
    repository, _, tag = name.partition(":")
    engine.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag)
    return name


def content(engine: Engine, image: str, path: str) -> tarfile.TarInfo | str:
    container = engine.api.create_container(image, ["true"])["Id"]
    try:
        # The folder, for Podman would follow a link that is asked for by its name.
        stream, _ = engine.api.get_archive(container, "/etc")
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            member = archive.getmember(path.lstrip("/"))
            if member.issym():
                return member
            file = archive.extractfile(member)
            assert file is not None
            return file.read().decode()
    finally:
        engine.api.remove_container(container, force=True)


def test_the_layer_keeps_what_the_image_had(engine: Engine) -> None:
    name = add_image(engine, passwd="root:x:0:0::/:/bin/sh\nme:x:5:5::/:/bin/sh\n")
    made = image_with_identity(engine.api, name, {"extra": "1"})
    try:
        link = content(engine, made, "/etc/passwd")
        assert isinstance(link, tarfile.TarInfo)
        assert link.linkname == "/run/greenroom/passwd"
        assert "me:x:5:5" in str(content(engine, made, "/etc/passwd.image"))
        assert content(engine, made, "/etc/group.image") == "root:x:0:\n"
        assert engine.api.inspect_image(made)["Config"]["Labels"]["extra"] == "1"
    finally:
        engine.api.remove_image(made, force=True)
        engine.api.remove_image(name, force=True)


def test_the_layer_is_made_once_and_again_when_its_form_changes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = add_image(engine)
    made = image_with_identity(engine.api, name)
    assert image_with_identity(engine.api, name) == made
    monkeypatch.setattr("sandbox.identity.VERSION", "next")
    again = image_with_identity(engine.api, name)
    try:
        assert again != made
        assert engine.api.inspect_image(again)["Config"]["Labels"][LABEL].startswith("next ")
    finally:
        for image in (again, made, name):
            engine.api.remove_image(image, force=True)


def test_the_image_s_own_variables_and_labels_stay(engine: Engine, image: Image) -> None:
    made = engine.api.inspect_image(image_with_identity(engine.api, image.reference))["Config"]
    own = engine.api.inspect_image(image.reference)["Config"]
    assert set(made["Env"]) >= set(own["Env"])  # Podman adds two of its own
    assert set(own["Labels"]) <= set(made["Labels"])
