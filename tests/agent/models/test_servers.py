import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.models.servers import PROFILES, is_loopback, parse_endpoint, usual_address
from sandbox.errors import UsageError


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/chat/completions", "http://localhost:8000/v1"),
        ("https://x.test/openai/v1", "https://x.test/openai/v1"),
        ("HTTPS://x.test", "https://x.test/v1"),
        ("localhost:1234", "http://localhost:1234/v1"),
        ("127.0.0.1:1234/v1", "http://127.0.0.1:1234/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
        ("http://me:secret@x.test/v1", "http://x.test/v1"),
    ],
)
def test_an_address_is_understood_as_meant(text: str, base: str) -> None:
    assert parse_endpoint(text).base == base


def test_a_query_stays_behind_each_route() -> None:
    endpoint = parse_endpoint("https://x.test/v1?version=3")
    assert endpoint.url("models") == "https://x.test/v1/models?version=3"


def test_a_login_is_kept_out_of_sight() -> None:
    endpoint = parse_endpoint("http://me:p%40ss@x.test/v1")
    assert endpoint.login == ("me", "p@ss")
    assert "p@ss" not in repr(endpoint)


@pytest.mark.parametrize(
    "text", ["x.test/v1", "ftp://x.test", "http://", "", "http://x:notaport/v1", "http://me:pw@/v1"]
)
def test_what_is_no_address_is_refused_without_its_login(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_endpoint(text)
    assert "pw" not in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_an_endpoint_or_a_usage_error(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except UsageError:
        return
    assert endpoint.base.startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("192.168.1.2", False),
        ("10.0.0.1", False),
        ("localhost.evil.test", False),
        ("127.0.0.1.evil.test", False),
        ("", False),
    ],
)
def test_only_loopback_addresses_are_local(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999"),
        (":9999", "http://127.0.0.1:9999"),
        ("box.test", "http://box.test:11434"),
        ("https://box.test", "https://box.test"),
        ("[::1]:9999", "http://[::1]:9999"),
        ("[::]", "http://127.0.0.1:11434"),
    ],
)
def test_ollamas_own_variable_is_understood(value: str, address: str) -> None:
    assert usual_address(PROFILES["ollama"], {"OLLAMA_HOST": value}) == address


def test_openais_own_variable_counts_for_openai_only() -> None:
    environment = {"OPENAI_BASE_URL": "http://x.test/v1"}
    assert usual_address(PROFILES["openai"], environment) == "http://x.test/v1"
    assert usual_address(PROFILES["vllm"], environment) == PROFILES["vllm"].address


def test_every_usual_address_but_openais_is_on_this_machine() -> None:
    away = [p.name for p in PROFILES.values() if not parse_endpoint(p.address).loopback]
    assert away == ["openai"]
