"""GitLab's REST API through python-gitlab: paths in, plain data out, ForgeError where it fails.

The token travels as a bearer token: a redirect to another host, as job logs in object storage
have it, then goes without it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import gitlab
import requests

from agent.bot.forge import ForgeError

TIMEOUT = 30.0
PER_PAGE = 100
_API = "/api/v4"
_BLOCK = 1 << 16
Found = TypeVar("Found")


def base_url(environment: Mapping[str, str]) -> str:
    """The address of the GitLab that a job runs for, from what GitLab sets in a job's
    environment; gitlab.com where nothing is set."""
    api = environment.get("CI_API_V4_URL", "").rstrip("/")
    if api.endswith(_API):
        return api.removesuffix(_API)
    return environment.get("CI_SERVER_URL", "").rstrip("/") or "https://gitlab.com"


def quoted(part: str | int) -> str:
    """A name as one part of a path: a project, a branch, a file."""
    return quote(str(part), safe="")


def unsettled(problem: ForgeError) -> bool:
    """Whether a failed request may have done its work all the same."""
    return problem.status == 0 or problem.status >= 500


class Api:
    """One token at one GitLab. Every call raises ForgeError."""

    def __init__(self, url: str, token: str, timeout: float = TIMEOUT) -> None:
        self._client = gitlab.Gitlab(
            url, oauth_token=token, timeout=timeout, keep_base_url=True, user_agent="greenroom"
        )

    def _ask(self, what: str, call: Callable[[], Found], again: bool = True) -> Found:
        """What `call` gives, through python-gitlab; `again` says that it may be sent twice."""
        try:
            return call()
        except gitlab.exceptions.GitlabError as problem:
            status = problem.response_code or 0
            raise ForgeError(
                f"GitLab would not {what}: {_message(problem)}", status=status
            ) from None
        except requests.RequestException as problem:
            raise ForgeError(f"GitLab would not {what}: {type(problem).__name__}") from None

    def get(self, what: str, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The object at `path`. `what`, here and below, completes "GitLab would not ..."."""
        return _object(
            self._ask(what, lambda: self._client.http_get(path, dict(query or {}))), what
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

        def ask() -> Any:
            size, whole = most or PER_PAGE, not most
            return list(
                self._client.http_list(path, dict(query or {}), get_all=whole, per_page=size)
            )

        try:
            return [_object(each, what) for each in self._ask(what, ask)]
        except ForgeError as problem:
            if missing and problem.status == 404 and _is_missing(problem.message, missing):
                return []
            raise

    def post(self, what: str, path: str, data: dict[str, Any], again: bool = False) -> Any:
        """Writes; `again` says that a second time does no harm."""
        made = self._ask(what, lambda: self._client.http_post(path, post_data=data), again)
        return _object(made, what)

    def put(self, what: str, path: str, data: dict[str, Any]) -> dict[str, Any]:
        """Sets what is there to `data`."""
        return _object(self._ask(what, lambda: self._client.http_put(path, post_data=data)), what)

    def delete(self, what: str, path: str) -> None:
        """Removes what is at `path`; that it is gone already is no error."""
        try:
            self._ask(what, lambda: self._client.http_delete(path))
        except ForgeError as problem:
            if problem.status != 404:
                raise

    def tail(self, what: str, path: str, most: int) -> bytes:
        """The last `most` bytes of a text; nothing where there is none any more."""

        def ask() -> bytes:
            answer: Any = self._client.http_get(path, streamed=True)
            end = b""
            for block in answer.iter_content(_BLOCK):
                end = (end + block)[-most:]
            return end

        try:
            return self._ask(what, ask)
        except ForgeError as problem:
            if problem.status == 404:
                return b""
            raise


def _object(found: Any, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ForgeError(
            f"GitLab's answer is no JSON, when asked to {what}.",
            "Is the address that of a GitLab? CI_SERVER_URL or CI_API_V4_URL says it.",
        )
    return found


def _is_missing(message: str, missing: Sequence[str]) -> bool:
    if missing:
        return any(text in message for text in missing)
    return "Project Not Found" not in message


def _message(problem: gitlab.exceptions.GitlabError) -> str:
    """What GitLab says, in one line: a text, or errors by field, or a page of a proxy's."""
    text = " ".join(str(problem.error_message).split())
    return text if len(text) <= 300 else f"{text[:300]}..."
