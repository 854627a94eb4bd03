"""Who may do what at the fake GitHub, and how it says no."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from tests.fakes.forge import githubjson
from tests.fakes.forge.messages import Refused
from tests.fakes.forge.store import Project, Role, Token

if TYPE_CHECKING:
    from tests.fakes.forge.github import FakeGitHub

#: What a person needs to write under a permission of tokens; anybody may comment where they read.
NEEDED: dict[str, Role] = {"contents": "write", "pull_requests": "read", "issues": "read"}


@dataclass(frozen=True)
class Rights:
    """One call's token and what it may do."""

    forge: "FakeGitHub"
    token: Token | None

    @property
    def login(self) -> str:
        return self.token.user.login if self.token else ""

    @property
    def integration(self) -> bool:
        return self.token is not None and self.token.kind in ("actions", "app")

    def may(self, project: Project, permission: str, level: str) -> bool:
        """Whether the token reads or writes what stands under a permission such as "contents"."""
        if not self.integration:
            role = NEEDED.get(permission, "write") if level == "write" else "read"
            known = level == "read" or self.token is not None
            return known and project.at_least(self.login, role)
        assert self.token is not None
        own = self.token.project in ("", project.name)
        held = self.token.scopes.get(permission, "none") if own else "none"
        if level == "read":
            if permission == "metadata" and own:
                return True
            return held in ("read", "write") or not project.private
        return held == "write"

    def project(self, owner: str, repo: str, *needs: str) -> Project:
        """The repository, where one of `needs` ("issues: write") is met, or none is asked for."""
        project = self.forge.store.projects.get(f"{owner}/{repo}")
        if project is None or not self._sees(project):
            raise Refused(404, githubjson.error(404, "Not Found"))
        pairs = [need.split(": ") for need in needs]
        if pairs and not any(self.may(project, name, level) for name, level in pairs):
            self.refuse(*needs)
        return project

    def role(self, project: Project, role: Role) -> None:
        """Refuses a person with less than `role`; a token with scopes has what these say."""
        if not self.integration and not project.at_least(self.login, role):
            raise Refused(403, githubjson.error(403, "Must have admin rights to Repository."))

    def refuse(self, *needs: str) -> NoReturn:
        if self.token is None:
            raise Refused(401, githubjson.error(401, "Requires authentication"))
        who = "integration" if self.integration else "personal access token"
        accepted = "; ".join(need.replace(": ", "=") for need in needs)
        raise Refused(
            403,
            githubjson.error(403, f"Resource not accessible by {who}"),
            {"X-Accepted-GitHub-Permissions": accepted},
        )

    def _sees(self, project: Project) -> bool:
        if not project.private:
            return True
        if self.integration and self.token is not None:
            return self.token.project in ("", project.name) and bool(self.token.scopes)
        return project.at_least(self.login, "read")
