"""The places that a sandbox may reach: entries of a list, exact names and addresses with a port."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Self

from sandbox.addresses import Address, Network, is_public, plain, read_address
from sandbox.errors import UsageError

#: An entry of its own, for image builds: any public host at the ports of the web.
PUBLIC_WEB = "public-web"
WEB_PORTS = (80, 443)

# Set aside for documentation: no private network has them; a closed network that answers for the
# internet may.
STAND_INS = tuple(map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")))
_EXPECTED = (
    "Write NAME:PORT, such as packages.example.org:443; an address and its port; or "
    "NAME:PORT@NETWORK, such as index.corp:443@10.0.0.0/8, for a name in a private network."
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LONGEST_NAME = 253
# A network as large as that names no network.
_WIDEST = {4: 8, 6: 7}


@dataclass(frozen=True)
class Place:
    """One entry: a host and its port. `network` is the only one that a name may then resolve into;
    without it, the public internet is."""

    host: str | Address
    port: int
    network: Network | None = None

    @classmethod
    def parse(cls, entry: str, setting: str = "network") -> Self:
        """Read an entry of a setting. Raises UsageError that shows it and what is expected."""
        try:
            return cls._read(entry)
        except ValueError as error:
            raise UsageError(f"The entry {entry!r} in `{setting}` {error}.", _EXPECTED) from None

    @classmethod
    def _read(cls, entry: str) -> Self:
        if "*" in entry:
            raise ValueError("has a `*`, and no entry stands for several names")
        if "://" in entry or "/" in entry.partition("@")[0]:
            raise ValueError("is a URL")
        where, at, behind = entry.strip().partition("@")
        try:
            host, port = split_host_and_port(_ascii(where))
        except ValueError as error:
            raise ValueError(f"cannot be read: {error}") from None
        if not at:
            return cls(host, port)
        if not isinstance(host, str):
            raise ValueError("gives a network for an address, which needs none")
        try:
            network = ip_network(behind)
        except ValueError as error:
            raise ValueError(f"names no network: {error}") from None
        if network.prefixlen < _WIDEST[network.version]:
            raise ValueError(f"names a network wider than /{_WIDEST[network.version]}")
        return cls(host, port, network)

    def takes(self, address: Address) -> bool:
        """Whether a connection for this place may go to an address."""
        if not isinstance(self.host, str):
            return address == self.host
        if self.network is not None:
            return address in self.network
        return is_public(address)

    def __str__(self) -> str:
        behind = f"@{self.network}" if self.network else ""
        return host_and_port(self.host, self.port) + behind


@dataclass(frozen=True)
class Allowlist:
    """All places of a sandbox. `public_web`: and any public host at ports 80 and 443."""

    places: tuple[Place, ...] = ()
    public_web: bool = False

    @classmethod
    def parse(cls, entries: Sequence[str], setting: str = "network") -> Self:
        """Read the entries of a setting. Raises UsageError that shows the one which is wrong."""
        named = [entry for entry in entries if entry != PUBLIC_WEB]
        places = tuple(Place.parse(entry, setting) for entry in named)
        return cls(places, len(named) < len(entries))

    def places_for(self, host: str | Address, port: int) -> tuple[Place, ...]:
        """The places that a request for this host and port may be meant for; none: refuse it."""
        found = tuple(p for p in self.places if p.host == host and p.port == port)
        if self.public_web and port in WEB_PORTS and (isinstance(host, str) or is_public(host)):
            found += (Place(host, port), *(Place(host, port, net) for net in STAND_INS))
        return found

    def __bool__(self) -> bool:
        return bool(self.places) or self.public_web

    def __str__(self) -> str:
        web = ("any public host at ports 80 and 443",) if self.public_web else ()
        return ", ".join((*map(str, self.places), *web))


def takes(places: Sequence[Place], address: Address) -> bool:
    """Whether a connection for one of these places may go to an address."""
    return any(place.takes(plain(address)) for place in places)


def split_host_and_port(text: str, usual_port: int = 0) -> tuple[str | Address, int]:
    """The host and port of `NAME:PORT`, `ADDRESS:PORT` or `[IPv6]:PORT`: a name in lower case
    without a trailing dot, or an address. Without a port it is `usual_port`, where that is given.

    Raises ValueError for anything else, odd spellings of addresses included.
    """
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in inner:
            raise ValueError("there is no IPv6 address in the brackets")
        host, colon, port = inner, rest[:1], rest[1:]
        if colon not in ("", ":"):
            raise ValueError("there is more than a port after the brackets")
    else:
        host, colon, port = text.partition(":")
        if ":" in port:
            raise ValueError("an IPv6 address stands in brackets")
    if not colon and usual_port:
        return read_host(host), usual_port
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError("it has no port from 1 to 65535")
    return read_host(host), int(port)


def read_host(text: str) -> str | Address:
    """A name in lower case without a trailing dot, or an address. Raises ValueError."""
    address = read_address(text)
    if address is not None:
        return address
    name = text.lower().removesuffix(".")
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, name.split("."))):
        raise ValueError("that is no name of a host")
    # A trailing dot hides what a name ends in.
    if read_address(name) is not None:
        raise ValueError("an odd spelling of an address")
    return name


def host_and_port(host: str | Address, port: int) -> str:
    """As it is written in a list and in a request."""
    text = str(host)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def _ascii(where: str) -> str:
    """A name of other letters in the form that the domain name system knows."""
    if where.isascii():
        return where
    name, colon, port = where.rpartition(":")
    try:
        encoded = name.encode("idna")
        same = encoded.decode("idna") == name.lower()
    except UnicodeError:
        same = False
    if not same:
        # Letters that standards map differently: it might become another name than the one meant.
        raise ValueError("its name has to be given in ASCII letters (xn--...)")
    return encoded.decode("ascii") + colon + port
