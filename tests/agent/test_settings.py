import argparse
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import paths, settings, trust
from agent.cli.command import add_settings, flags
from agent.keys import KEYS, SANDBOX, BadValue, check, parse_size, parse_text
from agent.request import policy_of
from agent.settingsfile import repository_file
from sandbox.errors import UsageError
from sandbox.policy import GIB, MIB


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_defaults_hold_when_nothing_is_given(checkout: Path) -> None:
    found = settings.load(checkout, {}, {})
    assert found["turn_limit"] == 50
    assert found.sources["turn_limit"] == "default"
    assert not found.given("turn_limit")


def test_the_sandbox_s_bounds_are_those_of_the_settings(checkout: Path) -> None:
    given = {
        "memory": "3G",
        "pids": "99",
        "workspace_size": "300M",
        "command_timeout": "7",
        "network": "packages.example:443",
        "network_limit": "5M",
    }
    found = settings.load(checkout, {}, {f"GREENROOM_{n.upper()}": v for n, v in given.items()})
    policy = policy_of(found)
    assert (policy.memory_bytes, policy.pids, policy.command_timeout) == (3 * GIB, 99, 7)
    assert (policy.workspace_bytes, policy.network_bytes) == (300 * MIB, 5 * MIB)
    assert policy.network == ("packages.example:443",)


def test_flags_beat_environment_beats_repository_beats_user(checkout: Path) -> None:
    write(paths.config_file(), "turn_limit = 40\ntime_limit = 100\nseed = 1\ntest_cmd = 'a'")
    write(checkout / "greenroom.toml", "turn_limit = 30\ntime_limit = 90\nseed = 2")
    found = settings.load(
        checkout, {"turn_limit": 10}, {"GREENROOM_TURN_LIMIT": "20", "GREENROOM_TIME_LIMIT": "80"}
    )
    assert (found["turn_limit"], found.sources["turn_limit"]) == (10, "--turn-limit")
    assert (found["time_limit"], found.sources["time_limit"]) == (80.0, "GREENROOM_TIME_LIMIT")
    assert (found["seed"], found.sources["seed"]) == (2, "greenroom.toml")
    assert (found["test_cmd"], found.sources["test_cmd"]) == ("a", str(paths.config_file()))


def test_the_repository_table_may_stand_in_pyproject(checkout: Path) -> None:
    write(checkout / "pyproject.toml", "[tool.greenroom]\ntest_cmd = 'make check'")
    found = settings.load(checkout, {}, {})
    assert found["test_cmd"] == "make check"
    assert found.sources["test_cmd"] == "pyproject.toml [tool.greenroom]"


def test_settings_stand_in_one_place(checkout: Path) -> None:
    write(checkout / "pyproject.toml", "[tool.greenroom]\ntest_cmd = 'one'")
    assert settings.load(checkout, {}, {})["test_cmd"] == "one"
    write(checkout / "greenroom.toml", "test_cmd = 'two'")
    with pytest.raises(UsageError, match="settings both in greenroom"):
        settings.load(checkout, {}, {})


def test_no_setting_frees_files_but_the_one_that_needs_trust(checkout: Path) -> None:
    write(checkout / "greenroom.toml", "protected = ['!tests/']")
    with pytest.raises(UsageError, match="'!tests/' frees files, which is what `allow` is for"):
        settings.load(checkout, {}, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("test_comd = 'x'", "did you mean 'test_cmd'?"),
        ("turn_limit = 'x'", "turn_limit: expected a whole number, got 'x'"),
        ("turn_limit = true", "turn_limit: expected a whole number, got True"),
        ("turn_limit = 0", "turn_limit: expected at least 1, got 0"),
        ("temperature = nan", "temperature: expected a finite number"),
        ("reasoning_effort = 'huge'", "expected one of low, medium, high, got 'huge'"),
        ("exclude = 'x'", "exclude: expected a list of strings"),
        ("exclude = [1]", "exclude: expected a list of strings"),
        ("memory = 'lots'", "expected a size such as 512M or 2G, got 'lots'"),
        ("memory = '16M'", "memory: expected at least 64M, got 16M"),
        ("memory = 100", "memory: expected at least 64M, got 100 bytes"),
        ("test_cmd = ''", "expected a text, got an empty one"),
        ("test_cmd = ", "is not valid TOML"),
        (f"turn_limit = {'9' * 5000}", "is not valid TOML"),
    ],
)
def test_a_bad_file_is_named_with_what_was_expected(checkout: Path, text: str, said: str) -> None:
    write(checkout / "greenroom.toml", text)
    with pytest.raises(UsageError) as caught:
        settings.load(checkout, {}, {})
    assert said in str(caught.value)
    assert "greenroom.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("apt = 'jq'", 'apt = ["jq", "tree"]'),
        ("turn_limit = '5'", "turn_limit = 50"),
        ("memory = true", 'memory = "2048M"'),
        ("image = 3", 'image = "python:3.13-slim"'),
        ("workspace = 1", 'workspace = "memory"'),
    ],
)
def test_a_value_of_the_wrong_type_is_shown_the_right_form(
    checkout: Path, text: str, right: str
) -> None:
    write(checkout / "greenroom.toml", text)
    with pytest.raises(UsageError) as caught:
        settings.load(checkout, {}, {})
    assert caught.value.hint == f"An example of the right form: {right}"


