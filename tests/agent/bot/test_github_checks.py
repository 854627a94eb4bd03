"""What doctor finds in a repository on GitHub, at a fake that answers about its settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.bot.github import GitHub
from agent.bot.github_api import Api
from agent.bot.github_checks import examine
from agent.bot.setup_checks import Finding, Setup
from agent.bot.workflow import PATH, Wanted, render
from tests.fakes.forge.github import FakeGitHub
from tests.fakes.forge.messages import Answer, Call
from tests.fakes.forge.store import Store

NAME = "acme/app"
AT = f"/repos/{NAME}"
WORKFLOW = render(Wanted("example/greenroom@" + "a1" * 20, workflows=("CI",), model="openai:m"))
GOOD: dict[str, Any] = {
    f"{AT}/actions/permissions": {"enabled": True, "allowed_actions": "all"},
    f"{AT}/actions/permissions/workflow": {
        "default_workflow_permissions": "read",
        "can_approve_pull_request_reviews": True,
    },
    f"{AT}/rules/branches/greenroom%2F1-an-issue": [{"type": "deletion"}],
    f"{AT}/labels/greenroom": {"name": "greenroom"},
    f"{AT}/actions/secrets": {"total_count": 1, "secrets": [{"name": "GREENROOM_API_KEY"}]},
    f"{AT}/actions/organization-secrets": {"total_count": 0, "secrets": []},
    f"{AT}/actions/variables": {"total_count": 0, "variables": []},
    f"{AT}/actions/organization-variables": {"total_count": 0, "variables": []},
}


class Fake(FakeGitHub):
    """Answers about settings with what a test says; a number is the status of a refusal."""

    def __init__(self, store: Store, said: dict[str, Any]) -> None:
        super().__init__(store)
        self.said = said
        self.methods: set[str] = set()

    def answer(self, call: Call, path: str) -> Answer:
        self.methods.add(call.method)
        short = path.removeprefix("/api").removeprefix("/v3")
        if short not in self.said:
            return super().answer(call, path)
        said = self.said[short]
        if isinstance(said, int):
            return Answer(said, {"message": "Resource not accessible by integration"})
        return Answer(200, said)


@dataclass
class Desk:
    folder: Path
    files: dict[str, str] = field(default_factory=lambda: {"a.py": "", PATH: WORKFLOW})
    said: dict[str, Any] = field(default_factory=lambda: dict(GOOD))
    private: bool = False
    own_server: bool = False
    methods: set[str] = field(default_factory=set)

    def examine(self, secret: str = "") -> Setup:
        with self._serving() as fake:
            token = secret or fake.store.token("rob", "user")
            api = Api(fake.api_url, token, timeout=5.0, sleep=lambda seconds: None)
            found = examine(api, GitHub(api, NAME, fake.url), NAME, self.own_server)
            self.methods |= fake.methods
        return found

    @contextmanager
    def _serving(self) -> Iterator[Fake]:
        store = Store(self.folder)
        store.project(NAME, self.files, private=self.private, roles={"rob": "admin"})
        listed = [
            {"name": path.rpartition("/")[2], "path": path, "type": "file"}
            for path in self.files
            if path.startswith(".github/workflows/")
        ]
        said = {f"{AT}/contents/.github/workflows": listed or 404, **self.said}
        fake = Fake(store, said)
        with fake.serving():
            yield fake


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def by_name(setup: Setup, name: str) -> list[Finding]:
    return [finding for finding in setup.findings if finding.name == name]


def test_a_repository_that_is_set_up_has_nothing_to_do(desk: Desk) -> None:
    found = desk.examine()
    assert {finding.state for finding in found.findings} == {"ok"}, found.findings
    assert found.model == "openai:m"


def test_looking_changes_nothing(desk: Desk) -> None:
    desk.examine()
    assert desk.methods == {"GET"}


@pytest.mark.parametrize(
    ("path", "said", "name", "advice"),
    [
        ("/actions/permissions", {"enabled": False}, "actions", "Settings > Actions > General"),
        (
            "/actions/permissions/workflow",
            {
                "default_workflow_permissions": "read",
                "can_approve_pull_request_reviews": False,
            },
            "pull requests",
            'tick "Allow GitHub Actions to create and approve pull requests"',
        ),
        (
            "/rules/branches/greenroom%2F1-an-issue",
            [{"type": "creation"}, {"type": "required_signatures"}],
            "rules",
            "leave greenroom/** out",
        ),
        ("/labels/greenroom", 404, "labels", "New label"),
    ],
)
def test_what_is_missing_is_to_do_with_the_click(
    desk: Desk, path: str, said: Any, name: str, advice: str
) -> None:
    desk.said[AT + path] = said
    todo = [finding for finding in desk.examine().findings if finding.state == "to do"]
    assert [finding.name for finding in todo] == [name]
    assert advice in todo[0].advice


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/actions/permissions", "actions"),
        ("/actions/permissions/workflow", "pull requests"),
        ("/rules/branches/greenroom%2F1-an-issue", "rules"),
        ("/actions/secrets", "secrets"),
    ],
)
def test_what_the_token_may_not_see_is_unknown_and_says_where_to_look(
    desk: Desk, path: str, name: str
) -> None:
    desk.said[AT + path] = 403
    found = by_name(desk.examine(), name)
    assert [finding.state for finding in found] == ["unknown"]
    assert "Settings > " in found[0].advice


def test_without_a_workflow_the_command_that_writes_it_is_named(desk: Desk) -> None:
    desk.files = {"a.py": ""}
    found = by_name(desk.examine(), "workflow")
    assert found[0].state == "to do"
    assert "greenroom ci init github" in found[0].advice


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ("example/greenroom@" + "a1" * 20, "example/greenroom@v1", "pins"),
        ("  issue_comment:", "  pull_request_target:", "trap"),
        ("runs-on: ubuntu-latest", "runs-on: self-hosted", "runner"),
    ],
)
def test_a_workflow_that_was_loosened_is_told(
    desk: Desk, before: str, after: str, name: str
) -> None:
    desk.files[PATH] = WORKFLOW.replace(before, after)
    assert desk.files[PATH] != WORKFLOW
    found = desk.examine()
    assert {finding.name for finding in found.findings if finding.state == "to do"} == {name}


def test_a_private_repository_may_have_a_runner_of_its_own(desk: Desk) -> None:
    desk.private = True
    desk.files[PATH] = WORKFLOW.replace("runs-on: ubuntu-latest", "runs-on: self-hosted")
    assert by_name(desk.examine(), "runner") == []


def test_a_configuration_that_is_none_names_its_key(desk: Desk) -> None:
    desk.files["greenroom.toml"] = "[ci]\nlabl = 'x'\n"
    found = by_name(desk.examine(), "configuration")
    assert found[0].state == "to do"
    assert "labl" in found[0].found


def test_the_labels_are_those_of_the_configuration(desk: Desk) -> None:
    desk.files["greenroom.toml"] = "[ci]\nlabel = 'bot'\nlabels = ['made by bot']\n"
    desk.said |= {f"{AT}/labels/bot": {"name": "bot"}, f"{AT}/labels/made%20by%20bot": 404}
    assert [finding.state for finding in by_name(desk.examine(), "labels")] == ["ok", "to do"]


def test_checks_start_by_themselves_with_an_app_alone(desk: Desk) -> None:
    waiting = by_name(desk.examine(), "checks")[0]
    assert "Approve workflows" in waiting.found
    assert "--app" in waiting.advice


def test_on_a_server_of_ones_own_checks_need_an_app(desk: Desk) -> None:
    desk.own_server = True
    assert by_name(desk.examine(), "checks")[0].state == "to do"


def test_an_app_needs_its_secret_and_its_variable(desk: Desk) -> None:
    desk.files[PATH] = render(
        Wanted("example/greenroom@" + "a1" * 20, triggers=("label",), app=True)
    )
    found = desk.examine()
    todo = [finding.found for finding in found.findings if finding.state == "to do"]
    assert todo == [
        "there is no GREENROOM_APP_PRIVATE_KEY",
        "there is no GREENROOM_APP_CLIENT_ID",
    ]
    assert by_name(found, "pull requests") == []


def test_a_repository_that_cannot_be_read_is_the_one_finding(desk: Desk) -> None:
    found = desk.examine(secret="secret-wrong")
    assert [finding.state for finding in found.findings] == ["to do"]
    assert "secret-wrong" not in repr(found)
