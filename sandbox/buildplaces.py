"""What a build sandbox may reach, and what its steps are told of the way there."""

import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from sandbox.allowlist import PUBLIC_WEB, read_host
from sandbox.buildjob import BuildSettings
from sandbox.lending import proxies_of
from sandbox.prepare import PROXY, WAY_OUT

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What a name in this machine's settings may resolve into: one of the user's own choice may well be
# of a private network.
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
_OWN = ("127.0.0.0/8", "::1/128")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SEPARATORS = re.compile(r"[\s,|]+")


def build_places(settings: BuildSettings) -> tuple[str, ...]:
    """What a build may reach, as `Policy.network` has it: any public host at the ports of the web,
    the indexes, registries and mirrors that this machine's settings name, and `places`.
    """
    named = [entry for host, port in _named(settings) for entry in _entries(host, port)]
    return tuple(dict.fromkeys((PUBLIC_WEB, *named, *settings.places)))


def way_out_variables(settings: BuildSettings) -> dict[str, str]:
    """The proxy variables of a build's steps. What they reach on their own loopback is theirs, but
    for a server of this machine that the settings name.
    """
    named = [host for host, _port in _named(settings)]
    named += [entry.lstrip("[") for entry in settings.places]
    own = ",".join(name for name in _LOOPBACK if not any(each.startswith(name) for each in named))
    return {
        **WAY_OUT,
        **{"NO_PROXY": own, "no_proxy": own},
        # Yarn 2 and later asks no other variable.
        **{"YARN_HTTP_PROXY": PROXY, "YARN_HTTPS_PROXY": PROXY},
    }


def _named(settings: BuildSettings) -> Iterator[tuple[str, int]]:
    """The hosts and ports of the addresses in the settings, but for the proxies: those stand behind
    the way out, which asks them itself.
    """
    texts = [v for n, v in settings.environment.items() if n not in proxies_of(settings)]
    for word in _SEPARATORS.split(" ".join([*texts, settings.apt_mirror or ""])):
        with suppress(ValueError):  # a word that is no address, and that nothing can be asked of
            parts = urlsplit(word)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
            if parts.hostname and port:
                read_host(parts.hostname)
                yield parts.hostname, port


def _entries(host: str, port: int) -> Iterator[str]:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    yield where
    if isinstance(read_host(host), str):
        networks = _OWN if host == "localhost" else _PRIVATE
        yield from (f"{where}@{network}" for network in networks)
