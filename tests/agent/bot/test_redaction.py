import pytest

from agent.bot.redaction import Redaction

SECRETS = (
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2" * 8,
    "glpat-" + "a1B2" * 5,
    "AKIA" + "A1B2" * 4,
    "xoxb-1234567890-abcdef",
    "sk-ant-" + "a1B2" * 8,
    "hf_" + "a1B2" * 9,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_replaced(secret: str) -> None:
    text = Redaction([], {})(f"before {secret} after")
    assert text == "before [redacted] after"


def test_values_of_secret_variables_and_logins_in_addresses_are_replaced() -> None:
    environ = {
        "MY_API_KEY": "plainwords",
        "FORGE_TOKEN": "other-words",
        "EMPTY_TOKEN": "",
        "FLAG_KEY": "1",
        "HTTPS_PROXY": "http://me:proxypass@proxy.test:1",
        "HARMLESS": "staying-words",
    }
    hide = Redaction(["given-text"], environ)
    shown = hide("plainwords other-words given-text proxypass staying-words 1 Basic x")
    assert shown == "[redacted] [redacted] [redacted] [redacted] staying-words 1 Basic x"
    assert (
        hide("see https://user:pw-of-theirs@host.test/x")
        == "see https://user:[redacted]@host.test/x"
    )
    assert "c2VjcmV0OnNlY3JldA" not in hide("authorization: Basic c2VjcmV0OnNlY3JldA==")


def test_a_path_that_a_variable_names_is_no_secret() -> None:
    assert Redaction([], {"SSH_AUTH_SOCK": "/usr/bin/env"})("/usr/bin/env") == "/usr/bin/env"
