"""The workflow that sets the bot up on GitHub, made from the templates in `workflows/github`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from sandbox.errors import UsageError

PATH = ".github/workflows/greenroom.yml"
TRIGGERS = ("label", "comment", "build", "review", "dispatch")

#: Actions of others that the workflow uses, each at a commit: a tag can be moved, a commit cannot.
PINS: Mapping[str, tuple[str, str]] = {
    "actions/upload-artifact": ("043fb46d1a93c77aae656e7c1c64a875d1fc6a0a", "v7.0.1"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/create-github-app-token": ("bcd2ba49218906704ab6c1aa796996da409d3eb1", "v3.2.0"),
}
_PINNED = re.compile(r"([\w.-]+/[\w.-]+(?:/[\w.-]+)*)@([0-9a-f]{40}|[0-9a-f]{64})")
_LABEL = re.compile(r"[\w.:-][\w .:/-]{0,48}[\w.:-]?")
_RUNNER = re.compile(r"[\w.-]{1,100}")
#: Minutes that the job of propose has beyond its step, and the step beyond the attempt.
_SPARE = 15


@dataclass(frozen=True)
class Wanted:
    """What a workflow is to do. `action` is Greenroom's own, OWNER/REPO@COMMIT; `pins` replace
    those of `PINS`; `workflows` are the names of those whose failures count; `minutes` is what the
    attempt itself may take."""

    action: str
    triggers: Sequence[str] = TRIGGERS
    label: str = "greenroom"
    workflows: Sequence[str] = ()
    runner: Sequence[str] = ("ubuntu-latest",)
    model: str = ""
    base_url: str = ""
    minutes: int = 60
    app: bool = False
    pins: Mapping[str, str] = field(default_factory=dict)


def pinned(text: str) -> tuple[str, str]:
    """The name and the commit of an action, from OWNER/REPO@COMMIT. Raises UsageError for a tag, a
    branch or a short id."""
    found = _PINNED.fullmatch(text)
    if not found:
        raise UsageError(
            f"{text!r} is no action at a commit",
            "Write OWNER/REPO@COMMIT with the full id: a tag or a branch can be moved by others.",
        )
    return found[1], found[2]


def render(wanted: Wanted) -> str:
    """The workflow's text. Raises UsageError for what cannot be written into it safely."""
    pinned(wanted.action)
    if not _LABEL.fullmatch(wanted.label):
        raise UsageError(
            f"the label {wanted.label!r} cannot be written into a workflow",
            "Letters, digits, spaces and . : / - only, at most 50.",
        )
    if not wanted.runner or not all(_RUNNER.fullmatch(name) for name in wanted.runner):
        raise UsageError(f"no labels of a runner: {', '.join(wanted.runner)!r}")
    uses = {name: _use(name, wanted.pins) for name in PINS}
    parts = [_trigger(name, wanted) for name in wanted.triggers]
    blocks = {
        "TRIGGERS": "\n".join(on for on, _ in parts),
        "CONDITION": " ||\n".join(f"      ({condition})" for _, condition in parts),
        "ACCEPT_APP": _app_step(uses, "read") if wanted.app else "",
        "PUBLISH_APP": _app_step(uses, "write") if wanted.app else "",
        "TOKEN": "          token: ${{ steps.app.outputs.token }}" if wanted.app else "",
        "MODEL": _model(wanted),
    }
    words = {
        "ACTION": wanted.action,
        "UPLOAD": uses["actions/upload-artifact"],
        "DOWNLOAD": uses["actions/download-artifact"],
        "RUNNER": wanted.runner[0] if len(wanted.runner) == 1 else _list(wanted.runner),
        "STEP_MINUTES": str(wanted.minutes + _SPARE),
        "JOB_MINUTES": str(wanted.minutes + 2 * _SPARE),
    }
    lines = [_line(line, blocks, words) for line in _template("jobs").splitlines()]
    return "\n".join(line for line in lines if line is not None) + "\n"


def _template(name: str) -> str:
    return (files("agent.bot") / "workflows" / "github" / f"{name}.yml").read_text("utf-8")


def _line(line: str, blocks: Mapping[str, str], words: Mapping[str, str]) -> str | None:
    """A line of the template as it is written, None for a block that is left out."""
    block = re.fullmatch(r"@(\w+)@", line)
    if block:
        return blocks[block[1]] or None
    return re.sub(r"@([A-Z_]+)@", lambda found: words[found[1]], line)


def _trigger(name: str, wanted: Wanted) -> tuple[str, str]:
    """What of `on:` a trigger needs, and its part of the condition of accept."""
    if name not in TRIGGERS:
        raise UsageError(f"unknown trigger {name!r}", f"Known: {', '.join(TRIGGERS)}.")
    if name == "build" and not wanted.workflows:
        raise UsageError(
            "the trigger build needs the names of the workflows whose failures count",
            "Give --workflow NAME, the `name:` that it has in its own file.",
        )
    comment, _, rest = _template(name).partition("on:\n")
    on, _, condition = rest.partition("if: ")
    on = on.replace("@WORKFLOWS@", _list(wanted.workflows))
    label = "'" + wanted.label.replace("'", "''") + "'"
    return f"  {comment}{on}".rstrip(), condition.strip().replace("@LABEL@", label)


def _use(name: str, pins: Mapping[str, str]) -> str:
    commit, version = PINS[name]
    return f"{name}@{pins[name]}" if name in pins else f"{name}@{commit} # {version}"


def _app_step(uses: Mapping[str, str], contents: str) -> str:
    return f"""\
      # An App's token instead of the job's: checks run by themselves on what it opens.
      - id: app
        uses: {uses["actions/create-github-app-token"]}
        with:
          client-id: ${{{{ vars.GREENROOM_APP_CLIENT_ID }}}}
          private-key: ${{{{ secrets.GREENROOM_APP_PRIVATE_KEY }}}}
          permission-contents: {contents}
          permission-issues: write
          permission-pull-requests: write"""


def _model(wanted: Wanted) -> str:
    lines = ["          api-key: ${{ secrets.GREENROOM_API_KEY }}"]
    if wanted.base_url:
        lines.insert(0, f"          base-url: {_text(wanted.base_url)}")
    if wanted.model:
        lines.insert(0, f"          model: {_text(wanted.model)}")
    return "\n".join(lines)


def _text(value: str) -> str:
    """A text of YAML; its JSON form is one. What Actions would evaluate is refused."""
    if "${{" in value:
        raise UsageError(f"{value!r} holds an expression of GitHub Actions", "Write it out.")
    return json.dumps(value, ensure_ascii=True)


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"
