"""A fake of GitLab: as much of its REST API as Greenroom's client uses, with GitLab's rules of who
may do what and its words where it refuses.

Tokens: kind "personal" is an account's, "project" one of the project in `Token.project`; with the
scopes {"api": "write"} or {"read_api": "read"}. Roles read, triage, write, maintain and admin are
guest, reporter, developer, maintainer and owner. Make its store with `own_numbers`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.fakes.forge import gitlabrepo, gitlabtalk
from tests.fakes.forge.bare import GitRefused
from tests.fakes.forge.gitlabrights import Rights
from tests.fakes.forge.messages import Answer, Call, Refused, Routes
from tests.fakes.forge.server import FakeForge
from tests.fakes.forge.store import Issue, Project, Store, Token


@dataclass(frozen=True)
class LabelEvent:
    entry: Issue
    login: str
    label: str
    action: str
    at: datetime


class FakeGitLab(FakeForge):
    api = "/api/v4"

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.label_events: list[LabelEvent] = []
        #: The addresses that accounts let their commits have.
        self.addresses: dict[str, str] = {}
        #: Where job logs are instead, as in object storage.
        self.traces_elsewhere = ""
        #: What happens at the forge right before it answers a call, "METHOD /path".
        self.meanwhile: Callable[[str], None] | None = None
        #: The address that the forge believes it has, where that is not the one it is asked at.
        self.believed_url = ""
        self._routes = Routes()
        for module in (gitlabrepo, gitlabtalk):
            module.add_routes(self._routes)

    def behind(self, path: str) -> str | None:
        """See FakeForge. GraphQL is beside the REST API."""
        return "/graphql" if path == "/api/graphql" else super().behind(path)

    @property
    def outside_url(self) -> str:
        return self.believed_url or self.url

    def label(self, project: Project, entry: Issue, login: str, label: str) -> None:
        """Puts a label on, as an account does."""
        self.store.user(login)
        if label not in entry.labels:
            entry.labels.append(label)
            event = LabelEvent(entry, login, label, "add", self.store.now())
            self.label_events.append(event)

    def unlabel(self, entry: Issue, login: str, label: str) -> None:
        self.store.user(login)
        entry.labels.remove(label)
        event = LabelEvent(entry, login, label, "remove", self.store.now())
        self.label_events.append(event)

    def answer(self, call: Call, path: str) -> Answer:
        if self.meanwhile is not None:
            self.meanwhile(f"{call.method} {path}")
        secret = call.secret()
        token = self.store.tokens.get(secret)
        if secret and token is None:
            return Answer(401, self.error(401, "401 Unauthorized"))
        found = self._routes.find(call.method, path)
        if found is None:
            return Answer(404, {"error": "404 Not Found"})
        handler, parts = found
        try:
            return handler(Rights(self, token, call.method), call, **parts)
        except GitRefused as refused:
            return Answer(400, self.error(400, str(refused)))
        except KeyError as missing:
            raise Refused(400, {"error": f"{missing} is missing"}) from None

    def may_git(self, token: Token | None, project: Project, write: bool) -> bool:
        rights = Rights(self, token, "GET")
        if not write:
            return rights.sees(project)
        return (
            token is not None and "api" in token.scopes and project.at_least(rights.login, "write")
        )

    def error(self, status: int, message: str) -> Any:
        return {"message": message}
