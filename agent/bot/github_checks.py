"""Whether a repository on GitHub is set up for the bot; reads only."""

import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

from agent.bot.config import Config
from agent.bot.exchange import quoted
from agent.bot.forge import ForgeError, Repository
from agent.bot.github import GitHub
from agent.bot.github_api import Api
from agent.bot.setup_checks import (
    BRANCH,
    Finding,
    Setup,
    configuration,
    labels,
    looked,
    model_of,
    pins,
)

_FOLDER = ".github/workflows"
_GENERAL = "Settings > Actions > General"
_SECRETS = "Settings > Secrets and variables > Actions"
_RULES = "Settings > Rules > Rulesets, and Settings > Branches"
_TICK = (
    f'{_GENERAL} > Workflow permissions: tick "Allow GitHub Actions to create and approve pull '
    'requests". Where it is grey, the organisation decides: the same page of its settings.'
)
#: Rules that stand in the way of a branch of the bot, and what each does.
_STOPPING = {
    "creation": "branches may not be made",
    "update": "branches may not be changed",
    "pull_request": "changes need a pull request",
    "required_status_checks": "changes need checks before they are pushed",
    "branch_name_pattern": "names have to follow a pattern",
    "commit_message_pattern": "messages have to follow a pattern",
    "commit_author_email_pattern": "addresses of authors have to follow a pattern",
    "committer_email_pattern": "addresses of committers have to follow a pattern",
    "non_fast_forward": "a second attempt could not replace the first",
}


def examine(api: Api, forge: GitHub, name: str, own_server: bool) -> Setup:
    """Looks at the repository `name`. `own_server` is whether it is not on github.com."""
    try:
        repository = forge.repository()
        commit = forge.base_commit(repository.default_branch)
    except ForgeError as problem:
        advice = problem.hint or "Give a token that reads the repository in GITHUB_TOKEN."
        return Setup(name, (Finding("repository", "to do", problem.message, advice),))
    kind = "private" if repository.private else "public"
    first = Finding("repository", "ok", f"{repository.name}, {kind}")
    said, wanted = configuration(lambda path: forge.file(path, commit))
    path, text = _workflow(api, forge, f"/repos/{name}", commit)
    at = f"/repos/{name}"
    app = "create-github-app-token@" in text
    findings = [first, said, *_written(path, text, repository, app, own_server)]
    findings += looked("actions", _GENERAL, lambda: _actions(api, at))
    if not app:
        findings += looked("pull requests", _TICK, lambda: _may_open(api, at))
    findings += looked("rules", _RULES, lambda: _rules(api, at))
    findings += looked("labels", "Issues > Labels", lambda: _labels(api, at, wanted))
    if text:
        findings += looked("secrets", _SECRETS, lambda: _secrets(api, at, text))
    return Setup(name, tuple(findings), *model_of(text))


def _workflow(api: Api, forge: GitHub, at: str, commit: str) -> tuple[str, str]:
    """The bot's workflow on the default branch, and its text; empty where there is none."""
    what = "list the workflows"
    found = api.find(what, f"{at}/contents/{_FOLDER}", {"ref": commit})
    for entry in found if isinstance(found, list) else ():
        if re.fullmatch(r"greenroom[\w.-]*\.ya?ml", entry["name"]):
            path = f"{_FOLDER}/{entry['name']}"
            return path, (forge.file(path, commit) or b"").decode("utf-8", "replace")
    return "", ""


def _written(
    path: str, text: str, repository: Repository, app: bool, own_server: bool
) -> Iterator[Finding]:
    if not text:
        found = f"no {_FOLDER}/greenroom.yml on {repository.default_branch}"
        advice = "greenroom ci init github; then commit it to the default branch and push."
        yield Finding("workflow", "to do", found, advice)
        return
    yield Finding("workflow", "ok", f"{path} on {repository.default_branch}")
    yield pins(path, text)
    if "pull_request_target" in text:
        found = f"{path} listens to pull_request_target"
        yield Finding("trap", "to do", found, "Take it out; docs/ci.md says why.")
    if "self-hosted" in text and not repository.private:
        found = f"{path} works on a runner of your own, and the repository is public"
        advice = "Take a hosted runner and a model behind an address: docs/ci.md says why."
        yield Finding("runner", "to do", found, advice)
    later = "For checks that start by themselves: greenroom ci init github --app --force"
    if app:
        yield Finding("checks", "ok", "they start by themselves on what the App opens")
    elif own_server:
        found = "on an Enterprise server none may start on what a job's token opens"
        yield Finding("checks", "to do", found, later)
    else:
        found = 'they wait on the bot\'s pull requests until somebody clicks "Approve workflows"'
        yield Finding("checks", "ok", found, later)


def _actions(api: Api, at: str) -> Iterator[Finding]:
    found = api.get("read whether Actions are on", f"{at}/actions/permissions")
    if not found["enabled"]:
        yield Finding("actions", "to do", "Actions are off", f"{_GENERAL}: allow them.")
    elif (allowed := found.get("allowed_actions", "all")) == "all":
        yield Finding("actions", "ok", "Actions are on, and every action may be used")
    else:
        advice = f"{_GENERAL}: allow the actions that the workflow uses."
        yield Finding("actions", "unknown", f"only some actions may be used ({allowed})", advice)


def _may_open(api: Api, at: str) -> Iterator[Finding]:
    found = api.get("read what workflows may do", f"{at}/actions/permissions/workflow")
    if found["can_approve_pull_request_reviews"]:
        yield Finding("pull requests", "ok", "Actions may open them")
    else:
        yield Finding("pull requests", "to do", "Actions may not open them", _TICK)
    if found["default_workflow_permissions"] == "write":
        told = "workflows that name no permissions may write; the bot's names its own"
        yield Finding("default permissions", "ok", told, f"{_GENERAL}: reading is enough.")


def _rules(api: Api, at: str) -> Iterator[Finding]:
    found = api.list("read the rules of branches", f"{at}/rules/branches/{quote(BRANCH, safe='')}")
    stopping = {
        rule["type"]: _STOPPING[rule["type"]] for rule in found if rule["type"] in _STOPPING
    }
    for kind, what in stopping.items():
        advice = f"{_RULES}: leave greenroom/** out of this rule, or let the bot bypass it."
        yield Finding("rules", "to do", f"a rule {kind} holds for greenroom/*: {what}", advice)
    if not stopping:
        yield Finding("rules", "ok", "no rule stands in the way of branches greenroom/*")


def _labels(api: Api, at: str, wanted: Config) -> Iterator[Finding]:
    def has(label: str) -> bool:
        return api.find("look for a label", f"{at}/labels/{quoted(label)}") is not None

    return labels(wanted, has, "Issues > Labels > New label")


def _secrets(api: Api, at: str, text: str) -> Iterator[Finding]:
    for kind, key in (("secrets", "secrets"), ("vars", "variables")):
        names = sorted(set(re.findall(rf"\b{kind}\.(GREENROOM_\w+)", text)))
        lists = (f"{at}/actions/{key}", f"{at}/actions/organization-{key}")
        ask = partial(api.list, f"read the names of {key}", key=key)
        there = {entry["name"] for path in lists if names for entry in ask(path)}
        for name in names:
            if name in there:
                yield Finding(key, "ok", f"{name} is there")
            elif name == "GREENROOM_API_KEY":
                advice = f"{_SECRETS}: add it, if the model's server wants a key."
                yield Finding(key, "unknown", f"there is no {name}", advice)
            else:
                yield Finding(key, "to do", f"there is no {name}", f"{_SECRETS}: add it.")
