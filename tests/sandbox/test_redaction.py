import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.redaction import NPM_TOKEN, REDACTED, has_login, redact, secrets_in, secrets_of

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=30)


@given(WORDS, WORDS)
def test_a_password_in_an_address_is_found_as_it_stands_and_as_it_is_sent(
    user: str, password: str
) -> None:
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    sent = base64.b64encode(f"{user}:{password}".encode()).decode()
    found = secrets_in([f"https://{login}@index.example/simple"])
    shown = redact(f"{login} | {password} | {sent}", found)
    assert password not in shown.replace(REDACTED, "")
    assert sent not in shown


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://tokentoken@index.example/simple", ("dG9rZW50b2tlbjo=", "tokentoken")),
        ("https://h.example/simple?token=abcdef&page=2", ("abcdef",)),
        ("https://h.example/simple?page=secret", ()),
        ("https://h.example/simple", ()),
        ("http://[broken/simple", ()),
        ("git+ssh://deploy@h.example/x.git", ()),
        ("git+https://bob:hunter2@h.example/x.git", ("Ym9iOmh1bnRlcjI=", "hunter2")),
        ("http://h.example/ https://:pw12@i.example", ("OnB3MTI=", "pw12")),
    ],
)
def test_what_is_secret_in_an_address(address: str, found: tuple[str, ...]) -> None:
    assert secrets_in([address]) == found
    assert has_login(address) == bool(found)


def test_a_registry_s_token_is_a_secret_whole() -> None:
    variables = {NPM_TOKEN: "npm_abc", "HTTP_PROXY": "http://h:1"}
    assert secrets_of(variables) == ("npm_abc",)


def test_the_longest_secret_is_replaced_first() -> None:
    secrets = secrets_in(["https://a:pass@h", "https://a:password@h"])
    assert redact("password", secrets) == REDACTED
