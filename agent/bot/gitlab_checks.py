"""Whether a project on GitLab is set up for the bot; reads only."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from agent.bot.config import Config
from agent.bot.exchange import quoted
from agent.bot.forge import ForgeError
from agent.bot.gitlab import GitLab
from agent.bot.gitlab_api import Api
from agent.bot.setup_checks import BRANCH, Finding, Setup, configuration, labels, looked, model_of
from agent.bot.setup_files import GITLAB_CI, GITLAB_PATH

DEVELOPER = 30
_TOKENS = "Settings > Access tokens"
_VARIABLES = "Settings > CI/CD > Variables"
_PROTECTED = "Settings > Repository > Protected branches"
_TRIGGERS = "Settings > CI/CD > Pipeline trigger tokens"
_HOOKS = "Settings > Webhooks"
_SCOPES = ("greenroom/write", "greenroom/read")


def examine(api: Api, forge: GitLab, name: str) -> Setup:
    """Looks at the project `name`, a path or a number."""
    at = f"/projects/{quoted(name)}"
    try:
        project = api.get("read the project", at)
        commit = forge.base_commit(project["default_branch"])
    except ForgeError as problem:
        advice = problem.hint or "Give a token that reads the project in GITLAB_TOKEN."
        return Setup(name, (Finding("project", "to do", problem.message, advice),))
    found = f"{project['path_with_namespace']}, {project['visibility']}"
    said, wanted = configuration(lambda path: forge.file(path, commit))
    own = (forge.file(GITLAB_PATH, commit) or b"").decode("utf-8", "replace")
    included = (forge.file(GITLAB_CI, commit) or b"").decode("utf-8", "replace")
    findings = [Finding("project", "ok", found), said]
    findings += _jobs(own, included, project["default_branch"])
    findings += looked("token", _TOKENS, lambda: _token(api))
    findings += _role(project)
    findings += looked("branches", _PROTECTED, lambda: _branches(api, at, project))
    findings += looked("variables", _VARIABLES, lambda: _variables(api, at))
    findings += _overrides(project)
    findings += looked("trigger", _TRIGGERS, lambda: _trigger(api, at))
    findings += looked("webhook", _HOOKS, lambda: _hooks(api, at))
    findings += looked("labels", "Manage > Labels", lambda: _labels(api, at, wanted))
    return Setup(name, tuple(findings), *model_of(own))


def _jobs(own: str, included: str, branch: str) -> Iterator[Finding]:
    if not own:
        advice = "greenroom ci init gitlab; then commit it to the default branch and push."
        yield Finding("jobs", "to do", f"no {GITLAB_PATH} on {branch}", advice)
        return
    if GITLAB_PATH in included:
        yield Finding("jobs", "ok", f"{GITLAB_PATH} on {branch}, included")
    else:
        advice = f"Add `- local: {GITLAB_PATH}` to its `include:`."
        yield Finding("jobs", "to do", f"{GITLAB_CI} does not include {GITLAB_PATH}", advice)
    if re.search(r"source\.tar\.gz https://\S*[0-9a-f]{40}", own):
        yield Finding("pins", "ok", "Greenroom is installed from one commit")
    else:
        advice = "greenroom ci init gitlab --force --source OWNER/REPO@COMMIT"
        yield Finding("pins", "to do", "Greenroom is not installed from one commit", advice)


def _token(api: Api) -> Iterator[Finding]:
    token = api.get("read the token's own description", "/personal_access_tokens/self")
    scopes = ", ".join(token["scopes"])
    ends = token.get("expires_at") or "never"
    if "api" in token["scopes"] or "read_api" in token["scopes"]:
        yield Finding("token", "ok", f"the one used here: {scopes}; ends {ends}")
    else:
        advice = f"{_TOKENS}: `api` for the one that writes, docs/ci-gitlab.md has both."
        yield Finding("token", "to do", f"the one used here: {scopes}", advice)


def _role(project: dict[str, Any]) -> Iterator[Finding]:
    found = project.get("permissions") or {}
    levels = [(found.get(f"{kind}_access") or {}).get("access_level") for kind in _KINDS]
    level = max((each for each in levels if each), default=0)
    if level >= DEVELOPER:
        yield Finding("role", "ok", f"the token's account has level {level}; 30 is Developer")
    else:
        advice = f"{_TOKENS}, or Manage > Members: Developer, for the token that writes."
        yield Finding("role", "unknown", f"the token's account has level {level}", advice)


_KINDS = ("project", "group")


def _branches(api: Api, at: str, project: dict[str, Any]) -> Iterator[Finding]:
    main = project["default_branch"]
    names = [each["name"] for each in api.list("list branches", f"{at}/protected_branches")]
    if any(fnmatchcase(main, name) for name in names):
        yield Finding("default branch", "ok", f"{main} is protected")
    else:
        found = f"{main} is not protected, so no job of it gets protected variables"
        yield Finding("default branch", "to do", found, f"{_PROTECTED}: protect it.")
    stopping = [name for name in names if fnmatchcase(BRANCH, name)]
    if stopping:
        found = f"greenroom/* is protected by {', '.join(stopping)}"
        advice = f"{_PROTECTED}: allow the bot to push there, and to force, or protect less."
        yield Finding("branches", "to do", found, advice)
    else:
        yield Finding("branches", "ok", "greenroom/* is not protected")


def _variables(api: Api, at: str) -> Iterator[Finding]:
    found = api.list("list the variables", f"{at}/variables")
    tokens = {each["environment_scope"]: each for each in found if each["key"] == "GITLAB_TOKEN"}
    for scope in _SCOPES:
        if scope not in tokens:
            told = f"no GITLAB_TOKEN for {scope}"
            yield Finding("variables", "to do", told, f"{_VARIABLES}: add it.")
        elif lacks := [kind for kind in ("protected", "masked") if not tokens[scope][kind]]:
            told = f"GITLAB_TOKEN for {scope} is not {' and not '.join(lacks)}"
            yield Finding("variables", "to do", told, f"{_VARIABLES}: edit it.")
        else:
            told = f"GITLAB_TOKEN for {scope}, protected and masked"
            yield Finding("variables", "ok", told)
    if wide := sorted(set(tokens) - set(_SCOPES)):
        told = f"GITLAB_TOKEN for {', '.join(wide)} too: other jobs have it"
        yield Finding("variables", "to do", told, f"{_VARIABLES}: give it one of the two scopes.")


def _overrides(project: dict[str, Any]) -> Iterator[Finding]:
    if project.get("ci_pipeline_variables_minimum_override_role") == "no_one_allowed":
        told = "nobody may hand variables to a pipeline, so the webhook's event cannot come in"
        advice = f"{_VARIABLES} > Minimum role to use pipeline variables: a role that you have."
        yield Finding("pipeline variables", "to do", told, advice)


def _trigger(api: Api, at: str) -> Iterator[Finding]:
    if api.list("list the trigger tokens", f"{at}/triggers"):
        yield Finding("trigger", "ok", "there is a pipeline trigger token")
    else:
        yield Finding("trigger", "to do", "there is no trigger token", f"{_TRIGGERS}: add one.")


def _hooks(api: Api, at: str) -> Iterator[Finding]:
    hooks = api.list("list the webhooks", f"{at}/hooks")
    own = [hook for hook in hooks if "/trigger/pipeline" in hook["url"]]
    if not own:
        advice = f"{_HOOKS}: add it; docs/ci-gitlab.md has the address."
        yield Finding("webhook", "to do", "no webhook starts a pipeline", advice)
    for hook in own:
        off = [kind for kind in ("note_events", "issues_events") if not hook.get(kind)]
        if hook.get("pipeline_events"):
            told = "it tells of pipelines, the bot's own too, and each would start the next"
            yield Finding("webhook", "to do", told, f"{_HOOKS}: untick Pipeline events.")
        elif off:
            yield Finding("webhook", "to do", f"it lacks {', '.join(off)}", f"{_HOOKS}: tick them.")
        else:
            yield Finding("webhook", "ok", "it tells of comments and issues")


def _labels(api: Api, at: str, wanted: Config) -> Iterator[Finding]:
    found = {each["name"] for each in api.list("list the labels", f"{at}/labels")}
    return labels(wanted, found.__contains__, "Manage > Labels > New label")
