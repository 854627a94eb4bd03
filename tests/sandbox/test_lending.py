"""What a build is lent, and that none of it stays: also with a secret in it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.buildjob import BuildSettings
from sandbox.engine import Engine
from sandbox.errors import GreenroomError, SetupError
from sandbox.image import Image, ImageSpec, ensure_image
from sandbox.lending import lent_files, lent_variables, mirrored
from sandbox.redaction import NPM_TOKEN
from tests.sandbox.chains import remove_chain
from tests.sandbox.serving import serve_wheel, served

LOGIN = "somebody:hunter2hunter2"
SECRETS = ("hunter2hunter2", "npm_sesame", "c29tZWJvZHk6aHVudGVyMmh1bnRlcjI=")
Build = Callable[..., Awaitable[Image]]


def test_nothing_is_lent_that_this_machine_does_not_have() -> None:
    assert lent_files(BuildSettings()) == {}
    assert not {"SSL_CERT_FILE", "APT_CONFIG"} & lent_variables(BuildSettings()).keys()


def test_apt_gets_the_certificates_too(tmp_path: Path) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.write_text("ours")
    files = lent_files(BuildSettings(ca_bundle=certificates))
    assert files["ca.pem"] == b"ours"
    assert b'Acquire::https::CAInfo "/var/tmp/greenroom/ca.pem";' in files["apt.conf"]
    variables = lent_variables(BuildSettings(ca_bundle=certificates))
    assert variables["APT_CONFIG"] == "/var/tmp/greenroom/apt.conf"
    assert variables["NODE_EXTRA_CA_CERTS"] == "/var/tmp/greenroom/ca.pem"


@pytest.mark.parametrize(
    ("registry", "place"),
    [
        ({"npm_config_registry": "http://h.example:4873"}, "h.example:4873/"),
        ({"npm_config_registry": "https://h.example/npm/all/"}, "h.example/npm/all/"),
    ],
)
def test_the_npm_token_goes_to_the_registry_alone(registry: dict[str, str], place: str) -> None:
    settings = BuildSettings(environment={**registry, NPM_TOKEN: "abcdef"})
    told = f"//{place}:_authToken=${{GREENROOM_NPM_TOKEN}}\n"
    assert lent_files(settings)["npmrc"].decode() == told
    assert lent_variables(settings)["npm_config_userconfig"] == "/var/tmp/greenroom/npmrc"


def test_certificates_that_went_are_an_error_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read: No such file"):
        lent_files(BuildSettings(ca_bundle=tmp_path / "gone.pem"))


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("http://archive.example/debian", "https://m.example/x/debian"),
        ("https://a.example:8080/debian-security/", "https://m.example/x/debian-security/"),
        ("http://archive.example/ubuntu", "https://m.example/x/ubuntu"),
        ("http://archive.example/ubuntu-ports", "https://m.example/x/ubuntu-ports"),
        ("http://packages.example/linux/debian", "http://packages.example/linux/debian"),
        ("http://packages.example/debian-more", "http://packages.example/debian-more"),
        ("http://packages.example/debian/more", "http://packages.example/debian/more"),
    ],
)
def test_a_mirror_stands_in_for_the_distribution_s_archives_alone(address: str, there: str) -> None:
    assert mirrored(address, "https://m.example/x/") == there
    assert mirrored(address, None) == address


@pytest.fixture
async def build(engine: Engine, image: Image, tmp_path: Path) -> AsyncIterator[Build]:
    """Builds a spec that no earlier run can have cached, and removes what came of it."""
    made: list[str] = []

    async def make(
        settings: BuildSettings, said: list[str] | None = None, **parts: tuple[str, ...] | str
    ) -> Image:
        said = [] if said is None else said
        found = await ensure_image(
            ImageSpec(**parts),  # type: ignore[arg-type]
            engine=engine,
            settings=settings,
            cache=tmp_path / "cache",
            progress=said.append,
            live=said.append,
        )
        made.append(found.name)
        return found

    yield make
    for name in reversed(made):
        remove_chain(engine, name)


@pytest.fixture
def private(tmp_path: Path) -> Iterator[tuple[BuildSettings, str]]:
    """A package on an index that wants a login, and settings that have it."""
    name = f"pkg{uuid.uuid4().hex}"
    folder = tmp_path / "web"
    serve_wheel(folder, name, {f"{name}.py": "VALUE = 42\n"})
    with served(folder, LOGIN) as port:
        env = {
            "MINE": f"http://{LOGIN}@127.0.0.1:{port}/simple",
            "TOKEN": "npm_sesame",
            "npm_config_registry": f"http://127.0.0.1:{port}/npm",
        }
        settings = BuildSettings.from_environment(
            env, index_url_variable="MINE", npm_token_variable="TOKEN"
        )
        quick = {**settings.environment, "PIP_RETRIES": "0"}
        yield replace(settings, environment=quick), name


def everything_of(engine: Engine, image: Image) -> bytes:
    """The whole of an image as the engine gives it away: its settings, its history, its files,
    which are not compressed there.
    """
    told = str(engine.api.inspect_image(image.name)) + str(engine.api.history(image.name))
    return b"".join([*engine.api.get_image(image.name), told.encode()])


@pytest.mark.docker
async def test_a_private_index_is_used_and_its_login_is_nowhere(
    build: Build, engine: Engine, private: tuple[BuildSettings, str]
) -> None:
    settings, name = private
    said: list[str] = []
    # The command fails unless it sees both; what it prints must not be shown.
    token = f"test ${NPM_TOKEN} = npm_sesame && grep -q {NPM_TOKEN} $npm_config_userconfig"
    seen = f"pip download -d /tmp/x {name}; {token}; env; echo $PIP_INDEX_URL >&2"
    made = await build(settings, said, pip=(f"{name}==1.0",), setup=(seen,))
    saved, output = everything_of(engine, made), "\n".join(said)
    assert f"/{name}.py".encode() in saved
    assert "PIP_INDEX_URL=http://somebody:[redacted]@127.0.0.1" in output
    for secret in SECRETS:
        assert secret.encode() not in saved
        assert secret not in output


@pytest.mark.docker
async def test_an_error_does_not_tell_the_login(
    build: Build, private: tuple[BuildSettings, str]
) -> None:
    settings, _ = private
    for parts in (
        {"pip": (f"missing{uuid.uuid4().hex}",)},
        {"setup": ("env | grep -e INDEX -e npm; exit 1",)},
        {"pip": ("x @ http://bob:literal99@127.0.0.1:9/x-1-py3-none-any.whl",)},
    ):
        said: list[str] = []
        with pytest.raises(GreenroomError) as caught:
            await build(settings, said, **parts)
        told = f"{caught.value}\n" + "\n".join(said)
        for secret in (*SECRETS, "literal99"):
            assert secret not in told


@pytest.mark.docker
@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("pip config --global set global.index-url $PIP_INDEX_URL", "/etc/pip.conf"),
        ("mkdir -p /opt/x; printf %3000000s; printf %s $PIP_INDEX_URL > /opt/x/.netrc",
         "/opt/x/.netrc"),
    ],
)  # fmt: skip
async def test_a_layer_that_holds_the_login_is_not_kept(
    build: Build, private: tuple[BuildSettings, str], command: str, path: str
) -> None:
    settings, _ = private
    with pytest.raises(SetupError, match=f"was written to {path} while") as caught:
        await build(settings, setup=(f"{command} # {uuid.uuid4()}",))
    assert "PIP_INDEX_URL" in caught.value.hint


@pytest.mark.docker
async def test_apt_asks_the_mirror_in_the_place_of_the_archive(
    build: Build, tmp_path: Path
) -> None:
    sources = "http://archive.example/debian"
    base = await build(
        BuildSettings(),
        setup=(f"echo 'deb {sources} x main' > /etc/apt/sources.list # {uuid.uuid4()}",),
    )
    await build(BuildSettings(), base=base.name)
    asked: list[str] = []
    with served(tmp_path) as port:
        settings = BuildSettings(apt_mirror=f"http://127.0.0.1:{port}/mirror")
        with pytest.raises(SetupError):
            await build(settings, asked, base=base.name, apt=("no-such-package",))
    assert any("/mirror/debian x " in line for line in asked)
    assert not any("archive.example" in line for line in asked)
