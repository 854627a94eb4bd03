"""What this machine's environment says of its network: certificates, proxies, package indexes."""

import re
from collections.abc import Mapping
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.redaction import NPM_TOKEN

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY")
_CERTIFICATES = ("GREENROOM_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
_INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")
_PLAIN_ADDRESS = re.compile(r"https?://[\w.:\[\]-]+(/[\w.~/+-]*)?")


def certificates(env: Mapping[str, str], given: str | None) -> Path | None:
    """The file of certificates that this machine trusts, `given` first. Raises UsageError for one
    that is not there.
    """
    source, value = "ca_bundle", given
    for name in _CERTIFICATES:
        if not value:
            source, value = name, env.get(name)
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise UsageError(
            f"{source} names {value}, which is not a file.",
            "Name a file of certificates in PEM form, or unset it.",
        )
    return path


def proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Proxy variables under both spellings: programs disagree on which one they read. An address
    is given its scheme where it has none: so a login in it is known for one."""
    found = {}
    for name in _PROXIES:
        value = env.get(name.lower()) or env.get(name)
        if value and name != "NO_PROXY" and "://" not in value:
            value = f"http://{value}"
        if value:
            found[name] = found[name.lower()] = value
    return found


def python_indexes(env: Mapping[str, str], variable: str | None) -> dict[str, str]:
    """Package indexes that a container can reach too, never a folder of this machine; the first is
    what `variable` holds where one is named. Raises UsageError when that holds no address.
    """
    found = {}
    for name in _INDEXES:
        addresses = [address for address in env.get(name, "").split() if _is_web(address)]
        if addresses:
            found[name] = " ".join(addresses)
    if variable is not None:
        what = "the address of a Python package index"
        found["PIP_INDEX_URL"] = _secret(env, variable, "index_url_variable", what)
        if not _is_web(found["PIP_INDEX_URL"]):
            raise UsageError(
                f"{variable}, which index_url_variable names, holds no http or https address.",
                "Set it to one, such as https://USER:PASSWORD@HOST/simple.",
            )
    return found


def module_proxies(env: Mapping[str, str]) -> dict[str, str]:
    """Go's module proxies, whose list keeps its own separators, where the first is on the web."""
    value = env.get("GOPROXY", "").strip()
    return {"GOPROXY": value} if _is_web(value) else {}


def npm_registry(env: Mapping[str, str], variable: str | None) -> dict[str, str]:
    """The npm registry, and the token for it in `variable` where one is named. Raises UsageError
    when that is not set, or the registry is not.
    """
    registry = env.get("npm_config_registry") or env.get("NPM_CONFIG_REGISTRY", "")
    found = {"npm_config_registry": registry} if _is_web(registry) else {}
    if variable is not None:
        token = _secret(env, variable, "npm_token_variable", "the token for the npm registry")
        if not found:
            raise UsageError(
                f"npm_token_variable names {variable}, but no registry that its token is for.",
                "Set npm_config_registry to the registry's address.",
            )
        found[NPM_TOKEN] = token
    return found


def plain_address(setting: str, address: str | None) -> str | None:
    """An address without a login, None for none. Raises UsageError for anything else."""
    if address is not None and not _PLAIN_ADDRESS.fullmatch(address):
        raise UsageError(
            f"{setting} is {address!r}, which is no plain http or https address.",
            "Give the address below which /debian or /ubuntu lies, without a login.",
        )
    return address


def _secret(env: Mapping[str, str], variable: str, setting: str, what: str) -> str:
    value = env.get(variable, "").strip()
    if not value:
        raise UsageError(
            f"{setting} names the variable {variable}, which is not set here.",
            f"Set {variable} to {what}, or take the setting away.",
        )
    return value


def _is_web(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))
