"""`greenroom ci init`: the files that set the bot up, and what each permission in them is for."""

import argparse

from agent import settings
from agent.bot import remote, setup_files
from agent.bot.workflow import PINS, TRIGGERS, Wanted, pinned
from agent.cli.command import add_checkout, add_settings, flags
from agent.cli.console import Console
from sandbox.errors import UsageError

DESCRIPTION = """\
Write what sets the bot up in this repository, and explain each permission in it: for GitHub
.github/workflows/greenroom.yml, for GitLab .gitlab/greenroom.yml; and a commented table [ci] in the
settings file. Nothing that is there is changed or replaced. `greenroom ci doctor` then says what is
still to do. docs/ci.md has all of it.\
"""
_GITHUB = """\
The workflow has three jobs. Each has these permissions and no other:
  accept   contents: read         the table [ci], on the default branch
           issues: write          a reaction, and the one comment that says how it stands
           pull-requests: write   the same on pull requests
  propose  contents: read         the code; this job runs it in a sandbox, and can write nothing
           issues: read           the issue, and whether somebody said stop
           pull-requests: read    the same of pull requests
           actions: read          the logs of a failed build
  publish  contents: write        a branch greenroom/... and its commit; this job runs no code
           pull-requests: write   the pull request
           issues: write          the comment, labels
The model's key goes to propose alone.\
"""
_GITHUB_NEXT = """\
Next:
  1. Settings > Actions > General: tick "Allow GitHub Actions to create and approve pull requests".
  2. Settings > Secrets and variables > Actions: the secret GREENROOM_API_KEY, if your model's
     server wants a key.
  3. Commit these files to the default branch, push, then: greenroom ci doctor
  4. Give an issue the label, or comment `/greenroom fix` on it.\
"""
_APP_NEXT = """\
  And for the App: register it with the permissions contents, issues and pull requests (write),
  install it on this repository, then the variable GREENROOM_APP_CLIENT_ID and the secret
  GREENROOM_APP_PRIVATE_KEY in Settings > Secrets and variables > Actions.\
"""
_GITLAB = """\
The jobs have two tokens, each a variable GITLAB_TOKEN in an environment of its own:
  greenroom/write  Developer, api                          accept and publish: comments, the branch,
                                                           the merge request; they run no code
  greenroom/read   Reporter, read_api, read_repository     propose: the code, the issue, the logs;
                                                           it runs the code in a sandbox\
"""
_GITLAB_NEXT = """\
Next:
  1. Settings > Access tokens: the two tokens above.
  2. Settings > CI/CD > Variables: GITLAB_TOKEN twice, protected and masked, one for each
     environment; the model's key, OPENAI_API_KEY, for greenroom/read.
  3. Commit these files to the default branch, push; then the webhook, as docs/ci-gitlab.md says.
  4. greenroom ci doctor\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "forge",
        nargs="?",
        choices=("github", "gitlab"),
        help="which forge (default: the one of the remote `origin`)",
    )
    add_checkout(parser)
    parser.add_argument("--force", action="store_true", help="replace a workflow that is there")
    parser.add_argument(
        "--source",
        metavar="OWNER/REPO@COMMIT",
        required=True,
        help="where Greenroom's own repository is, at which commit (GitLab: or an archive's URL)",
    )
    parser.add_argument(
        "--trigger",
        action="append",
        choices=TRIGGERS,
        help="what sets the bot off (several: give it again; default: all; GitHub)",
    )
    parser.add_argument(
        "--workflow",
        action="append",
        metavar="NAME",
        help="a workflow whose failures count (default: those that run on pull requests)",
    )
    parser.add_argument("--label", default="greenroom", help="(default: greenroom)")
    parser.add_argument(
        "--runner",
        action="append",
        metavar="LABEL",
        help="label of the runner that proposes (several: again; default: ubuntu-latest, docker)",
    )
    parser.add_argument(
        "--app", action="store_true", help="write as a GitHub App, so that checks run by themselves"
    )
    parser.add_argument(
        "--pin",
        action="append",
        default=[],
        metavar="OWNER/REPO@COMMIT",
        help=f"another commit of one of: {', '.join(PINS)}",
    )
    add_settings(parser, ("model", "base_url"))


def main(options: argparse.Namespace, console: Console) -> int:
    top = settings.top_of(options.checkout)
    if (options.forge or _found(options, console)) == "github":
        planned = setup_files.for_github(top, _wanted(options, console), options.force)
        told, later = _GITHUB, _GITHUB_NEXT + f"\n{_APP_NEXT}" * options.app
    else:
        _check_for_gitlab(options)
        planned = setup_files.for_gitlab(
            top,
            options.source,
            str(flags(options).get("model") or ""),
            options.runner or ("docker",),
            60,
            options.label,
            options.force,
            str(flags(options).get("base_url") or ""),
        )
        told, later = _GITLAB, _GITLAB_NEXT
    setup_files.write(top, planned)
    for path, _ in planned.files:
        console.say(f"Wrote {top / path}", "green")
    for text in (*planned.notes, "", *told.splitlines(), "", *later.splitlines()):
        console.say(text)
    return 0


def _check_for_gitlab(options: argparse.Namespace) -> None:
    """Raises UsageError for flags that would be lost."""
    for name in ("trigger", "workflow", "app", "pin"):
        if getattr(options, name):
            raise UsageError(
                f"--{name} is for GitHub only",
                "On GitLab the webhook says what sets the bot off; docs/ci-gitlab.md has it.",
            )


def _found(options: argparse.Namespace, console: Console) -> str:
    origin = remote.of_checkout(options.checkout)
    if origin is None or origin.forge is None:
        where = f"{origin.host} does not tell" if origin else "there is no remote `origin`"
        raise UsageError(
            f"which forge is this for? {where}",
            "Say it: greenroom ci init github, or greenroom ci init gitlab.",
        )
    console.note(f"{origin.path} on {origin.host}", "dim")
    return origin.forge


def _wanted(options: argparse.Namespace, console: Console) -> Wanted:
    pins = dict(map(pinned, options.pin))
    for name in pins:
        if name not in PINS:
            raise UsageError(f"--pin: the workflow does not use {name}", f"It uses: {_names()}.")
    triggers = tuple(dict.fromkeys(options.trigger or TRIGGERS))
    workflows = options.workflow or setup_files.tests_of(settings.top_of(options.checkout))
    if not options.trigger and not workflows:
        triggers = tuple(name for name in triggers if name != "build")
        console.note("No workflow here runs on pull requests, so failed builds are left out.")
    given = flags(options)
    return Wanted(
        action=options.source,
        triggers=triggers,
        label=options.label,
        workflows=workflows,
        runner=options.runner or ("ubuntu-latest",),
        model=str(given.get("model") or ""),
        base_url=str(given.get("base_url") or ""),
        app=options.app,
        pins=pins,
    )


def _names() -> str:
    return ", ".join(PINS)
