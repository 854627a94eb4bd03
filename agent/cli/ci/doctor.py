"""`greenroom ci doctor`: whether a repository is set up for the bot, and what is still to do."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from urllib.parse import urlsplit

from agent import settings
from agent.bot import remote
from agent.bot.extra import HOW_TO_INSTALL
from agent.bot.setup_checks import Finding, Setup
from agent.cli.command import add_checkout, add_settings, flags
from agent.cli.console import Console
from agent.cli.examined import examined
from agent.cli.process import run
from agent.cli.text import count, one_line, table
from sandbox.engine import shared_engine
from sandbox.errors import GreenroomError, SetupError, UsageError

DESCRIPTION = """\
Look at everything that the bot needs in a repository, and say what to click: the workflow, its pins
and permissions, rules of branches, labels, secrets, the settings; whether the model answers, and
whether a Docker engine is here. It only reads. The token is that of GITHUB_TOKEN, GH_TOKEN or
GITLAB_TOKEN; what it may not see is unknown, with the place where a person can. To a server of your
own it is sent if GITHUB_API_URL or CI_SERVER_URL names that.

Exits with 0 when nothing is to do, and with 3 otherwise.\
"""
_STYLES = {"ok": "", "to do": "red", "unknown": "yellow"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "forge",
        nargs="?",
        choices=("github", "gitlab"),
        help="which forge (default: the one of the job, or of the remote `origin`)",
    )
    parser.add_argument(
        "--repository", metavar="OWNER/NAME", help="which one (default: the job's, or the remote's)"
    )
    add_checkout(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_settings(parser, ("model", "base_url", "api_key_variable"))


def main(options: argparse.Namespace, console: Console) -> int:
    forge, name, host = _which(options, os.environ)
    console.note(f"looking at {name} on {host} ...", "dim")
    found = _github(name, host) if forge == "github" else _gitlab(name, host)
    found = replace(
        found, findings=(*found.findings, _engine(), _model(found, flags(options), console))
    )
    ready = all(finding.state != "to do" for finding in found.findings)
    if options.json:
        console.document(
            {
                "schema": "greenroom.ci-doctor/1",
                "forge": forge,
                "repository": found.repository,
                "ready": ready,
                "findings": [asdict(finding) for finding in found.findings],
            }
        )
    else:
        _print(found, console)
    return 0 if ready else 3


def _which(options: argparse.Namespace, variables: Mapping[str, str]) -> tuple[str, str, str]:
    """The forge, the repository's path and the host."""
    name = options.repository
    if options.forge != "gitlab" and variables.get("GITHUB_ACTIONS"):
        server = variables.get("GITHUB_SERVER_URL", "https://github.com")
        return "github", name or variables.get("GITHUB_REPOSITORY", ""), _host(server)
    if options.forge != "github" and variables.get("GITLAB_CI"):
        return "gitlab", name or variables["CI_PROJECT_PATH"], variables["CI_SERVER_HOST"]
    if options.forge and name:
        return options.forge, name, f"{options.forge}.com"
    origin = remote.of_checkout(options.checkout)
    forge = options.forge or (origin.forge if origin else None)
    if forge is None or origin is None:
        raise UsageError(
            "which repository is this about? The remote `origin` does not tell",
            "Say it: greenroom ci doctor github --repository OWNER/NAME",
        )
    _check_host(forge, origin.host, variables)
    return forge, name or origin.path, origin.host


def _check_host(forge: str, host: str, variables: Mapping[str, str]) -> None:
    """Raises UsageError for a host of the remote that nobody named: a token goes to no place only
    because a repository came from there."""
    if host == f"{forge}.com":
        return
    variable = {"github": "GITHUB_API_URL", "gitlab": "CI_SERVER_URL"}[forge]
    if urlsplit(variables.get(variable, "")).hostname != host.lower():
        url = f"https://{host}" + "/api/v3" * (forge == "github")
        raise UsageError(
            f"the remote `origin` is on {host}; the token is not sent there unasked",
            f"If it is for there: {variable}={url} greenroom ci doctor",
        )


