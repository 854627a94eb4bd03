import pytest

from sandbox.buildjob import BuildSettings
from sandbox.errors import UsageError
from sandbox.hostnetwork import npm_registry, plain_address, proxies, python_indexes
from sandbox.redaction import NPM_TOKEN


def test_a_named_variable_gives_the_index() -> None:
    env = {"MINE": "https://bob:pw12@i.example/simple", "PIP_INDEX_URL": "https://other.example"}
    assert python_indexes(env, "MINE") == {"PIP_INDEX_URL": env["MINE"]}
    assert python_indexes(env, None) == {"PIP_INDEX_URL": env["PIP_INDEX_URL"]}


def test_a_proxy_without_a_scheme_is_given_one_so_that_its_login_is_secret() -> None:
    env = {"HTTPS_PROXY": "bob:pw12pw12@proxy.example:3128", "no_proxy": "a.example,b.example"}
    address = "http://bob:pw12pw12@proxy.example:3128"
    given = {"HTTPS_PROXY": address, "https_proxy": address}
    assert proxies(env) == {**given, "NO_PROXY": env["no_proxy"], "no_proxy": env["no_proxy"]}
    assert "pw12pw12" in BuildSettings.from_environment(env).secrets


@pytest.mark.parametrize("value", ["", "  ", None])
def test_a_variable_that_is_not_set_is_an_error_that_names_it(value: str | None) -> None:
    env = {} if value is None else {"MINE": value}
    with pytest.raises(UsageError, match="index_url_variable names the variable MINE, which is"):
        python_indexes(env, "MINE")
    with pytest.raises(UsageError, match="npm_token_variable names the variable MINE, which is"):
        npm_registry(env, "MINE")


def test_an_index_that_is_no_address_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="holds no http or https address") as caught:
        python_indexes({"MINE": "file:///hunter2"}, "MINE")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["npm_config_registry", "NPM_CONFIG_REGISTRY"])
def test_the_npm_registry_and_its_token(name: str) -> None:
    env = {name: "https://h.example/npm/", "TOKEN": "abcdef"}
    found = npm_registry(env, "TOKEN")
    assert found == {"npm_config_registry": env[name], NPM_TOKEN: "abcdef"}
    assert npm_registry({name: "file:///x"}, None) == {}
    with pytest.raises(UsageError, match="no registry that its token is for"):
        npm_registry({"TOKEN": "abcdef"}, "TOKEN")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "mirror.example",
        "http://a:b@h/",
        "file:///x",
        "http://h/#x",
        "http://h/$(id)",
        "http://h/'",
    ],
)
def test_a_mirror_is_a_plain_address(address: str) -> None:
    with pytest.raises(UsageError, match="apt_mirror is"):
        plain_address("apt_mirror", address)
    assert plain_address("apt_mirror", "http://[::1]:80/debian") == "http://[::1]:80/debian"


def test_settings_know_their_secrets() -> None:
    env = {
        "https_proxy": "http://bob:hunter2@p:1",
        "TOKEN": "npm_abc",
        "npm_config_registry": "https://h.example/npm/",
        "GOPROXY": "https://bob:hunter3@g.example,https://bob:hunter4@g.example|direct",
    }
    settings = BuildSettings.from_environment(env, npm_token_variable="TOKEN")
    assert {"hunter2", "hunter3", "hunter4", "npm_abc"} < set(settings.secrets)
