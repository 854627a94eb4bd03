"""GitHub's REST API through PyGithub: paths in, plain data out, ForgeError where it fails.

PyGithub's requester is used, not its objects: these send further requests when an attribute is
read, outside of what `agent.bot.calls` watches over. Its own retries and its log are off.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.bot.calls import TIMEOUT, Calls, Trouble, asked_wait
from agent.bot.exchange import tail, unanswered
from agent.bot.extra import not_installed
from agent.bot.forge import ForgeError

if TYPE_CHECKING:
    import requests

PER_PAGE = 100
MOST_PAGES = 100
#: How long to wait where GitHub limits a token for a while and does not say for how long.
SECONDARY_WAIT = 60.0
_VIEWER = "query { viewer { login } }"
#: An edit of the text and a new title are told apart here, and REST tells neither.
_ISSUE = """
query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    issue(number: $number) {
      title
      body
      lastEditedAt
      author {
        __typename
        login
        ... on User { databaseId }
        ... on Bot { databaseId }
      }
      timelineItems(last: 1, itemTypes: [RENAMED_TITLE_EVENT]) {
        nodes { ... on RenamedTitleEvent { createdAt } }
      }
    }
  }
}
"""


class Api:
    """One token at one GitHub. Every call raises ForgeError."""

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
            import github  # noqa: PLC0415
        except ImportError:
            raise not_installed("GitHub's client, PyGithub,") from None
        # What these log at the lowest level may hold addresses that are signed.
        for name in ("github", "urllib3"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._scheme = urlsplit(url).scheme
        self._timeout = timeout
        client = github.Github(
            auth=github.Auth.Token(token),
            base_url=url,
            timeout=int(timeout) or 1,
            user_agent="greenroom",
            retry=None,
            seconds_between_requests=None,
            seconds_between_writes=None,
        )
        self._requester = client.requester
        self._calls = Calls("GitHub", _trouble, secrets=[token], say=say, sleep=sleep)

    def get(self, what: str, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The data at `path`. `what`, here and below, completes "GitHub, asked to ..."."""
        return self._calls.again(what, lambda: self._send("GET", path, query)[1])

    def find(self, what: str, path: str, query: Mapping[str, Any] | None = None) -> Any | None:
        """The data at `path`, None where there is none."""
        try:
            return self.get(what, path, query)
        except ForgeError as problem:
            if problem.status == 404:
                return None
            raise

    def list(
        self,
        what: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        key: str = "",
        most: int = 0,
    ) -> Sequence[dict[str, Any]]:
        """All that is listed at `path`, of all pages, or the first `most`; `key` is where the list
        stands in an answer that is an object."""
        found: list[dict[str, Any]] = []
        for page in self._pages(what, path, dict(query or {})):
            found += page[key] if key else page
            if most and len(found) >= most:
                return found[:most]
        return found

    def _pages(self, what: str, path: str, query: dict[str, Any]) -> Iterator[Any]:
        for number in range(1, MOST_PAGES + 1):
            more, page = self._page(what, path, {**query, "per_page": PER_PAGE, "page": number})
            yield page
            if not more:
                return
        raise ForgeError(
            f"GitHub, asked to {what}, lists more than {MOST_PAGES * PER_PAGE:,} entries.",
            "So many are more than the bot looks through.",
        )

    def _page(self, what: str, path: str, query: Mapping[str, Any]) -> tuple[bool, Any]:
        """A page, and whether there is another one."""
        headers, page = self._calls.again(what, lambda: self._send("GET", path, query))
        return 'rel="next"' in headers.get("link", ""), page

    def write(self, what: str, verb: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """Sends what may be sent twice."""
        return self._calls.again(what, lambda: self._send(verb, path, data=data)[1])

    def create(
        self,
        what: str,
        path: str,
        data: Mapping[str, Any],
        made: Callable[[], Any | None],
    ) -> Any:
        """Posts what must not be sent twice; `made` looks for it where no answer came."""
        return self._calls.once(what, lambda: self._send("POST", path, data=data)[1], made)

    def viewer(self) -> str:
        """The login that belongs to the token. Of all ways to ask, this one serves jobs' tokens and
        Apps' too."""
        return str(self._query("say whose token this is", _VIEWER, {})["viewer"]["login"])

    def issue(self, repository: str, number: int) -> dict[str, Any]:
        """An issue with the times when its words were changed, in the names of GraphQL."""
        owner, _, name = repository.partition("/")
        variables = {"owner": owner, "name": name, "number": number}
        found = self._query(f"read #{number}", _ISSUE, variables)
        return dict(found["repository"]["issue"])

    def _query(self, what: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            _, answer = self._requester.graphql_query(query, variables)
            return dict(answer["data"])

        return self._calls.again(what, ask)

    def log(self, what: str, path: str, most: int) -> bytes:
        """The last `most` bytes of a log, nothing where it is gone. GitHub says where it lies,
        elsewhere; the token does not go there."""

        def ask() -> bytes:
            headers, _ = self._send("GET", path)
            return self._tail(headers["location"], most)

        try:
            return self._calls.again(what, ask)
        except ForgeError as problem:
            if problem.status in (404, 410):
                return b""
            raise

    def _send(
        self,
        verb: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> tuple[Mapping[str, str], Any]:
        parameters = dict(query) if query else None
        given = None if data is None else dict(data)
        headers, found = self._requester.requestJsonAndCheck(verb, path, parameters, input=given)
        if found is not None and "json" not in headers.get("content-type", ""):
            raise ValueError("it is no JSON")
        return headers, found

    def _tail(self, url: str, most: int) -> bytes:
        import requests  # noqa: PLC0415 - with PyGithub, so only where that is

        if urlsplit(url).scheme not in ("https", self._scheme):
            raise ValueError("it sends to an address without https")
        with requests.get(url, stream=True, timeout=self._timeout, auth=_no_login) as answer:
            answer.raise_for_status()
            return tail(answer, most)


def _no_login(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
    """Keeps requests from looking for a password in the user's .netrc."""
    return request


def _trouble(problem: Exception) -> Trouble | None:
    import github  # noqa: PLC0415
    import requests  # noqa: PLC0415

    if isinstance(problem, github.GithubException):
        return _refusal(problem.status, problem.data, problem.headers or {})
    if isinstance(problem, requests.HTTPError):
        return Trouble(problem.response.status_code, problem.response.reason)
    if (lost := unanswered(problem)) is not None:
        return lost
    if isinstance(problem, AssertionError | LookupError | RuntimeError | TypeError | ValueError):
        # From PyGithub, or from the reading of what came.
        return Trouble(200, f"{type(problem).__name__}: {problem}")
    return None


def _refusal(status: int, data: Any, headers: Mapping[str, str]) -> Trouble:
    reason = _reason(data)
    wait = None
    if status in (403, 429):
        wait = asked_wait(headers.get("retry-after"), headers.get("date"))
        if wait is None and headers.get("x-ratelimit-remaining") == "0":
            wait = _until(headers.get("x-ratelimit-reset", ""))
        if wait is None and "rate limit" in reason:
            wait = SECONDARY_WAIT
    hint = ""
    if needed := headers.get("x-accepted-github-permissions"):
        hint = f"It needs the permission {needed}."
    return Trouble(status, reason, wait, hint)


def _until(reset: str) -> float | None:
    return max(0.0, int(reset) - time.time()) if reset.isdecimal() else None


def _reason(data: Any) -> str:
    """GitHub's message, with those of its list of errors, in which a 422 says what it is about."""
    if not isinstance(data, dict):
        return ""
    errors = data.get("errors")
    parts = [str(data.get("message") or data.get("data") or "")]
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict):
            named = " ".join(str(error[key]) for key in ("field", "code") if key in error)
            parts.append(str(error.get("message") or named))
        else:
            parts.append(str(error))
    return "; ".join(filter(None, parts))