def _host(url: str) -> str:
    return url.partition("://")[2].strip("/")


def _token(*names: str) -> str:
    for name in names:
        if token := os.environ.get(name, ""):
            return token
    raise SetupError(
        f"{' and '.join(names)} are not set: a token that reads the repository",
        "A fine-grained token with Administration, Actions, Contents and Secrets to read sees all.",
    )


def _github(name: str, host: str) -> Setup:
    from agent.bot import github, github_checks  # noqa: PLC0415 - help must not pay for it
    from agent.bot.github_api import Api  # noqa: PLC0415

    own = host != "github.com"
    default = f"https://{host}/api/v3" if own else "https://api.github.com"
    api = Api(os.environ.get("GITHUB_API_URL") or default, _token("GITHUB_TOKEN", "GH_TOKEN"))
    return github_checks.examine(api, github.GitHub(api, name, f"https://{host}"), name, own)


def _gitlab(name: str, host: str) -> Setup:
    try:
        from agent.bot import gitlab, gitlab_checks  # noqa: PLC0415 - help must not pay for it
        from agent.bot.gitlab_api import Api, base_url  # noqa: PLC0415
    except ImportError:
        raise SetupError(
            "GitLab's client, python-gitlab, is not installed",
            HOW_TO_INSTALL,
        ) from None
    told = {"CI_SERVER_URL": f"https://{host}", **os.environ}
    api = Api(base_url(told), _token("GITLAB_TOKEN"))
    return gitlab_checks.examine(api, gitlab.GitLab(api, name), name)


def _engine() -> Finding:
    try:
        engine = shared_engine()
    except GreenroomError as problem:
        found = f"none on this machine: {one_line(problem.message, 200)}"
        advice = "The runner that proposes needs one; GitHub's ubuntu-latest has it."
        return Finding("engine", "unknown", found, advice)
    return Finding("engine", "ok", f"{engine.name} on this machine; the runner needs one, too")


def _model(found: Setup, given: Mapping[str, object], console: Console) -> Finding:
    """Whether the model answers from here: the one that is given, or the one of the jobs."""
    wanted = {"model": found.model or None, "base_url": found.base_url or None, **given}
    chosen = settings.load(None, wanted)  # type: ignore[arg-type]
    if not chosen["model"]:
        advice = "Name it: -m of this command, or `model` in the workflow or in greenroom.toml."
        return Finding("model", "unknown", "none is named", advice)
    try:
        made = run(examined(chosen, console))
    except GreenroomError as problem:
        return Finding("model", "to do", f"from this machine: {problem.message}", problem.hint)
    bad = [finding.name for finding in made.findings if finding.state == "bad"]
    if bad:
        advice = f"greenroom doctor --model {made.name} says more."
        return Finding("model", "to do", f"{made.name} lacks: {', '.join(bad)}", advice)
    advice = "Whether a runner reaches it is seen there: the action's step `doctor`."
    return Finding("model", "ok", f"{made.name} answers this machine", advice)


def _print(found: Setup, console: Console) -> None:
    rows = [(f.name, f.state, one_line(f.found, 200)) for f in found.findings]
    lines = table(rows).splitlines()
    for finding, line in zip(found.findings, lines, strict=True):
        console.say(line, _STYLES[finding.state])
        if finding.advice:
            console.say(f"  {finding.advice}", "" if finding.state != "ok" else "dim")
    left = sum(finding.state == "to do" for finding in found.findings)
    unknown = sum(finding.state == "unknown" for finding in found.findings)
    seen = f"; {count(unknown, 'thing')} could not be seen" if unknown else ""
    if left:
        console.say(f"{count(left, 'thing')} to do{seen}", "red")
    else:
        console.say(f"nothing to do{seen}", "green")
