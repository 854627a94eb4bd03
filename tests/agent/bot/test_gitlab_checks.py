"""What doctor finds in a project on GitLab, at a fake that answers about its settings."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.bot.gitlab import GitLab
from agent.bot.gitlab_api import Api
from agent.bot.gitlab_checks import examine
from agent.bot.setup_checks import Setup
from agent.bot.setup_files import for_gitlab
from tests.fakes.forge.gitlab import FakeGitLab
from tests.fakes.forge.messages import Answer, Call
from tests.fakes.forge.store import Store

NAME = "team/app"
AT = "/api/v4/projects/team%2Fapp"
SOURCE = "example/greenroom@" + "a1" * 20


def token(scope: str, **other: Any) -> dict[str, Any]:
    kept = {"key": "GITLAB_TOKEN", "environment_scope": scope, "protected": True, "masked": True}
    return kept | other


def hook(**other: Any) -> dict[str, Any]:
    return {
        "url": "https://gitlab.example/api/v4/projects/7/ref/main/trigger/pipeline?token=[T]",
        "note_events": True,
        "issues_events": True,
        "pipeline_events": False,
    } | other


PROJECT = {
    "id": 7,
    "path_with_namespace": NAME,
    "visibility": "public",
    "default_branch": "main",
    "permissions": {"project_access": {"access_level": 40}, "group_access": None},
}
GOOD: dict[str, Any] = {
    "": PROJECT,
    "/protected_branches": [{"name": "main"}],
    "/variables": [token("greenroom/write"), token("greenroom/read")],
    "/triggers": [{"id": 1}],
    "/hooks": [hook()],
    "/labels": [{"name": "greenroom"}],
}


class Fake(FakeGitLab):
    """Answers about settings with what a test says; a number is the status of a refusal."""

    def __init__(self, store: Store, said: dict[str, Any]) -> None:
        super().__init__(store)
        self.said = {AT + path: found for path, found in said.items()}
        self.said["/api/v4/personal_access_tokens/self"] = {"scopes": ["api"], "expires_at": None}
        self.methods: set[str] = set()

    def served(self, call: Call) -> Answer:
        self.methods.add(call.method)
        if call.path not in self.said:
            return super().served(call)
        said = self.said[call.path]
        if isinstance(said, int):
            return Answer(said, {"message": f"{said} Forbidden"})
        return Answer(200, said)


@dataclass
class Desk:
    folder: Path
    files: dict[str, str]
    said: dict[str, Any] = field(default_factory=lambda: dict(GOOD))
    methods: set[str] = field(default_factory=set)

    def examine(self) -> Setup:
        store = Store(self.folder / "store", own_numbers=True)
        store.project(NAME, self.files, roles={"bot": "write"})
        fake = Fake(store, self.said)
        with fake.serving():
            api = Api(fake.url, store.token("bot", "project", {"api": "write"}, NAME), timeout=5.0)
            found = examine(api, GitLab(api, NAME), NAME)
        self.methods |= fake.methods
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    top = tmp_path / "checkout"
    top.mkdir()
    (tmp_path / "store").mkdir()
    planned = for_gitlab(top, SOURCE, "openai:m", ("docker",), 60, "greenroom", False)
    return Desk(tmp_path, {path: content.decode() for path, content in planned.files})


def test_a_project_that_is_set_up_has_nothing_to_do(desk: Desk) -> None:
    found = desk.examine()
    assert {finding.state for finding in found.findings} == {"ok"}, found.findings
    assert found.model == "openai:m"
    assert desk.methods == {"GET"}


@pytest.mark.parametrize(
    ("path", "said", "name", "advice"),
    [
        ("/protected_branches", [], "default branch", "protect it"),
        (
            "/protected_branches",
            [{"name": "main"}, {"name": "green*"}],
            "branches",
            "allow the bot to push there",
        ),
        ("/variables", [token("greenroom/write")], "variables", "add it"),
        (
            "/variables",
            [token("greenroom/write", masked=False), token("greenroom/read")],
            "variables",
            "edit it",
        ),
        ("/variables", [*GOOD["/variables"], token("*")], "variables", "one of the two scopes"),
        ("/triggers", [], "trigger", "add one"),
        ("/hooks", [], "webhook", "add it"),
        ("/hooks", [hook(pipeline_events=True)], "webhook", "untick"),
        ("/hooks", [hook(note_events=False)], "webhook", "tick them"),
        ("/labels", [], "labels", "New label"),
        (
            "",
            PROJECT | {"ci_pipeline_variables_minimum_override_role": "no_one_allowed"},
            "pipeline variables",
            "Minimum role",
        ),
    ],
)
def test_what_is_missing_is_to_do_with_the_click(
    desk: Desk, path: str, said: Any, name: str, advice: str
) -> None:
    desk.said[path] = said
    todo = [finding for finding in desk.examine().findings if finding.state == "to do"]
    assert [finding.name for finding in todo] == [name]
    assert advice in todo[0].advice


@pytest.mark.parametrize("path", ["/variables", "/triggers", "/hooks", "/protected_branches"])
def test_what_the_token_may_not_see_is_unknown_and_says_where_to_look(
    desk: Desk, path: str
) -> None:
    desk.said[path] = 403
    found = [finding for finding in desk.examine().findings if finding.state != "ok"]
    assert [finding.state for finding in found] == ["unknown"]
    assert found[0].advice.startswith("Settings > ")


@pytest.mark.parametrize("path", [".gitlab/greenroom.yml", ".gitlab-ci.yml"])
def test_jobs_that_are_not_there_are_to_do(desk: Desk, path: str) -> None:
    desk.files[path] = "# nothing\n" if path == ".gitlab-ci.yml" else ""
    todo = [finding.name for finding in desk.examine().findings if finding.state == "to do"]
    assert todo == ["jobs"]
