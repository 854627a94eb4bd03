"""The words of a pull request: its branch, title, commit and body.

What a person reads here decides whether they believe the patch, so it says how it was proved, in
plain words, and what nobody has looked at. Words of a model or a stranger are quoted as theirs.
"""

import re
import unicodedata
from collections.abc import Callable

from agent.bot import habits, harmless
from agent.bot.config import Config
from agent.bot.forge import NewPull
from agent.bot.proposal import Proposal
from agent.bot.trigger import BRANCHES, BUILD_BRANCHES, Trigger

_SUBJECT = 72
_LISTED, _NOTES = 15, 10
#: Characters of the model's words; one may become four in Markdown.
_SUMMARY = 4_000
#: Forges take bodies of 65,536 characters.
_MOST_BODY = 64_000
PROOF = {
    "proved": "**Proved.** Tests that failed before pass now. In clean containers, each was seen "
    "failing without this change and passing with it, again and again.",
    "reproduced": "**Reproduced.** A test that comes with this change shows the defect: in clean "
    "containers it fails without the change and passes with it.",
    "regression-only": "**Not shown.** Nothing that passed before fails now, and no test shows "
    "that this does what was asked. Read it as you would read a stranger's patch.",
}


def branch_prefix(trigger: Trigger) -> str:
    """How the names of all branches for one place begin; of one build or dispatch, the name."""
    if trigger.place is not None:
        return f"{BRANCHES}{trigger.place.number}-"
    if trigger.build is not None:
        return f"{BUILD_BRANCHES}{trigger.build.commit[:12]}"
    return f"{BRANCHES}task-{_slug(trigger.key)}"


def branch_name(trigger: Trigger) -> str:
    """The branch of a new pull request, in letters that every forge and file system takes."""
    prefix = branch_prefix(trigger)
    return prefix + (_slug(trigger.title) or "fix") if trigger.place else prefix


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:40].strip("-")


def title(trigger: Trigger, proposal: Proposal) -> str:
    """One line of at most 72 characters that mentions and closes nothing."""
    words = harmless.line(trigger.title)  # of what nobody sees nothing is left
    if not words and trigger.build is not None:
        words = f"Mend the build of {harmless.line(proposal.branch)}"
    words = words or harmless.line(trigger.guidance) or "Make the failing tests pass"
    return words if len(words) <= _SUBJECT else words[: _SUBJECT - 3].rstrip() + "..."


def message(trigger: Trigger, proposal: Proposal, *, signed_off: str = "") -> str:
    """The commit's message. `signed_off` is a name with an address where commits carry one."""
    reference = f"Refs #{trigger.place.number}\n\n" if trigger.place else ""
    trailers = [f"Greenroom-Model: {harmless.line(proposal.model) or 'unknown'}"]
    trailers += [f"Greenroom-Run: {harmless.line(proposal.run) or 'unknown'}"]
    if signed_off:
        trailers.append(f"Signed-off-by: {signed_off}")
    return f"{title(trigger, proposal)}\n\n{reference}" + "\n".join(trailers) + "\n"


def pull_request(
    trigger: Trigger,
    proposal: Proposal,
    config: Config,
    read: Callable[[str], bytes | None],
    *,
    base: str,
    branch: str = "",
    run_url: str = "",
) -> NewPull:
    """The pull request of a solved proposal. `read` gives files of the default branch; `base` is
    the branch it goes into, `run_url` where the run's report can be had."""
    parts = {
        "wrong": _wrong(trigger, proposal),
        "change": _change(proposal),
        "proof": _proof(proposal),
        "rest": _rest(trigger, proposal, run_url),
    }
    template = habits.template(read)
    body = habits.filled(template, parts) if template else ""
    if not 0 < len(body) <= _MOST_BODY:
        heads = {"wrong": "Why", "change": "What changed", "proof": "How it was proved", "rest": ""}
        body = "\n\n".join(
            f"## {heads[name]}\n\n{text}" if heads[name] else text for name, text in parts.items()
        )
    return NewPull(
        title=title(trigger, proposal),
        body=body,
        branch=branch or branch_name(trigger),
        base_branch=base,
        draft=config.pull_request != "ready",
    )


def _wrong(trigger: Trigger, proposal: Proposal) -> str:
    lines = []
    if trigger.place is not None:
        # What nothing shows is not to close an issue behind a reader's back.
        shown = proposal.grade in {"proved", "reproduced"} and not trigger.place.pull
        lines.append(f"{'Closes' if shown else 'For'} #{trigger.place.number}.")
    if trigger.build is not None:
        name = harmless.phrase(trigger.build.name)
        lines.append(f"The build {name} failed: {trigger.build.url}")
    if proposal.before.failing:
        lines.append("Failing before:\n" + harmless.names(proposal.before.failing, _LISTED))
    return "\n\n".join(lines) or "Asked for by hand."


def _change(proposal: Proposal) -> str:
    files = harmless.names(proposal.patch.paths, _LISTED)
    if not proposal.summary:
        return files
    return f"In the model's words:\n\n{harmless.quoted(proposal.summary, _SUMMARY)}\n\n{files}"


def _proof(proposal: Proposal) -> str:
    before, after = proposal.before, proposal.after
    lines = [PROOF[proposal.grade]]
    lines.append(
        "| clean room | passing | failing |\n|---|---|---|\n"
        f"| before | {before.passing} | {len(before.failing)} |\n"
        f"| after | {after.passing} | {len(after.failing)} |"
    )
    if proposal.repaired:
        ids = harmless.names(proposal.repaired, _LISTED)
        lines.append(f"Failing before, passing after:\n{ids}")
    if proposal.added_tests:
        ids = harmless.names(proposal.added_tests, _LISTED)
        lines.append(f"Tests of this change, failing without it and passing with it:\n{ids}")
    if after.failing:
        lines.append("Failing before and after:\n" + harmless.names(after.failing, _LISTED))
    return "\n\n".join(lines)


def _rest(trigger: Trigger, proposal: Proposal, run_url: str) -> str:
    unseen = []
    if trigger.place and not trigger.place.pull and proposal.grade == "proved":
        # Whatever was red counts as repaired, also what the issue is not about.
        unseen.append(f"whether the tests that failed are what #{trigger.place.number} is about")
    unseen += [
        "anything that the tests do not run, their speed, and how the code reads",
        "the repository's other checks, which run on this pull request or are for you to start",
        *(harmless.phrase(note) for note in proposal.notes[:_NOTES]),
    ]
    cost = "" if proposal.cost is None else f", ${proposal.cost:.4f}"
    turns = f"{proposal.turns} turn{'s' * (proposal.turns != 1)}"
    spent = f"{turns}, {proposal.tokens:,} tokens, {proposal.seconds:.0f} s{cost}"
    made = harmless.phrase(f"Made by Greenroom {proposal.version} with {proposal.model}", 400)
    report = f"; [the run and its report]({run_url})" if run_url else ""
    return (
        "**Not looked at:**\n"
        + "\n".join(f"- {each}" for each in unseen)
        + f"\n\n<sub>{made}: {spent}{report}. "
        "A comment `/greenroom retry` with words of guidance tries again.</sub>"
    )
