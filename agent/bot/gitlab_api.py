"""GitLab's REST API through python-gitlab: paths in, plain data out, ForgeError where it fails.

The token travels as a bearer token: a redirect to another host, as job logs in object storage
have it, then goes without it. The client's own pauses and retries are off; `agent.bot.calls` has
them.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agent.bot.calls import TIMEOUT, Calls, Trouble, asked_wait
from agent.bot.exchange import tail, unanswered
from agent.bot.extra import not_installed
from agent.bot.forge import ForgeError

if TYPE_CHECKING:
    import requests

PER_PAGE = 100
_API = "/api/v4"
_GRAPHQL = "/api/graphql"
_NO_PAUSES: Mapping[str, Any] = {"obey_rate_limit": False}


def base_url(environment: Mapping[str, str]) -> str:
    """The address of the GitLab that a job runs for, from what GitLab sets in a job's
    environment; gitlab.com where nothing is set."""
    api = environment.get("CI_API_V4_URL", "").rstrip("/")
    if api.endswith(_API):
        return api.removesuffix(_API)
    return environment.get("CI_SERVER_URL", "").rstrip("/") or "https://gitlab.com"


class Api:
    """One token at one GitLab. Every call raises ForgeError."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = TIMEOUT,
        say: Callable[[str], None] = lambda text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import gitlab  # noqa: PLC0415
        except ImportError:
            raise not_installed("GitLab's client, python-gitlab,") from None
        # What it logs at the lowest level may hold addresses that are signed.
        logging.getLogger("urllib3").setLevel(logging.WARNING)
        self._client = gitlab.Gitlab(
            url, oauth_token=token, timeout=timeout, keep_base_url=True, user_agent="greenroom"
        )
        self._client.session.hooks["response"].append(self._note)
        self._graphql = url.rstrip("/") + _GRAPHQL
        #: Whether nobody on the way can read what is sent.
        self.secure = url.lower().startswith("https:")
        self._headers: Mapping[str, str] = {}
        self._calls = Calls("GitLab", self._trouble, secrets=[token], say=say, sleep=sleep)

    def get(self, what: str, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The object at `path`. `what`, here and below, completes "GitLab, asked to ..."."""
        return self._calls.again(
            what, lambda: _object(self._client.http_get(path, dict(query or {}), **_NO_PAUSES))
        )

    def find(
        self,
        what: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        missing: Sequence[str] = (),
    ) -> dict[str, Any] | None:
        """The object at `path`, None where there is none: where a 404 has one of `missing` in its
        message, or, without them, where it does not say that the project itself is not there."""
        try:
            return self.get(what, path, query)
        except ForgeError as problem:
            if problem.status == 404 and _is_missing(problem.message, missing):
                return None
            raise

    def list(
        self,
        what: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        missing: Sequence[str] = (),
        most: int = 0,
    ) -> list[dict[str, Any]]:
        """All objects that are listed at `path`, of all pages, or the first `most` of them; none
        where a 404 has one of `missing` in its message."""

        def ask() -> list[dict[str, Any]]:
            size, whole = most or PER_PAGE, not most
            found = self._client.http_list(
                path, dict(query or {}), get_all=whole, per_page=size, **_NO_PAUSES
            )
            return [_object(each) for each in found]

        try:
            return self._calls.again(what, ask)
        except ForgeError as problem:
            if missing and problem.status == 404 and _is_missing(problem.message, missing):
                return []
            raise

    def create(
        self,
        what: str,
        path: str,
        data: dict[str, Any],
        made: Callable[[], dict[str, Any] | None],
    ) -> dict[str, Any]:
        """Posts what must not be sent twice; `made` looks for it where no answer came."""
        return self._calls.once(what, lambda: self._posted(path, data), made)

    def post(self, what: str, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Posts what may be sent twice."""
        return self._calls.again(what, lambda: self._posted(path, data))

    def query(self, what: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The data that a query of GraphQL gives."""
        data = {"query": query, "variables": dict(variables)}

        def ask() -> dict[str, Any]:
            answer = self._posted(self._graphql, data)
            if errors := answer.get("errors"):
                raise ValueError(str(errors))
            return _object(answer.get("data"))

        return self._calls.again(what, ask)

    def put(self, what: str, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Sets what is there to `data`."""
        return self._calls.again(
            what, lambda: _object(self._client.http_put(path, post_data=data, **_NO_PAUSES))
        )

    def delete(self, what: str, path: str) -> None:
        """Removes what is at `path`; that it is gone already is no error."""
        try:
            self._calls.again(what, lambda: self._client.http_delete(path, **_NO_PAUSES))
        except ForgeError as problem:
            if problem.status != 404:
                raise

    def tail(self, what: str, path: str, most: int) -> bytes:
        """The last `most` bytes of a text; nothing where there is none any more."""

        def ask() -> bytes:
            answer: Any = self._client.http_get(path, streamed=True, **_NO_PAUSES)
            return tail(answer, most)

        try:
            return self._calls.again(what, ask)
        except ForgeError as problem:
            if problem.status == 404:
                return b""
            raise

    def _posted(self, path: str, data: dict[str, Any]) -> dict[str, Any]:
        return _object(self._client.http_post(path, post_data=data, **_NO_PAUSES))

    def _note(self, response: "requests.Response", *_: Any, **__: Any) -> None:
        self._headers = response.headers

    def _trouble(self, problem: Exception) -> Trouble | None:
        import gitlab  # noqa: PLC0415

        if isinstance(problem, gitlab.exceptions.GitlabError):
            status = problem.response_code or 200
            return Trouble(status, str(problem.error_message), self._wait(status))
        if (lost := unanswered(problem)) is not None:
            return lost
        if isinstance(problem, ValueError):
            return Trouble(200, str(problem))
        return None

    def _wait(self, status: int) -> float | None:
        if status != 429:
            return None
        return asked_wait(self._headers.get("retry-after"), self._headers.get("date"))


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def _is_missing(message: str, missing: Sequence[str]) -> bool:
    if missing:
        return any(text in message for text in missing)
    return "Project Not Found" not in message
