"""Calls of a fake forge's API, their answers, and which handler answers which."""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Call:
    """A request as it came; `path` is still quoted, without its query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        found = json.loads(self.body or b"{}")
        return found if isinstance(found, dict) else {}

    def secret(self) -> str:
        """The token in a header of GitHub's, of GitLab's or of git's, "" without."""
        for name in ("private-token", "job-token"):
            if name in self.headers:
                return self.headers[name]
        kind, _, value = self.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            return b64decode(value).decode("utf-8").partition(":")[2]
        return value


@dataclass
class Answer:
    """`body` is bytes, or data that is sent as JSON; None is an empty body."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """Ends a call with an answer that is an error."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.answer = Answer(status, body, dict(headers or {}))


Handler = Callable[..., Answer]


class Routes:
    """Handlers by method and path; `{name}` in a path is one quoted segment, given unquoted as an
    argument, `{name*}` any number of them."""

    def __init__(self) -> None:
        self._all: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, path: str) -> Callable[[Handler], Handler]:
        pattern = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", path)
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)

        def keep(handler: Handler) -> Handler:
            self._all.append((method, re.compile(pattern), handler))
            return handler

        return keep

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        for wanted, pattern, handler in self._all:
            if wanted == method and (match := pattern.fullmatch(path)):
                return handler, {name: unquote(part) for name, part in match.groupdict().items()}
        return None
