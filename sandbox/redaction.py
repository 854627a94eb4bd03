"""Secrets in what a build is lent: found in addresses and tokens, and kept out of what is shown."""

import base64
import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

#: The variable that holds the token for the npm registry in a build; npm's settings refer to it.
NPM_TOKEN = "GREENROOM_NPM_TOKEN"  # noqa: S105 - a name
#: What stands in a shown text for a secret.
REDACTED = "[redacted]"
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_TELLING = re.compile(r"key|token|secret|sig|pass|auth", re.IGNORECASE)
# A shorter one would be found in every other word, and protects nothing.
_SHORTEST = 4


def secrets_of(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that variables of a build hold: tokens of registries, logins in addresses."""
    modules = re.split(r"[,|]", variables.get("GOPROXY", ""))
    return _distinct([variables.get(NPM_TOKEN, ""), *secrets_in([*variables.values(), *modules])])


def secrets_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The passwords and tokens in the addresses that stand in texts, as they are and as they are
    sent: the longest first.
    """
    found: list[str] = []
    for text in texts:
        for address in _ADDRESS.findall(text):
            found += _in_address(address)
    return _distinct(found)


def has_login(text: str) -> bool:
    """Whether an address in `text` holds anything that is not for everybody's eyes."""
    return any(_in_address(address) for address in _ADDRESS.findall(text))


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` with each of `secrets` replaced."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def _in_address(address: str) -> list[str]:
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that enclose no address of IPv6
        return []
    login, at, _ = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    # A name alone is a token where it is sent with a request, and none where a key speaks for it.
    at = at if colon or parts.scheme.rpartition("+")[2] in ("http", "https") else ""
    found = [password if colon else user] if at else []
    found += [value for name, value in parse_qsl(parts.query) if _TELLING.search(name)]
    plain = [unquote(secret) for secret in found]
    if at:  # as it is sent
        pair = login if colon else f"{login}:"
        found.append(base64.b64encode(unquote(pair).encode()).decode())
    return [*found, *plain]


def _distinct(found: Iterable[str]) -> tuple[str, ...]:
    kept = {secret for secret in found if len(secret) >= _SHORTEST}
    return tuple(sorted(kept, key=lambda secret: (-len(secret), secret)))