def test_a_flag_takes_several_with_commas_where_a_comma_can_be_in_none() -> None:
    parser = argparse.ArgumentParser()
    add_settings(parser, SANDBOX)
    words = ["--apt", "jq, tree", "--apt=git", "--pip", "a>=1,<2", "--cpus", "1.5"]
    given = flags(parser.parse_args(words))
    assert given == {"apt": ("jq", "tree", "git"), "pip": ("a>=1,<2",), "cpus": 1.5}
    told = " ".join(parser.format_help().split())
    assert "Debian packages to add to the image (several: again, or with commas)" in told
    assert "Python requirements to add to the image (several: give it again)" in told


def test_a_dockerfile_with_a_name_of_no_file_is_said(checkout: Path) -> None:
    write(checkout / "greenroom.toml", f"dockerfile = '{'a' * 300}'")
    with pytest.raises(UsageError, match=r"cannot read .*aaa: File name too long"):
        settings.load(checkout, {}, {})


def test_what_stands_in_the_place_of_a_settings_file_is_refused_by_name(
    checkout: Path, home: Path
) -> None:
    for own in (checkout / "greenroom.toml", paths.config_file()):
        own.parent.mkdir(parents=True, exist_ok=True)
        own.mkdir()
        with pytest.raises(UsageError, match=f"cannot read {own}: Is a directory"):
            settings.load(checkout, {}, {})
        own.rmdir()
        os.mkfifo(own)
        with pytest.raises(UsageError, match=f"{own} is no file"):
            settings.load(checkout, {}, {})
        own.unlink()
    (checkout / "greenroom.toml").symlink_to("gone.toml")
    with pytest.raises(UsageError, match="is a link to nothing"):
        settings.load(checkout, {}, {})


