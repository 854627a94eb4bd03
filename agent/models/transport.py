"""The HTTP connection to one model server: requests out, every failure in clear words.

One `httpx.AsyncClient` serves all requests. Proxies and certificates come from the environment as
httpx has it; a loopback address is never sent through a proxy, so that "local" stays true.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx

from agent.models import failures
from agent.models.base import ModelError
from agent.models.failures import KeyRefused, NoEntry, Transient, Unreachable
from agent.models.secret import Secret
from agent.models.servers import Endpoint, Profile
from agent.models.settings import ModelSettings
from agent.models.stream import (
    DOCUMENT_LIMIT,
    AnswerStream,
    Patience,
    Stalled,
    read_text,
    words,
)

#: Whoever asks bounds how many turns are asked for at a time; a connection is kept for each.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=256)
#: Bytes of an error that are read, and seconds that this may take.
_ERROR_LIMIT = 64 << 10
_ERROR_SECONDS = 10.0


class Transport:
    """Requests to `endpoint`. Not shared between event loops."""

    def __init__(
        self, profile: Profile, endpoint: Endpoint, secret: Secret, settings: ModelSettings
    ) -> None:
        self.profile = profile
        self.endpoint = endpoint
        self.secret = secret
        self._settings = settings
        self._client: httpx.AsyncClient | None = None
        #: What the server calls itself in its answers, and how often it was asked.
        self.software = ""
        self.requests = 0
        #: A server that once answered is worth waiting for; one that never did may not exist.
        self._answered = False

    @property
    def known(self) -> bool:
        """Whether it is known what kind of server it is, which probing may tell: many that are not
        OpenAI's are reached as `openai:`."""
        return self.profile.name != "openai" or self.endpoint.base == self.profile.address

    @property
    def server(self) -> str:
        """What it is and where, for messages."""
        return f"{self.profile.title if self.known else 'the server'} at {self.endpoint.base}"

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def stream(
        self, path: str, body: bytes, patience: Patience
    ) -> AsyncIterator[AnswerStream]:
        """The streamed answer to `body` at a path of the interface, or at a whole address. Leaving
        the block aborts what has not yet come.

        `patience` is asked before each read how many seconds it may take. Raises ModelError,
        Transient, Refused, UnknownModel or Stalled.
        """
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        address = path if "://" in path else self.endpoint.url(path)
        request = self._request("POST", address, content=body, headers=headers)
        async with self._response(request, patience()) as response:
            yield AnswerStream(response, self.server, self._refusal, patience)

    async def get_json(self, address: str, timeout: float) -> Any:
        """The JSON at `address`, within `timeout` seconds. Raises like `stream`."""
        return await self._json(self._request("GET", address), timeout)

    async def post_json(self, address: str, data: object, timeout: float) -> Any:
        """The JSON that answers `data`, encoded already where it is bytes, at `address`. Raises
        like `stream`."""
        if isinstance(data, bytes):
            headers = {"Content-Type": "application/json"}
            request = self._request("POST", address, content=data, headers=headers)
        else:
            request = self._request("POST", address, json=data)
        return await self._json(request, timeout)

    async def get_text(self, address: str, timeout: float) -> str:
        """The text at `address`, within `timeout` seconds. Raises like `stream`."""
        return (await self._text(self._request("GET", address), timeout))[0]

    def _request(self, method: str, address: str, **more: Any) -> httpx.Request:
        """Raises Unreachable for a host that can be none: its name is looked at only now."""
        try:
            return self._http().build_request(method, address, **more)
        except (httpx.InvalidURL, UnicodeError) as problem:
            raise Unreachable(
                f"{self.endpoint.base} is no address that can be asked: {words(problem)}",
                _ADDRESS_HINT,
            ) from None

    async def _text(self, request: httpx.Request, timeout: float) -> tuple[str, httpx.Response]:
        try:
            async with asyncio.timeout(timeout), self._response(request, timeout) as response:
                return await read_text(response, DOCUMENT_LIMIT, timeout), response
        except TimeoutError:
            raise Stalled from None

    async def _json(self, request: httpx.Request, timeout: float) -> Any:
        text, response = await self._text(request, timeout)
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise self._refusal(response.status_code, response.headers, text) from None

    @asynccontextmanager
    async def _response(
        self, request: httpx.Request, patience: float
    ) -> AsyncIterator[httpx.Response]:
        """A successful response, its body still to be read."""
        self.requests += 1
        try:
            async with asyncio.timeout(patience):
                response = await self._http().send(request, stream=True)
        except TimeoutError:
            raise Stalled from None
        except httpx.HTTPError as problem:
            raise self._no_connection(problem) from None
        self._answered = True
        self.software = response.headers.get("server", "")
        try:
            if not response.is_success:
                raise self._refusal(
                    response.status_code, response.headers, await _error_text(response)
                )
            encoding = response.headers.get("content-encoding", "identity").lower()
            if encoding not in ("", "identity"):
                # A few bytes may unfold into gigabytes.
                named = failures.shorten(self.secret.redact_error(encoding), 40)
                raise ModelError(
                    f"{self.server} compresses its answer ({named}), which was not asked for",
                    "Switch compression off at the server, or at the proxy before it.",
                )
            yield response
        finally:
            await response.aclose()

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            transport = None
            if self.endpoint.loopback:
                # Given by hand, a transport keeps proxies out; only https needs certificates.
                transport = httpx.AsyncHTTPTransport(verify=self.endpoint.secure, limits=_LIMITS)
            login = self.endpoint.login
            self._client = httpx.AsyncClient(
                headers={**self.secret.headers(), "Accept-Encoding": "identity"},
                auth=httpx.BasicAuth(*login) if login else None,
                timeout=httpx.Timeout(None, connect=self._settings.connect_timeout),
                transport=transport,
                limits=_LIMITS,
            )
        return self._client

    def _no_connection(self, problem: httpx.HTTPError) -> Exception:
        """What a request that got no response means to the user."""
        causes = list(_causes(problem))
        tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
        if tls is not None:
            return Unreachable(f"no secure connection to {self.server}: {words(tls)}", _TLS_HINT)
        if isinstance(problem, httpx.ProxyError):
            return Unreachable(
                f"the proxy lets nothing through to {self.server}: {words(problem)}",
                "Check HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
            )
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return Unreachable(f"the name in {self.endpoint.base} is not known", _ADDRESS_HINT)
        unreached = isinstance(problem, httpx.ConnectError | httpx.ConnectTimeout)
        if self._answered or not unreached:
            return Transient(f"the connection broke ({words(problem)})", "connection")
        if isinstance(problem, httpx.ConnectTimeout):
            seconds = f"{self._settings.connect_timeout:g} s"
            return Unreachable(f"no connection to {self.server} within {seconds}", _ADDRESS_HINT)
        return Unreachable(
            f"nothing answers at {self.endpoint.base}",
            f"{self.profile.start} Another address is given with --base-url.",
        )

    def _refusal(self, status: int, headers: Mapping[str, str], body: str) -> Exception:
        """The error that a response calls for which is no answer of a model."""
        hide = self.secret.redact_error
        shown = {name.lower(): hide(value) for name, value in headers.items()}
        answer = failures.read_answer(status, shown, hide(body))
        # Within JSON a key may stand escaped.
        answer = replace(answer, said=hide(answer.said), code=hide(answer.code))
        if answer.status in {401, 403} and not answer.is_page:
            return self._key_refused(answer)
        if answer.is_page and not answer.said and status < 500 and status != 429:
            return NoEntry(
                f"{self.endpoint.base} answers with a web page (HTTP {status}), not with a model's"
                " interface",
                _BASE_HINT,
            )
        if 200 <= status < 300:
            said = failures.shorten(answer.said, 120) or "nothing"
            return ModelError(f"{self.server} answers with what is no JSON: {said}", _BASE_HINT)
        return failures.classify(answer, self.server, self._settings.retry_after_limit)

    def _key_refused(self, answer: failures.Answer) -> ModelError:
        variable, said = self.secret.variable, answer.words
        # With 403 a key may be barred from one route only.
        kind = KeyRefused if answer.status == 401 else ModelError
        if not self.secret:
            hint = f"Put one into the variable {variable}." if variable else self._name_a_variable()
            return kind(f"{self.server} wants a key ({said})", hint)
        return kind(
            f"{self.server} refuses the key in {variable} ({said})",
            f"Check {variable}, and that the key may use this model.",
        )

    def _name_a_variable(self) -> str:
        """How a server gets a key that is none of OpenAI's."""
        own = f"{self.profile.name.upper()}_API_KEY"
        return (
            f"Put it into a variable, for example {own}, and name that: --api-key-variable {own},"
            f' or api_key_variable = "{own}" in your settings.'
        )


_TLS_HINT = (
    "Is it http:// rather than https://? A certificate of your own is trusted with SSL_CERT_FILE."
)
_ADDRESS_HINT = "Check the network, and the address given with --base-url."
_BASE_HINT = "Check the address given with --base-url; it usually ends in /v1."


async def _error_text(response: httpx.Response) -> str:
    """As much of an error as comes; the status alone says enough when the rest is lost."""
    try:
        return await read_text(response, _ERROR_LIMIT, _ERROR_SECONDS)
    except (Stalled, Transient):
        return ""


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """`problem` and all that led to it."""
    seen: list[BaseException] = [problem]
    for error in seen:
        yield error
        following = [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
        seen.extend(cause for cause in following if cause is not None and cause not in seen)
