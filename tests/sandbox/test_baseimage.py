import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import baseimage, givenimage
from sandbox.baseimage import dockerfile
from sandbox.buildjob import BuildSettings, Job
from sandbox.container import Sandbox
from sandbox.engine import Engine
from sandbox.errors import SetupError, UsageError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tests.sandbox.chains import remove_chain
from tests.sandbox.serving import serve_package, served

Make = Callable[..., str]
Ensure = Callable[[str], Awaitable[Image]]


@pytest.fixture
def make(engine: Engine, image: Image) -> Iterator[Make]:
    """Makes somebody else's image out of ours: by a command, with Dockerfile instructions."""
    made: list[str] = []

    def derive(command: str = "true", *changes: str) -> str:
        tag = uuid.uuid4().hex
        container = engine.api.create_container(image.reference, ["bash", "-c", command])["Id"]
        try:
            engine.api.start(container)
            assert engine.api.wait(container)["StatusCode"] == 0
            engine.api.commit(container, "greenroom-test", tag, changes="\n".join(changes) or None)
        finally:
            engine.api.remove_container(container)
        made.append(f"greenroom-test:{tag}")
        return made[-1]

    yield derive
    for name in made:
        engine.api.remove_image(name)


@pytest.fixture
def ensure(engine: Engine, tmp_path: Path) -> Iterator[Ensure]:
    made: list[str] = []

    async def build(base: str) -> Image:
        found = await ensure_image(
            ImageSpec(base=base), engine=engine, settings=BuildSettings(), cache=tmp_path
        )
        made.append(found.name)
        return found

    yield build
    for name in set(made):
        remove_chain(engine, name)


def test_the_dockerfile_is_the_one_at_the_top() -> None:
    top = Path(__file__).parents[2] / "Dockerfile.sandbox"
    assert dockerfile() == top.read_text()


@pytest.mark.docker
def test_our_own_base_is_lent_what_its_build_needs_and_keeps_none_of_it(
    engine: Engine, image: Image, tmp_path: Path
) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.write_text("-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n")
    settings = BuildSettings(
        ca_bundle=certificates, environment={"https_proxy": "http://u:hunter22@127.0.0.1:9/"}
    )
    job = Job(settings, lambda _line: None)
    job.api = engine.api
    text = dockerfile() + (
        'RUN grep -q ours "$SSL_CERT_FILE" && apt-config dump | grep -q greenroom/ca.pem '
        '&& test -n "$https_proxy"\n'
    )
    tag = f"greenroom-test:{uuid.uuid4().hex}"
    baseimage._build(job, text, image.name, tag, {"mark": tag})
    try:
        told = str(engine.api.inspect_image(tag)) + str(engine.api.history(tag))
        assert "hunter22" not in told
        container = engine.api.create_container(tag, ["ls", "-A", "/var/tmp"])["Id"]
        engine.api.start(container)
        assert engine.api.logs(container, follow=True) == b""
        engine.api.remove_container(container)
    finally:
        engine.api.remove_image(tag)


@pytest.mark.docker
async def test_a_named_image_keeps_what_it_was_configured_with(
    engine: Engine, make: Make, ensure: Ensure
) -> None:
    name = make("true", "ENV TOOL=hammer", "USER 1000", 'ENTRYPOINT ["/bin/echo"]', "WORKDIR /srv")
    found = await ensure(name)
    config = engine.api.inspect_image(found.reference)["Config"]
    assert "TOOL=hammer" in config["Env"]
    assert (config["User"], config["Entrypoint"], config["WorkingDir"]) == (
        "1000",
        ["/bin/echo"],
        "/srv",
    )
    assert found.spec.base == name
    assert name in found.origin
    assert await ensure(name) == found


@pytest.mark.docker
async def test_an_image_can_be_named_by_its_id(engine: Engine, make: Make, ensure: Ensure) -> None:
    name = make()
    reference = engine.api.inspect_image(name)["Id"]
    assert (await ensure(reference)).reference == (await ensure(name)).reference


