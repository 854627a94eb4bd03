import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.patch import FILE
from sandbox.trees import Base, TreeStore
from tasks.devcontainer import (
    DevContainer,
    NotUsable,
    find_devcontainer,
    inputs_of,
    trusted_devcontainer,
)
from tasks.reading import RepositoryFiles

PLACE = ".devcontainer/devcontainer.json"


def find(said: object, place: str = PLACE, **files: str) -> DevContainer | None:
    texts = {place: said if isinstance(said, str) else json.dumps(said), **files}
    return find_devcontainer(texts, texts.get)


def read(said: object, place: str = PLACE, **files: str) -> DevContainer:
    found = find(said, place, **files)
    assert found is not None
    return found


def test_an_image_with_commands_and_variables() -> None:
    found = read(
        """{
            // what we develop in
            "name": "x",
            "image": "mcr.example/python:3.12",
            "containerEnv": {"MODE": "test", "HOME": "/x", "FROM": "${localEnv:USER}"},
            "remoteEnv": {"LANG": "C"},
            "postCreateCommand": "pip install -r requirements.txt",
            "onCreateCommand": ["apt-get", "install", "a b"],
            "updateContentCommand": {"one": "make one", "two": ["make", "two"]},
            "customizations": {"vscode": {}}, "forwardPorts": [80], "remoteUser": "x",
        }"""
    )
    assert (found.path, found.image, found.dockerfile) == (PLACE, "mcr.example/python:3.12", None)
    assert found.variables == ("MODE=test", "LANG=C")
    assert found.commands == (
        *("apt-get install 'a b'", "make one", "make two", "pip install -r requirements.txt"),
    )
    assert found.unused == ("remoteUser", "containerEnv.FROM", "containerEnv.HOME")


def test_what_a_sandbox_does_not_give_is_named() -> None:
    found = read(
        {
            "image": "x",
            "features": {"ghcr.example/node:1": {}},
            "mounts": ["source=/,target=/host"],
            "runArgs": ["--privileged"],
            "privileged": True,
            "capAdd": [],
            "initializeCommand": "touch /tmp/on-the-host",
            "postStartCommand": "serve",
            "postCreateCommand": "echo ${localWorkspaceFolder}",
            "onCreateCommand": "ls ${containerWorkspaceFolder}/x ${SHELL}",
        }
    )
    assert found.unused == (
        *("features", "mounts", "runArgs", "privileged", "initializeCommand", "postStartCommand"),
        "postCreateCommand",
    )
    assert found.commands == ("ls /workspace/x ${SHELL}",)


@pytest.mark.parametrize(
    ("place", "build", "dockerfile", "context"),
    [
        (PLACE, {"dockerfile": "Dockerfile"}, ".devcontainer/Dockerfile", ".devcontainer"),
        (PLACE, {"dockerfile": "../Dockerfile", "context": ".."}, "Dockerfile", ""),
        (".devcontainer.json", {"dockerfile": "./ci/D"}, "ci/D", ""),
        (".devcontainer/a/devcontainer.json", {"dockerfile": "D", "context": "../.."},
         ".devcontainer/a/D", ""),
    ],
)  # fmt: skip
def test_a_dockerfile_beside_it(
    place: str, build: dict[str, str], dockerfile: str, context: str
) -> None:
    more = {"args": {"A": "1", "B": "${localEnv:B}"}, "target": "dev", "options": ["--no-cache"]}
    found = read({"build": {**build, **more}, "image": "ignored"}, place, **{dockerfile: "FROM x"})
    assert (found.dockerfile, found.context, found.target) == (dockerfile, context, "dev")
    assert (found.image, found.build_args) == (None, ("A=1",))
    assert found.unused == ("build.options", "build.args.B")


def test_the_old_way_to_name_a_dockerfile() -> None:
    found = read({"dockerFile": "D", "context": ".."}, **{".devcontainer/D": "FROM x"})
    assert (found.dockerfile, found.context) == (".devcontainer/D", "")


