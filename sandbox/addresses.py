"""IP addresses: how they are written, and which of them lie in the public internet.

The tables are ours, from IANA's registries of special-purpose addresses: what Python's `ipaddress`
calls global differs from version to version.
"""

import re
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # a carrier's NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, the metadata services of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# All that was ever given out for the internet. Outside of it lie loopback, link-local, unique local
# and site-local addresses, multicast, and the IPv4-compatible form.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
# Forms that carry an IPv4 address: by it they are judged.
_TEREDO = IPv6Network("2001::/32")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_NAT64 = IPv6Network("64:ff9b::/96")
_ENDS_IN_A_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$", re.IGNORECASE)


def read_address(text: str) -> Address | None:
    """The address that `text` writes, None when it is a name.

    Raises ValueError for what only some programs take for an address (`127.1`, `0x7f.1`,
    `2130706433`, `010.0.0.1`), and for one with a zone.
    """
    try:
        return plain(IPv4Address(text))
    except AddressValueError:
        pass
    if ":" in text:
        if "%" in text:
            raise ValueError("an address with a zone")
        return plain(IPv6Address(text))
    if _ENDS_IN_A_NUMBER.search(text):
        raise ValueError("an odd spelling of an address")
    return None


def plain(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped one is; any other as it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet."""
    address = plain(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if inside := _inside(address):
        return all(is_public(each) for each in inside)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _inside(address: IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an IPv6 address carries."""
    number = int(address)
    if address in _TEREDO:  # a server's, and a client's with its bits turned
        return IPv4Address(number >> 64 & 0xFFFFFFFF), IPv4Address(~number & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        return (IPv4Address(number >> 80 & 0xFFFFFFFF),)
    if address in _NAT64:
        return (IPv4Address(number & 0xFFFFFFFF),)
    return ()
