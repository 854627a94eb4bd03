"""Connections to the outside: resolved here, checked, and made to exactly the address that was
checked; through this machine's own proxy where it has one."""

import asyncio
import base64
import contextlib
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

import h11

from sandbox.addresses import Address
from sandbox.allowlist import takes
from sandbox.egress.names import Resolver
from sandbox.egress.record import Denied, Exchange
from sandbox.egress.target import Target

SECONDS = 30.0  # for all addresses of a name together
ADDRESS_SECONDS = 10.0
FINISH_SECONDS = 5.0
HEAD_BYTES = 64 * 1024
_USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy of this machine. `authorization` is the header's value, "" without a login."""

    host: str
    port: int
    tls: bool
    authorization: str

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """Read the value of a proxy variable. Raises Denied."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            usual = _USUAL_PORTS.get(parts.scheme)
            host, port = parts.hostname, usual and (parts.port or usual)
        except ValueError:
            host, port = None, None
        if not host or not port:
            why = "this machine's proxy is not of the form http://HOST:PORT or https://HOST:PORT"
            raise Denied("failed", 502, why)
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        encoded = base64.b64encode(login.encode()).decode()
        return cls(host, port, parts.scheme == "https", f"Basic {encoded}" if login != ":" else "")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Outside:
    """An open connection. `proxy` is set when requests in absolute form go to a proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    proxy: Proxy | None = None

    async def finish(self) -> None:
        """Close it when what was written is sent, if that goes quickly."""
        self.writer.close()
        with contextlib.suppress(OSError):  # it takes nothing more
            async with asyncio.timeout(FINISH_SECONDS):
                await self.writer.wait_closed()

    def abort(self) -> None:
        """Close it at once. Nothing of it stays, whatever the other side does."""
        self.writer.transport.abort()


class Dialer:
    """Opens the connections of one sandbox."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._resolver = Resolver()

    async def open(self, target: Target, exchange: Exchange) -> Outside:
        """Connect for a request that is on the list; `exchange` is told to what. Raises Denied."""
        try:
            async with asyncio.timeout(SECONDS):
                proxy = self._proxy(target)
                if proxy is None:
                    return await _connect(await self._permitted(target), exchange)
                exchange.via = str(proxy)
                await self._check_for_proxy(target, exchange)
                return await _through(proxy, target)
        except TimeoutError:
            raise Denied("failed", 504, "the connection took too long to be made") from None

    async def _permitted(self, target: Target) -> list[Address]:
        """The addresses of a host that may be connected to."""
        host = target.host
        found = await self._resolver.addresses(host) if isinstance(host, str) else (host,)
        permitted = [address for address in found if takes(target.places, address)]
        if not permitted:
            # Which addresses this machine knows is not for the inside.
            told = f"{host} does not resolve to an address that it may lead to"
            shown = ", ".join(map(str, found[:3]))
            entry = f"{target}@{found[0]}"
            why = f"{host} resolves to {shown}, which would need an entry such as {entry}"
            raise Denied("refused", 403, why, told)
        return permitted

    async def _check_for_proxy(self, target: Target, exchange: Exchange) -> None:
        """As far as this machine can resolve the name itself, it is checked; connecting is up to
        the proxy, which resolves it again."""
        try:
            exchange.address = str((await self._permitted(target))[0])
        except Denied as denied:
            if denied.outcome == "refused":
                raise
            exchange.via += ", which resolved the name"

    def _proxy(self, target: Target) -> Proxy | None:
        url = self._variable("http_proxy" if target.path else "https_proxy") or self._for_all()
        return Proxy.parse(url) if url and not self._direct(target) else None

    def _for_all(self) -> str:
        """The proxy for whatever has none of its own, where it speaks HTTP; SOCKS is not spoken."""
        url = self._variable("all_proxy")
        return "" if url.lower().startswith("socks") else url

    def _direct(self, target: Target) -> bool:
        """Whether NO_PROXY names a host: it, a domain above it, a network, or all with `*`."""
        host = target.host
        for entry in self._variable("no_proxy").split(","):
            name = entry.strip().lower().lstrip(".")
            if name in ("*", str(host), str(target)):
                return True
            if isinstance(host, str):
                if name and host.endswith(f".{name}"):
                    return True
                continue
            with contextlib.suppress(ValueError):  # a name
                if host in ip_network(name):
                    return True
        return False

    def _variable(self, name: str) -> str:
        return self._environment.get(name) or self._environment.get(name.upper(), "")


async def _connect(addresses: Sequence[Address], exchange: Exchange) -> Outside:
    problem = ""
    for address in addresses:
        exchange.address = str(address)
        try:
            async with asyncio.timeout(ADDRESS_SECONDS):
                # An address is not resolved again.
                return Outside(*await asyncio.open_connection(str(address), exchange.port))
        except TimeoutError:
            problem = "no answer"
        except OSError as error:
            problem = os.strerror(error.errno) if error.errno else str(error)
    raise Denied("failed", 502, f"{exchange.address} cannot be connected to: {problem}")


async def _through(proxy: Proxy, target: Target) -> Outside:
    """A connection by way of a proxy: for plain HTTP to the proxy, which takes absolute forms."""
    context = ssl.create_default_context() if proxy.tls else None
    try:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port, ssl=context)
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else str(error)
        why = f"this machine's proxy {proxy} cannot be connected to: {problem}"
        raise Denied("failed", 502, why) from error
    if target.path:
        return Outside(reader, writer, proxy)
    try:
        await _ask_for_tunnel(reader, writer, str(target), proxy)
    except BaseException:
        writer.transport.abort()
        raise
    return Outside(reader, writer)


async def _ask_for_tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str, proxy: Proxy
) -> None:
    headers = [("Host", target)]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
    event: Any = h11.NEED_DATA
    try:
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        writer.write(connection.send(request) or b"")
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        while event is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            # Not a byte beyond the head: it would be the tunnel's.
            connection.receive_data(await reader.readuntil(b"\r\n\r\n"))
            event = connection.next_event()
    except (OSError, EOFError, asyncio.LimitOverrunError, h11.ProtocolError) as error:
        raise Denied("failed", 502, f"this machine's proxy {proxy} broke off: {error}") from error
    if not 200 <= event.status_code < 300:
        why = f"this machine's proxy {proxy} answered {event.status_code} for {target}"
        raise Denied("failed", 502, why)
