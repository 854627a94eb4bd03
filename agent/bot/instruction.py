"""The task's words for a model: what the actor asks, and the reports of strangers as data.

Only the actor's own words are instructions: their permission was asked. An issue, a log and the
names in them are shown as what they are, texts that anybody may have written.
"""

import re
from collections.abc import Sequence

from agent.bot import harmless
from agent.bot.forge import FailedJob, Remark
from agent.bot.trigger import Trigger
from agent.settingsfile import Reader

#: Of a build: jobs that are told of, characters of the end of each one's log, tests that are named.
_JOBS, _LOG, _NAMED = 3, 6_000, 50
#: Characters of what an actor says, and of a report.
_GUIDANCE, _REPORT = 8_000, 16_000
_CHANGELOGS = tuple(
    f"{name}{ending}"
    for name in ("CHANGELOG", "CHANGES", "HISTORY", "NEWS", "Changelog", "changelog")
    for ending in (".md", ".rst", ".txt", "")
)
_RULES = """\
What counts for this change:
- Find the cause in the code and mend that, with as small a change as does it. Leave everything \
else as it is: above all lockfiles, the configuration of checks, releases and editors.
- Wherever a test can show the fault, write one, in a new test file beside the tests that are \
there: it has to fail without your change and pass with it."""
_END = """\
- When you end, say for a reader of the pull request what was wrong, what you changed and why."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
#: How runners of tests name in their output the tests that failed.
_FAILED = (
    re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - .*)?$"),  # pytest
    re.compile(r"^(?:FAIL|ERROR): \S+ \(([\w.]+)\)$"),  # unittest
    re.compile(r"^\s*--- FAIL: (\S+)"),  # Go
    re.compile(r"^test (\S+) \.\.\. FAILED$"),  # Rust
    re.compile(r"^\s*not ok \d+ - (.+?)(?: # .*)?$"),  # TAP
    re.compile(r"^\s*● (.+ › .+)$"),  # Jest
    re.compile(r"^\[ERROR\]\s+(\w+\.\w+):\d+"),  # Maven
)


def instruction(
    trigger: Trigger,
    read: Reader,
    jobs: Sequence[FailedJob] = (),
    remarks: Sequence[Remark] = (),
) -> str:
    """What a model is told to do. `read` gives files of the commit that is worked on; `jobs` are
    those of a build that failed, `remarks` those of a review."""
    parts = [_asked(trigger)]
    if trigger.title or trigger.text:
        author = trigger.author.login if trigger.author else ""
        parts.append(harmless.for_model(trigger.title, trigger.text, author, _REPORT))
    if remarks:
        parts.append(_review(trigger, remarks))
    if trigger.build:
        parts.append(_build(trigger.build.name, jobs))
    rules = [_RULES]
    if changelog := _changelog(read):
        rules.append(
            f"- This repository keeps {changelog}: add one line on this change under its newest "
            "heading, in the style of the lines there."
        )
    parts.append("\n".join([*rules, _END]))
    return "\n\n".join(parts)


def failing_tests(log: str) -> tuple[str, ...]:
    """The tests that the log of a job names as failed, as it names them."""
    found: dict[str, None] = {}
    for line in _plain(log).splitlines():
        for pattern in _FAILED:
            if named := pattern.match(line):
                found[named[1]] = None
    return tuple(found)


def _asked(trigger: Trigger) -> str:
    who = f"A maintainer of this repository ({harmless.line(trigger.actor.login, 60)})"
    if trigger.build:
        what = "The repository's own checks failed. Make the tests pass that fail."
    elif trigger.review:
        what = f"{who} has reviewed the change that is there already. Answer it with changes."
    elif trigger.title or trigger.text:
        what = f"{who} asks that what the report below describes be mended."
    elif trigger.guidance:
        what = f"{who} asks for a change."
    else:
        what = "Make the failing tests of this repository pass."
    if not trigger.guidance.strip():
        return what
    said = trigger.guidance.strip()[:_GUIDANCE]
    return f"{what} In their words:\n\n{said}"


def _review(trigger: Trigger, remarks: Sequence[Remark]) -> str:
    """The reviewer's remarks, whose permission was asked as well."""
    lines = ["The remarks of the review, each with its place:"]
    for remark in remarks:
        where = remark.path + (f", line {remark.line}" if remark.line is not None else "")
        lines.append(f"- {where}: {remark.text.strip()[:_GUIDANCE]}" if where else remark.text)
    return "\n".join(lines)


def _build(name: str, jobs: Sequence[FailedJob]) -> str:
    """What is known of a failed build: whoever wrote the code wrote what stands in its log."""
    parts = []
    for job in jobs[:_JOBS]:
        log = _plain(job.log)
        title = f"The job {job.name} of {name} failed"
        named = failing_tests(log)[:_NAMED]
        tests = "Tests that it names as failed:\n" + "\n".join(named) + "\n\n" if named else ""
        text = f"{tests}The end of its log:\n\n{log[-_LOG:]}"
        parts.append(harmless.for_model(title, text, "The job", len(text) + 1))
    if len(jobs) > _JOBS:
        parts.append(f"{len(jobs) - _JOBS} more jobs failed.")
    return "\n\n".join(parts)


def _plain(log: str) -> str:
    return _ANSI.sub("", log).replace("\r\n", "\n").strip()


def _changelog(read: Reader) -> str:
    """The file in which the repository notes its changes, empty where it keeps none."""
    for path in _CHANGELOGS:
        content = read(path)
        if content and re.search(rb"unreleased|\d+\.\d+", content[:4096], re.IGNORECASE):
            return path
    return ""
