"""A fake of GitHub: as much of its REST API as Greenroom's client uses, with GitHub's rules of who
may do what and its words where it refuses.

Tokens: kind "actions" is a job's GITHUB_TOKEN, "app" that of an App's installation, both with
scopes such as {"contents": "read"}; "user" is a person's, who may what the person's role allows.
"""

from typing import Any

from tests.fakes.forge import githubjson, githubrepo, githubtalk
from tests.fakes.forge.bare import GitRefused
from tests.fakes.forge.githubrights import Rights
from tests.fakes.forge.messages import Answer, Call, Refused, Routes
from tests.fakes.forge.server import FakeForge
from tests.fakes.forge.store import Project, Store, Token


class FakeGitHub(FakeForge):
    """At the addresses of an Enterprise server: the API under /api/v3, git and pages beside it."""

    api = "/api"

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._routes = Routes()
        for module in (githubrepo, githubtalk):
            module.add_routes(self._routes)

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/v3"

    def error(self, status: int, message: str) -> Any:
        return githubjson.error(status, message)

    def answer(self, call: Call, path: str) -> Answer:
        secret = call.secret()
        token = self.store.tokens.get(secret)
        if secret and token is None:
            return Answer(401, self.error(401, "Bad credentials"))
        found = self._routes.find(call.method, path)
        if found is None:
            return Answer(404, self.error(404, "Not Found"))
        handler, parts = found
        try:
            return handler(Rights(self, token), call, **parts)
        except GitRefused as refused:
            return Answer(422, self.error(422, str(refused)))
        except KeyError as missing:
            raise Refused(422, self.error(422, f"Invalid request. No {missing}.")) from None

    def may_git(self, token: Token | None, project: Project, write: bool) -> bool:
        return Rights(self, token).may(project, "contents", "write" if write else "read")
