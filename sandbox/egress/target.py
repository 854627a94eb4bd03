"""What a request is for, and by which entries of the list it may be carried out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import h11

from sandbox.addresses import Address
from sandbox.allowlist import Allowlist, Place, host_and_port, split_host_and_port
from sandbox.egress.record import Denied, Exchange

_ABSOLUTE = re.compile(r"http://([^/?#]+)([/?][^#]*)?", re.IGNORECASE)
_WEB_PORT = 80


@dataclass(frozen=True)
class Target:
    """A host and port that are on the list, by `places`. `path` is "" for a CONNECT."""

    host: str | Address
    port: int
    path: str
    places: Sequence[Place]

    def __str__(self) -> str:
        return host_and_port(self.host, self.port)


def read_target(request: h11.Request, allowlist: Allowlist, exchange: Exchange) -> Target:
    """What a request is for; `exchange` is told the host and port. Raises Denied for a target that
    does not fit a proxy, a Host header that does not fit the target, or a place that is not listed.
    """
    text = request.target.decode("ascii")
    if request.method == b"CONNECT":
        authority, path, usual = text, "", 0
    elif absolute := _ABSOLUTE.fullmatch(text):
        authority, path, usual = absolute[1], absolute[2] or "/", _WEB_PORT
    else:
        raise Denied("refused", 400, "this is a proxy: it takes http://HOST/PATH, and CONNECT")
    exchange.host = authority.rpartition("@")[2]
    try:
        host, port = split_host_and_port(authority, usual)
        exchange.host, exchange.port = str(host), port
        told = [value.decode("ascii") for name, value in request.headers if name == b"host"]
        # There is one at most. Some clients leave out the port where they CONNECT to.
        agree = all(split_host_and_port(each, usual or port) == (host, port) for each in told)
    except ValueError as error:
        raise Denied("refused", 400, f"the host of that request cannot be read: {error}") from None
    if not agree:
        raise Denied("refused", 400, "the Host header names another host than the request")
    places = allowlist.places_for(host, port)
    if not places:
        asked = host_and_port(host, port)
        why = f"{asked} is not on the list of places that this sandbox may reach"
        raise Denied("refused", 403, why, f"{why}: {allowlist}")
    return Target(host, port, f"/{path}" if path.startswith("?") else path, places)
