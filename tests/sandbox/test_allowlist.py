"""What an entry permits, and that no spelling of an address leads into a private network."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sandbox.addresses import is_public, plain, read_address
from sandbox.allowlist import PUBLIC_WEB, STAND_INS, Allowlist, Place, split_host_and_port, takes
from sandbox.errors import UsageError
from sandbox.policy import Policy

labels = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,5}[a-z0-9_])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
ports = st.integers(1, 65535)
anything = st.text(st.sampled_from("abcxz019.:-_@/[]*%# \tüß。①٣ABF\0\n"), min_size=1, max_size=14)

NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255",
    "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "2001:db8::1", "3fff::1", "2001:2::1", "2001:10::1", "100::1", "5f00::1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::8.8.8.8",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    # Teredo: a private server, and a private client with its bits turned.
    "2001:0:a00:1::f7f7:f7f7", "2001:0:808:808::f5ff:fffe",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1",
    "126.255.255.255", "128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.1",
    "192.167.255.255", "192.169.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1",
    "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::8.8.8.8", "2001:0:808:808::f7f7:f7f7",
]  # fmt: skip


# -- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_what_is_not_of_the_internet_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_what_is_of_the_internet_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_special(
    address: IPv4Address | IPv6Address,
) -> None:
    special = address.is_private or address.is_loopback or address.is_link_local
    if special or address.is_multicast or address.is_unspecified:
        inside = plain(address)
        assert not is_public(address) or inside != address


@given(st.ip_addresses(v=4), st.sampled_from(["mapped", "6to4", "nat64", "teredo"]))
def test_an_address_inside_another_decides(inside: IPv4Address, form: str) -> None:
    number = int(inside)
    outer = {
        "mapped": 0xFFFF << 32 | number,
        "6to4": 0x2002 << 112 | number << 80,
        "nat64": 0x64FF9B << 96 | number,
        "teredo": 0x20010000 << 96 | 0x08080808 << 64 | (~number & 0xFFFFFFFF),
    }[form]
    assert is_public(IPv6Address(outer)) == is_public(inside)


@pytest.mark.parametrize(
    "text",
    [
        "127.1", "127.0.1", "0x7f.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "017700000001",
        "0177.0.0.1", "010.0.0.1", "127.0.0.1.", "1.2.3.4.5", "256.1.1.1", "1.2.3.0x4", "0x",
        "a.0x1", "x.99", "fe80::1%eth0", "::1%1", ":::", "1::2::3",
    ],
)  # fmt: skip
def test_odd_spellings_of_addresses_are_neither_names_nor_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        split_host_and_port(f"[{text}]:443" if ":" in text else f"{text}:443")


@given(st.from_regex(r"(0x)?[0-9a-fA-F]{1,10}(\.(0x)?[0-9a-f]{1,4}){0,4}\.?", fullmatch=True))
def test_what_a_resolver_takes_for_an_address_is_read_as_that_or_not_at_all(text: str) -> None:
    try:
        packed = socket.inet_aton(text.removesuffix("."))
    except (OSError, UnicodeError):
        return
    try:
        host, _ = split_host_and_port(f"{text}:80")
    except ValueError:
        return
    assert host == IPv4Address(packed)


# -- entries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "read"),
    [
        ("packages.example.org:443", "packages.example.org:443"),
        ("Packages.Example.ORG.:443", "packages.example.org:443"),
        ("bücher.example:80", "xn--bcher-kva.example:80"),
        ("10.1.2.3:8080", "10.1.2.3:8080"),
        ("[::1]:80", "[::1]:80"),
        ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
        ("index.corp:443@10.0.0.0/8", "index.corp:443@10.0.0.0/8"),
        ("index.corp:443@10.1.2.3", "index.corp:443@10.1.2.3/32"),
        ("index.corp:443@fd00::/8", "index.corp:443@fd00::/8"),
        ("index:443", "index:443"),
        ("with_underscore.example:1", "with_underscore.example:1"),
    ],
)
def test_an_entry_is_read(entry: str, read: str) -> None:
    assert str(Place.parse(entry)) == read
    assert str(Place.parse(read)) == read


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("*.example.org:443", "stands for several names"),
        ("*:443", "stands for several names"),
        ("https://example.org", "is a URL"),
        ("example.org/simple:443", "is a URL"),
        ("example.org", "no port"),
        ("example.org:", "no port"),
        ("example.org:0", "no port"),
        ("example.org:65536", "no port"),
        ("example.org:٤٤٣", "no port"),
        ("example.org:443:443", "brackets"),
        ("::1:443", "brackets"),
        ("[10.0.0.1]:443", "no IPv6 address"),
        ("[fe80::1%eth0]:443", "zone"),
        ("127.1:443", "odd spelling"),
        ("127.0.0.1.:443", "odd spelling"),
        ("faß.example:443", "ASCII letters"),
        ("a..example:443", "no name"),
        ("-a.example:443", "no name"),
        ("a b:443", "no name"),
        ("a\0b:443", "no name"),
        ("user:secret@example.org:443", "no port"),
        (f"{'a' * 64}.example:443", "no name"),
        ("", "no port"),
        ("10.0.0.1:443@10.0.0.0/8", "needs none"),
        ("index.corp:443@10.0.0.1/8", "names no network"),
        ("index.corp:443@corp", "names no network"),
        ("index.corp:443@0.0.0.0/0", "wider than /8"),
        ("index.corp:443@::/0", "wider than /7"),
    ],
)
def test_a_bad_entry_is_shown_with_what_is_expected(entry: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        Policy(network=("fine.example:443", entry)).check()
    assert repr(entry) in caught.value.message
    assert why in caught.value.message
    assert "packages.example.org:443" in caught.value.hint


@given(anything)
def test_whatever_is_given_is_an_entry_or_a_usage_error(text: str) -> None:
    try:
        place = Place.parse(text)
    except UsageError:
        return
    assert place == Place.parse(str(place))


@given(names, ports, anything, ports)
def test_no_entry_permits_another_host_or_port(
    name: str, port: int, asked: str, asked_port: int
) -> None:
    try:
        allowed = Allowlist.parse((f"{name}:{port}",))
        host, _ = split_host_and_port(f"{asked}:{asked_port}")
    except (UsageError, ValueError):
        return
    permitted = bool(allowed.places_for(host, asked_port))
    assert permitted == (asked.lower().removesuffix(".") == name and asked_port == port)


@given(names, ports)
def test_an_entry_permits_its_own_name_however_it_is_written(name: str, port: int) -> None:
    try:
        assume(read_address(name) is None)
    except ValueError:
        assume(False)
    allowed = Allowlist.parse((f"{name}:{port}",))
    for spelling in (name, name.upper(), f"{name}."):
        host, _ = split_host_and_port(f"{spelling}:{port}")
        assert allowed.places_for(host, port)


# -- where a name may lead ----------------------------------------------------------------------


@given(st.ip_addresses())
def test_a_name_leads_to_public_addresses_only(address: IPv4Address | IPv6Address) -> None:
    for entries in (("index.example:443",), (PUBLIC_WEB,)):
        places = Allowlist.parse(entries).places_for("index.example", 443)
        stands_in = entries == (PUBLIC_WEB,) and any(address in net for net in STAND_INS)
        assert takes(places, address) == (is_public(address) or stands_in)


@given(st.ip_addresses())
def test_a_name_with_a_network_leads_there_and_nowhere_else(
    address: IPv4Address | IPv6Address,
) -> None:
    places = Allowlist.parse(("index.corp:443@10.0.0.0/8",)).places_for("index.corp", 443)
    inside = plain(address)
    assert takes(places, address) == (isinstance(inside, IPv4Address) and inside.packed[0] == 10)


def test_two_entries_for_a_name_permit_what_each_does() -> None:
    entries = ("index.corp:443", "index.corp:443@10.0.0.0/8")
    places = Allowlist.parse(entries).places_for("index.corp", 443)
    assert takes(places, ip_address("8.8.8.8"))
    assert takes(places, ip_address("10.0.0.1"))
    assert not takes(places, ip_address("192.168.0.1"))


def test_an_address_is_permitted_literally_and_a_name_that_resolves_to_it_is_not() -> None:
    allowed = Allowlist.parse(("10.0.0.1:443", "index.corp:443"))
    assert takes(allowed.places_for(ip_address("10.0.0.1"), 443), ip_address("10.0.0.1"))
    assert not takes(allowed.places_for("index.corp", 443), ip_address("10.0.0.1"))
    assert not allowed.places_for(ip_address("10.0.0.2"), 443)


def test_the_public_web_is_public_hosts_at_two_ports() -> None:
    allowed = Allowlist.parse((PUBLIC_WEB,))
    assert allowed.places_for("any.example", 80)
    assert allowed.places_for("any.example", 443)
    assert allowed.places_for(ip_address("8.8.8.8"), 443)
    assert not allowed.places_for("any.example", 22)
    assert not allowed.places_for(ip_address("10.0.0.1"), 443)
    assert not allowed.places_for(ip_address("::1"), 80)
    assert "any public host" in str(allowed)


def test_nothing_is_allowed_by_an_empty_list() -> None:
    assert not Allowlist.parse(())
    assert not Allowlist().places_for("any.example", 443)
    assert read_address("any.example") is None