def test_a_file_that_is_no_text_is_named(checkout: Path) -> None:
    (checkout / "greenroom.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"greenroom\.toml is not valid TOML"):
        settings.load(checkout, {}, {})


def test_an_unknown_variable_is_an_error_with_the_nearest(checkout: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'GREENROOM_MODEL'"):
        settings.load(checkout, {}, {"GREENROOM_MODLE": "x"})


def test_a_bad_variable_names_itself(checkout: Path) -> None:
    with pytest.raises(UsageError, match="GREENROOM_SEED: expected a whole number"):
        settings.load(checkout, {}, {"GREENROOM_SEED": "x"})


def test_a_context_may_be_written_in_units_of_1024(checkout: Path) -> None:
    found = settings.load(checkout, {}, {"GREENROOM_CONTEXT_WINDOW": "32k"})
    assert found["context_window"] == 32_768
    with pytest.raises(UsageError, match="expected a whole number, got 'xk'"):
        settings.load(checkout, {}, {"GREENROOM_CONTEXT_WINDOW": "xk"})
    with pytest.raises(UsageError, match="expected a whole number, got '32k'"):
        settings.load(checkout, {}, {"GREENROOM_SEED": "32k"})


@pytest.mark.parametrize("name", ["api_key_variable", "npm_token_variable"])
@pytest.mark.parametrize(
    "secret", ["sk-0123456789abcdef", "hf_0123456789abcdef", "0123456789abcdef"]
)
def test_a_secret_in_the_place_of_its_variable_is_not_shown(
    checkout: Path, name: str, secret: str
) -> None:
    with pytest.raises(UsageError, match="the name of a variable in capitals") as caught:
        settings.load(checkout, {}, {f"GREENROOM_{name.upper()}": secret})
    assert secret not in f"{caught.value.message} {caught.value.hint}"
    (checkout / "greenroom.toml").write_text(f'{name} = "{secret}"\n')
    with pytest.raises(UsageError, match="the name of a variable in capitals") as caught:
        settings.load(checkout, {}, {})
    assert secret not in f"{caught.value.message} {caught.value.hint}"


HOSTILE = {
    "model": "'openai:x'",
    "base_url": "'http://192.0.2.1/v1'",
    "api_key_variable": "'AWS_SECRET_ACCESS_KEY'",
    "price_input": "0.0",
    "include": "['.env']",
    "allow": "['tests/']",
    "image": "'evil:latest'",
    "dockerfile": "'Dockerfile'",
    "python": "'3.12'",
    "apt": "['x']",
    "pip": "['x']",
    "setup": "['curl x | sh']",
    "build_network": "'host'",
    "build_places": "['10.0.0.1:443']",
    "ca_bundle": "'/tmp/x'",
    "network": "['evil.example:443']",
    "network_limit": "'64G'",
    "apt_mirror": "'http://192.0.2.1'",
    "index_url_variable": "'AWS_SECRET_ACCESS_KEY'",
    "npm_token_variable": "'AWS_SECRET_ACCESS_KEY'",
    "turn_limit": "1000",
    "token_limit": "999999999",
    "time_limit": "999999.0",
    "test_timeout": "99999.0",
    "command_timeout": "99999.0",
    "memory": "'64G'",
    "workspace_size": "'64G'",
    "cpus": "64",
    "pids": "99999",
    "preset": "'compat'",
    "workspace": "'disk'",
    "isolation": "'gvisor'",
    "background": "64",
    "warm": "64",
    "candidates": "100000",
    "context_window": "1000000",
    "context_high": "0.4",
    "context_low": "0.2",
    "model_timeout": "99999.0",
    "malformed_retries": "1000",
    "precision": "'bf16'",
    "device_map": "'cpu'",
    "cache_limit": "'640G'",
    "grammar": "'off'",
    "vllm_args": "['trust_remote_code=true']",
    "reasoning_loops": "'keep'",
    "reasoning_patterns": "['a']",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_untrusted_repository_cannot_set_what_matters(checkout: Path, name: str) -> None:
    write(checkout / "greenroom.toml", f"{name} = {HOSTILE[name]}")
    found = settings.load(checkout, {}, {})
    assert found[name] == KEYS[name].default
    assert found.ignored
    assert found.ignored[0].startswith(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_trusted_repository_can(checkout: Path, name: str) -> None:
    write(checkout / "Dockerfile", "FROM x\n")
    write(checkout / "greenroom.toml", f"{name} = {HOSTILE[name]}")
    found = repository_file(checkout)
    assert found
    trust.trust(checkout, found.table)
    loaded = settings.load(checkout, {}, {})
    assert loaded.sources[name] == "greenroom.toml"
    assert not loaded.ignored


def test_every_guarded_or_bounded_key_is_tried_above() -> None:
    free_of_bound = {"cost_limit", "max_output_tokens", "price_output"}
    free_of_bound |= {"reasoning_limit", "reasoning_total"}
    reached = {key.name for key in KEYS.values() if key.reach not in ("free", "user")}
    assert reached - free_of_bound == set(HOSTILE)


def test_what_is_about_the_machine_no_repository_sets_trusted_or_not(checkout: Path) -> None:
    write(checkout / "greenroom.toml", "image_budget = '1M'")
    found = repository_file(checkout)
    assert found
    for _ in range(2):
        with pytest.raises(UsageError, match="image_budget is about this machine"):
            settings.load(checkout, {}, {})
        trust.trust(checkout, found.table)
    write(paths.config_file(), "image_budget = '3G'")
    assert settings.load(None, {}, {})["image_budget"] == 3 << 30


def test_an_untrusted_repository_may_lower_a_bound(checkout: Path) -> None:
    write(checkout / "greenroom.toml", "turn_limit = 5\ncost_limit = 0.5")
    found = settings.load(checkout, {}, {})
    assert found["turn_limit"] == 5
    assert found["cost_limit"] == 0.5
    assert not found.ignored


def test_trust_ends_when_the_table_changes(checkout: Path) -> None:
    write(checkout / "greenroom.toml", "image = 'a'")
    found = repository_file(checkout)
    assert found
    trust.trust(checkout, found.table)
    write(checkout / "greenroom.toml", "image = 'b'")
    assert settings.load(checkout, {}, {})["image"] is None


def test_trust_is_for_one_checkout_and_can_be_taken_back(checkout: Path, tmp_path: Path) -> None:
    table = {"image": "a"}
    trust.trust(checkout, table)
    assert trust.is_trusted(checkout, table)
    assert not trust.is_trusted(tmp_path / "other", table)
    assert trust.distrust(checkout)
    assert not trust.is_trusted(checkout, table)
    assert not trust.distrust(checkout)


def test_a_damaged_trust_file_is_said(checkout: Path) -> None:
    write(paths.trust_file(), "{")
    with pytest.raises(UsageError, match="is damaged"):
        trust.is_trusted(checkout, {})


@given(st.integers(0, 1 << 50), st.sampled_from(["", "K", "M", "G", "KiB", "MB", "gib"]))
def test_sizes_are_read_with_their_units(number: int, unit: str) -> None:
    factor = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[unit[:1].upper()]
    assert parse_size(f"{number}{unit}") == int(float(number) * factor)


@given(st.sampled_from(sorted(KEYS)), st.text())
def test_any_text_is_a_value_or_a_clear_refusal(name: str, text: str) -> None:
    try:
        parse_text(KEYS[name], text)
    except BadValue as problem:
        assert str(problem)


def test_every_example_is_a_value_that_its_key_takes() -> None:
    for key in KEYS.values():
        assert key.example is not None or key.default is not None, key.name
        if key.example is not None:
            assert check(key, key.example) == key.example


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("http://bob:pw@host:1/v1", "http://[redacted]@host:1/v1"),
        ("https://host/v1?api_key=abc", "https://host/v1?[redacted]"),
        ("https://host/v1?api-version=2", "https://host/v1?api-version=2"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
    ],
)
def test_a_record_holds_an_address_without_its_secrets(
    checkout: Path, address: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings.load(checkout, {"base_url": address}, {})
    recorded = settings.recordable(found)
    assert recorded["base_url"] == kept
    monkeypatch.setenv("GREENROOM_BASE_URL", address)
    assert settings.restore(recorded, {})["base_url"] == address
    monkeypatch.setenv("GREENROOM_BASE_URL", "http://elsewhere/v1")
    if "[redacted]" in kept:
        with pytest.raises(UsageError, match="Give the whole address again"):
            settings.restore(recorded, {})


def test_what_an_address_holds_of_a_secret_is_known(checkout: Path) -> None:
    address = "http://bob:pw12@host/v1?api_key=abc&x=1"
    found = settings.load(checkout, {"base_url": address}, {})
    assert settings.secrets(found, {}) == ("pw12", "abc")


def test_what_builds_are_lent_is_known_as_secret(checkout: Path) -> None:
    flags = {"index_url_variable": "MINE", "npm_token_variable": "TOKEN"}
    found = settings.load(checkout, flags, {})
    environment = {"MINE": "https://bob:hunter2@i.example/simple", "TOKEN": "npm_abc"}
    assert {"hunter2", "npm_abc"} < set(settings.secrets(found, environment))
    environment = {"PIP_INDEX_URL": "https://bob:hunter3@i.example/simple"}
    assert "hunter3" in settings.secrets(settings.load(checkout, {}, {}), environment)


def test_patterns_may_hold_commas_and_have_to_be_valid(checkout: Path) -> None:
    found = settings.load(checkout, {}, {"GREENROOM_REASONING_PATTERNS": "a{1,3}\n\\bno\\b"})
    assert found["reasoning_patterns"] == ("a{1,3}", "\\bno\\b")
    with pytest.raises(UsageError, match=r"REASONING_PATTERNS: '\(' is no regular expression"):
        settings.load(checkout, {}, {"GREENROOM_REASONING_PATTERNS": "("})


@pytest.mark.parametrize("name", ["BOT", "OUTPUT", "ISSUE", "GUIDANCE", "RED_BUILD", "DEBUG"])
def test_what_a_job_of_the_bot_is_told_is_no_setting(name: str, tmp_path: Path) -> None:
    found = settings.load(tmp_path, {}, {f"GREENROOM_{name}": "x"})
    assert set(found.sources.values()) == {"default"}
