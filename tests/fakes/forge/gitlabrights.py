"""Who may do what at the fake GitLab, and how it says no."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes.forge.messages import Refused
from tests.fakes.forge.store import Project, Role, Token, User

if TYPE_CHECKING:
    from tests.fakes.forge.gitlab import FakeGitLab

LEVELS: dict[Role, int] = {
    "none": 0,
    "read": 10,
    "triage": 20,
    "write": 30,
    "maintain": 40,
    "admin": 50,
}


def not_found(what: str) -> Refused:
    return Refused(404, {"message": f"404 {what} Not Found"})


def bad(message: object) -> Refused:
    return Refused(400, {"message": message})


@dataclass(frozen=True)
class Rights:
    """One call's token and what it may do."""

    forge: "FakeGitLab"
    token: Token | None
    method: str

    @property
    def user(self) -> User:
        if self.token is None:
            raise Refused(401, {"message": "401 Unauthorized"})
        return self.token.user

    @property
    def login(self) -> str:
        return self.token.user.login if self.token else ""

    def sees(self, project: Project) -> bool:
        outside = self.token is not None and self.token.project not in ("", project.name)
        return not project.private or (not outside and project.at_least(self.login, "read"))

    def project(self, name: str) -> Project:
        """The project of this path or id, where the token sees it."""
        for project in self.forge.store.projects.values():
            if name in (project.name, str(project.id)) and self.sees(project):
                self._in_scope()
                return project
        raise not_found("Project")

    def needs(self, project: Project, role: Role) -> None:
        """Refuses whoever has less than this role, and tokens of another project."""
        _ = self.user
        assert self.token is not None
        if self.token.project not in ("", project.name) or not project.at_least(self.login, role):
            raise Refused(403, {"message": "403 Forbidden"})

    def signed_in(self) -> None:
        _ = self.user
        self._in_scope()

    def _in_scope(self) -> None:
        scopes = self.token.scopes if self.token else {}
        if self.method in ("GET", "HEAD") or (self.token is None) or "api" in scopes:
            return
        raise Refused(
            403,
            {
                "error": "insufficient_scope",
                "error_description": "The request requires higher privileges than provided by the"
                " access token.",
                "scope": "api",
            },
        )