def test_the_digest_is_of_the_file_and_its_dockerfile() -> None:
    said = {"build": {"dockerfile": "D"}}
    digests = {
        read(said, **{".devcontainer/D": "FROM x"}).digest,
        read(said, **{".devcontainer/D": "FROM y"}).digest,
        read({**said, "x": 1}, **{".devcontainer/D": "FROM x"}).digest,
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("{", "cannot be read"),
        ("[]", "holds no object"),
        ({}, "names no image"),
        ({"image": "${localEnv:IMAGE}"}, "names no image"),
        ({"dockerComposeFile": "c.yml", "service": "app"}, "is made for docker compose"),
        ({"build": {"dockerfile": "D"}}, "not in the checkout: D"),
        ({"build": {"dockerfile": "../../etc/D"}}, "outside of the checkout: ../../etc/D"),
        ({"build": {"dockerfile": "/etc/D"}}, "outside of the checkout: /etc/D"),
        ({"build": {"dockerfile": "D", "context": "../.."}}, "outside of the checkout: ../.."),
        ({"build": "D", "image": 3}, "names no image"),
    ],
)
def test_one_of_which_no_image_can_be_made_says_why(said: object, why: str) -> None:
    with pytest.raises(NotUsable, match=why):
        find(said, **({} if "not in" in why else {".devcontainer/D": "FROM x"}))


def test_where_it_is_looked_for() -> None:
    texts = {
        ".devcontainer/a/devcontainer.json": '{"image": "a"}',
        ".devcontainer.json": '{"image": "top"}',
    }
    found = find_devcontainer(texts, texts.get)
    assert found is not None
    assert found.image == "top"
    del texts[".devcontainer.json"]
    found = find_devcontainer(texts, texts.get)
    assert found is not None
    assert found.image == "a"
    texts[".devcontainer/b/devcontainer.json"] = '{"image": "b"}'
    with pytest.raises(NotUsable, match="there are several"):
        find_devcontainer(texts, texts.get)
    assert find_devcontainer(["src/devcontainer.json"], texts.get) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("${x}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["image", "build", "dockerFile", "context", "containerEnv", "remoteEnv", "postCreateCommand",
     "features", "mounts"]
)  # fmt: skip


@given(st.dictionaries(KEYS, JSON | st.dictionaries(st.sampled_from(["dockerfile", "args"]), JSON)))
def test_whatever_stands_in_it_is_read_or_refused(said: dict[str, Any]) -> None:
    try:
        found = read(said)
    except NotUsable:
        return
    assert found.image
    assert all("=" in variable and variable.isprintable() for variable in found.variables)


@pytest.fixture
def files(tmp_path: Path) -> Any:
    store = TreeStore.create(tmp_path / "store")

    def make(**texts: str) -> RepositoryFiles:
        tree = store.add_tree((path, FILE, text.encode()) for path, text in texts.items())
        return RepositoryFiles(Base(store, tree))

    return make


def test_only_what_was_trusted_counts(files: Any) -> None:
    repository = files(**{PLACE: '{"image": "x", "features": {"a": 1}}', "a": ""})
    found, notes = trusted_devcontainer(repository, "")
    assert found is None
    assert notes == [f"{PLACE} is not trusted (see `greenroom trust`), so it is not used."]
    digest = read('{"image": "x", "features": {"a": 1}}').digest
    found, notes = trusted_devcontainer(repository, digest)
    assert found is not None
    assert notes == [f"These of {PLACE} are not used: features."]
    changed = files(**{PLACE: '{"image": "y", "features": {"a": 1}}', "a": ""})
    assert trusted_devcontainer(changed, digest)[0] is None
    assert trusted_devcontainer(files(a=""), digest) == (None, [])
    assert "cannot be read" in trusted_devcontainer(files(**{PLACE: "{"}), "")[1][0]


def test_commands_run_again_when_what_they_read_changes(files: Any) -> None:
    commands = ("bash scripts/install.sh", "make -C /workspace/tools all")
    texts = {
        "requirements-dev.txt": "1", "scripts/install.sh": "1", "tools/x/Makefile.inc": "1",
        "src/main.py": "1", ".devcontainer/more.sh": "1",
    }  # fmt: skip
    before = inputs_of(files(**texts), commands)
    for path in texts:
        after = inputs_of(files(**{**texts, path: "2"}), commands)
        assert (after == before) == (path == "src/main.py"), path