@pytest.mark.docker
async def test_an_image_without_python_says_what_it_needs(make: Make, ensure: Ensure) -> None:
    # Neither Python nor a program that could add it.
    name = make("rm -f /usr/bin/python3* /usr/bin/apt-get")
    with pytest.raises(SetupError, match="needs python3") as caught:
        await ensure(name)
    assert "the image lacks: python3" in caught.value.message
    assert "--image" in caught.value.hint


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The networks of the containers in which an image was prepared."""
    used: list[str] = []
    real = givenimage._container

    def container(job: Job, image: str, network: str) -> Any:
        used.append(network)
        return real(job, image, network)

    monkeypatch.setattr(givenimage, "_container", container)
    return used


@pytest.mark.docker
async def test_an_image_that_lacks_nothing_is_prepared_without_a_network(
    make: Make, ensure: Ensure, networks: list[str]
) -> None:
    await ensure(make())
    assert networks == ["none"]


@pytest.mark.docker
async def test_what_an_image_has_others_do_when_they_build_on_it_is_not_done(
    engine: Engine, make: Make, ensure: Ensure
) -> None:
    found = await ensure(make("true", "ONBUILD RUN touch /done"))
    container = engine.api.create_container(found.reference, ["ls", "/"], entrypoint=[])["Id"]
    try:
        engine.api.start(container)
        assert b"done" not in engine.api.logs(container, follow=True)
    finally:
        engine.api.remove_container(container)


@pytest.mark.docker
async def test_what_is_added_to_an_image_is_lent_what_it_needs_and_keeps_none_of_it(
    engine: Engine, make: Make, tmp_path: Path, networks: list[str]
) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.write_text("-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n")
    settings = BuildSettings(
        ca_bundle=certificates,
        environment={
            "https_proxy": "http://u:hunter22@127.0.0.1:9/",
            "PIP_INDEX_URL": "https://b:pw4711pw@i.test/simple",
        },
    )
    seen = (
        "grep -q ours $SSL_CERT_FILE && grep -q ca.pem $APT_CONFIG && echo $https_proxy | "
        "grep -q hunter && [ -z $PIP_INDEX_URL ] && ln -sf true /usr/bin/git"
    )
    name = make(
        f"rm /usr/bin/git; printf '%s\\n' '#!/bin/sh' '{seen}' > /usr/bin/apt-get; "
        "mkdir -p /var/tmp"
    )
    found = await ensure_image(
        ImageSpec(base=name), engine=engine, settings=settings, cache=tmp_path / "cache"
    )
    assert networks == ["none", "bridge"]
    told = str(engine.api.inspect_image(found.name)) + str(engine.api.history(found.name))
    saved = b"".join([*engine.api.get_image(found.name), told.encode()])
    container = engine.api.create_container(
        found.reference, ["sh", "-c", "readlink /usr/bin/git; ls -A /var/tmp"], entrypoint=[]
    )["Id"]
    try:
        engine.api.start(container)
        assert engine.api.logs(container, follow=True) == b"true\n"
    finally:
        engine.api.remove_container(container)
        engine.api.remove_image(found.name)
    assert b"hunter22" not in saved
    assert b"pw4711pw" not in saved


@pytest.mark.docker
async def test_git_is_added_where_it_can_be(
    engine: Engine, make: Make, image: Image, tmp_path: Path
) -> None:
    serve_package(tmp_path, "git", "/usr/bin/git", "#!/bin/sh\necho added\n")
    with served(tmp_path) as port:
        source = f"deb [trusted=yes] http://127.0.0.1:{port} ./"
        name = make(
            "rm /usr/bin/git; dpkg --remove --force-all git; "
            f"echo '{source}' > /etc/apt/sources.list"
        )
        settings = BuildSettings(network="host")
        found = await ensure_image(
            ImageSpec(base=name), engine=engine, settings=settings, cache=tmp_path / "cache"
        )
    container = engine.api.create_container(found.reference, ["git"], entrypoint=[])["Id"]
    try:
        engine.api.start(container)
        assert engine.api.logs(container, follow=True) == b"added\n"
    finally:
        engine.api.remove_container(container)
        engine.api.remove_image(found.name)


@pytest.mark.docker
async def test_an_image_that_cannot_get_git_does_without(make: Make, ensure: Ensure) -> None:
    assert (await ensure(make("rm /usr/bin/git /usr/bin/apt-get"))).name


@pytest.mark.docker
async def test_programs_on_an_image_s_own_path_are_found_by_a_login_shell(
    make: Make, ensure: Ensure, tmp_path: Path
) -> None:
    program = "/opt/venv/bin/mine"
    name = make(
        f"mkdir -p /opt/venv/bin; printf '#!/bin/sh\necho mine\n' > {program}; chmod +x {program}",
        "ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin",
    )
    store = TreeStore.create(tmp_path / "store")
    base = Base(store, store.add_tree([("a", FILE, b"")]))
    async with Sandbox.open(await ensure(name), base, Policy()) as box:
        result = await box.run(["bash", "-lc", "mine; command -v python3"])
    assert result.output.text == "mine\n/usr/bin/python3\n"


@pytest.mark.docker
async def test_a_too_old_python_is_refused(make: Make, ensure: Ensure) -> None:
    old = "import sys; sys.version_info = (3, 6)"
    name = make(
        "rm /usr/bin/python3; printf '#!/bin/sh\\nexec /usr/bin/python3.11 -I -S -c "
        f'"{old}; exec(sys.argv[1])" "$4"\\n\' > /usr/bin/python3; chmod +x /usr/bin/python3'
    )
    with pytest.raises(SetupError, match=r"3\.7 or later"):
        await ensure(name)


@pytest.mark.docker
async def test_missing_bytecode_of_the_standard_library_is_made(
    engine: Engine, make: Make, ensure: Ensure
) -> None:
    found = await ensure(make("find /usr/lib/python3.11 -name '*.pyc' -delete"))
    container = engine.api.create_container(
        found.reference, ["sh", "-c", "ls /usr/lib/python3.11/__pycache__/json* "
                          "/usr/lib/python3.11/json/__pycache__/decoder*"], entrypoint=[],
    )["Id"]  # fmt: skip
    try:
        engine.api.start(container)
        assert b"decoder.cpython-311.pyc" in engine.api.logs(container, follow=True)
    finally:
        engine.api.remove_container(container)


@pytest.mark.docker
async def test_declared_volumes_are_dropped_and_their_content_kept(
    engine: Engine, make: Make, ensure: Ensure
) -> None:
    name = make("mkdir /data; echo kept > /data/file", "VOLUME /data", "ENV TOOL=hammer")
    found = await ensure(name)
    config = engine.api.inspect_image(found.reference)["Config"]
    assert not config.get("Volumes")
    assert "TOOL=hammer" in config["Env"]
    container = engine.api.create_container(found.reference, ["cat", "/data/file"])["Id"]
    try:
        engine.api.start(container)
        assert engine.api.logs(container, follow=True) == b"kept\n"
    finally:
        engine.api.remove_container(container)


@pytest.mark.docker
async def test_an_image_that_cannot_be_pulled_says_what_else_to_do(ensure: Ensure) -> None:
    with pytest.raises(SetupError, match="could not be pulled") as caught:
        await ensure("localhost:9/nobody/nothing:1")
    assert "docker load" in caught.value.hint


@pytest.mark.docker
async def test_an_id_that_is_not_here_is_not_pulled(ensure: Ensure) -> None:
    with pytest.raises(UsageError, match="no image"):
        await ensure("sha256:" + "0" * 64)
