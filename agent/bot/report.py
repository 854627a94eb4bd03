"""What a person can read of an attempt: report.html, an artifact, and a summary for the job's page.

Both may be the world's to read: no secret stands in them, and no word of the model's reasoning and
conversation unless the repository is private or its configuration says so.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.bench.report.files import replaced
from agent.bench.report.markup import Markup, tag
from agent.bench.report.page import frame
from agent.bench.report.stories import change, clean_rooms, readable
from agent.bench.report.turns import turns
from agent.bot import harmless
from agent.bot.attempt import Seen
from agent.bot.proposal import Proposal, Tests
from agent.bot.trigger import Trigger
from agent.cli.text import count, duration
from agent.trajectory import Event

FILE = "report.html"
#: Characters of the diff, of the turns and of what clean rooms said; tests that are named.
_DIFF, _TURNS, _ROOMS, _NAMED = 400_000, 2_000_000, 40_000, 200
Hide = Callable[[str], str]


def write(
    found: Proposal,
    trigger: Trigger,
    seen: Seen,
    folder: Path,
    hide: Hide,
    *,
    full: bool,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Writes report.html into `folder` and adds the summary to GitHub's page of the job. Without
    `full` nothing that the model thought, wrote or was told is in it but its last words."""
    events = [_hidden(event if full else _bare(event), hide) for event in seen.events]
    shown = Shown(found, trigger, events, hide(seen.diff), full)
    with replaced(folder / FILE) as stream:
        stream.writelines(frame(f"Greenroom: {found.status}", shown.body()))
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(summary(found))


def summary(found: Proposal) -> str:
    """What came of an attempt, in Markdown that sets nothing off."""
    grade = f" ({found.grade})" if found.grade else ""
    lines = [f"### Greenroom: {found.status}{grade}"]
    if found.reason:
        lines.append(harmless.quoted(found.reason, 4_000))
    if found.before != Tests() or found.after != Tests():
        lines.append(
            "| tests | passing | failing |\n|---|---|---|\n"
            f"| before | {found.before.passing} | {len(found.before.failing)} |\n"
            f"| after | {found.after.passing} | {len(found.after.failing)} |"
        )
    if found.patch:
        paths = "\n".join(f"- {harmless.phrase(path)}" for path in found.patch.paths[:20])
        more = len(found.patch) - 20
        lines.append(f"Changed:\n\n{paths}" + (f"\n- and {more} more" if more > 0 else ""))
    if found.summary:
        lines.append(f"In the model's words:\n\n{harmless.quoted(found.summary, 4_000)}")
    lines.append(harmless.phrase(_spent(found)))
    return "\n\n".join(lines) + "\n"


class Shown:
    """The page of one attempt."""

    def __init__(
        self, found: Proposal, trigger: Trigger, events: Sequence[Event], diff: str, full: bool
    ) -> None:
        self._found = found
        self._trigger = trigger
        self._events = events
        self._diff = diff
        self._full = full

    def body(self) -> Iterator[object]:
        found = self._found
        yield tag(
            "header",
            tag("p", "Greenroom's attempt", class_="over"),
            tag("h1", found.status),
            tag("p", self._asked()),
        )
        yield Markup("<main>")
        yield tag("p", _spent(found), class_="facts")
        if found.reason:
            yield tag("p", found.reason, class_="reason")
        if found.summary:
            yield tag("section", tag("h2", "In the model's words"), tag("p", found.summary))
        yield self._tests()
        if found.notes:
            notes = (tag("li", note) for note in found.notes)
            yield tag("section", tag("h2", "To know"), tag("ul", *notes))
        yield Markup('<section class="story"><h2>The attempt</h2>')
        yield readable(lambda: clean_rooms(self._events, _ROOMS))
        yield change(self._diff.encode("utf-8"), _DIFF, "proposal.json has all of it")
        if not self._full:
            yield tag(
                "p",
                "What the model thought, wrote and read is left out, for everybody can read this. "
                'It is in the report with public_report = "full" in the table [ci].',
                class_="quiet",
            )
        yield readable(lambda: turns(self._events, _TURNS))
        yield Markup("</section></main>")

    def _asked(self) -> str:
        trigger, found = self._trigger, self._found
        what = f"#{trigger.place.number}" if trigger.place else trigger.source
        if trigger.title:
            what += f", {trigger.title}"
        on = f"; on {found.branch} at {found.commit[:12]}" if found.branch else ""
        return f"{trigger.actor.login} asked: {trigger.action} {what}{on}"

    def _tests(self) -> Markup | None:
        found = self._found
        parts = [
            tag("p", f"{when}: {run.passing} passing, {len(run.failing)} failing.")
            for when, run in (("Before", found.before), ("After", found.after))
            if run != Tests()
        ]
        for head, ids in (
            ("Failing before, passing after", found.repaired),
            ("Added, failing without the change and passing with it", found.added_tests),
            ("Failing after", found.after.failing),
        ):
            if ids:
                more = [f"and {len(ids) - _NAMED} more"] if len(ids) > _NAMED else []
                items = (tag("li", each) for each in (*ids[:_NAMED], *more))
                parts += [tag("h3", head), tag("ul", *items)]
        return tag("section", tag("h2", "Tests"), *parts) if parts else None


def _spent(found: Proposal) -> str:
    facts = [count(found.turns, "turn"), f"{found.tokens:,} tokens", duration(found.seconds)]
    if found.cost is not None:
        facts.append(f"${found.cost:.4f}")
    facts += [found.model or "no model", f"run {found.run}" if found.run else "no run"]
    return " · ".join([*facts, f"Greenroom {found.version}"])


def _bare(event: Event) -> Event:
    """An event without what was said in the conversation, but with what was done and found."""
    match event["type"]:
        case "turn":
            message = {**event["message"], "reasoning": "", "text": ""}
            return {**event, "message": message}
        case "call":
            return {**event, "arguments": ""}
        case "result":
            return {**event, "text": ""}
        case "malformed":
            return {**event, "problem": str(event["kind"])}
        case "cut":
            return {**event, "detail": str(event["reason"])}
        case _:
            return event


def _hidden(value: Any, hide: Hide) -> Any:
    """Data with `hide` done to each of its texts."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {name: _hidden(each, hide) for name, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each, hide) for each in value]
    return value
