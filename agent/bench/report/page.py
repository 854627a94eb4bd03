"""report.html: one file that needs nothing else, no network and, for its numbers, no script.

It is written piece by piece, so that the stories of a large run are never in memory at once. Its
policy lets nothing run but the one script whose hash it names: text of a model or a repository is
escaped, and could not act if it were not.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

from agent.bench.report.attempts import Attempt, RunFolder
from agent.bench.report.evidence import Evidence
from agent.bench.report.files import replaced
from agent.bench.report.markup import Markup, tag
from agent.bench.report.overview import damaged, headline, notices, outcomes, repeated
from agent.bench.report.provenance import provenance
from agent.bench.report.spread import distributions, extremes
from agent.bench.report.stories import stories
from agent.bench.report.summary import Summary
from agent.bench.report.tasktable import rows
from agent.cli.text import count

_HERE = Path(__file__).parent


def write_page(
    run: RunFolder,
    summary: Summary,
    found: Iterator[tuple[Attempt, Evidence]],
    path: Path,
) -> None:
    """Writes the page; takes what each attempt left, in the order of the run's attempts, and keeps
    none of it."""
    with replaced(path) as stream:
        stream.writelines(frame(f"{run.author} on {run.suite}", _body(run, summary, found)))


def frame(title: str, body: Iterator[object]) -> Iterator[str]:
    """A whole document around a body."""
    style = Markup((_HERE / "page.css").read_text("utf-8"))
    script = Markup((_HERE / "page.js").read_text("utf-8"))
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    yield "<!doctype html>\n"
    yield '<html lang="en">\n'
    yield tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", style),
    )
    yield "\n<body>\n"
    for part in body:
        if part is not None:
            yield f"{part}\n"
    yield tag("script", script)
    yield "\n</body>\n</html>\n"


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _body(
    run: RunFolder, summary: Summary, found: Iterator[tuple[Attempt, Evidence]]
) -> Iterator[object]:
    yield tag(
        "header",
        tag("p", "Greenroom benchmark report", class_="over"),
        tag("h1", run.author),
        tag("p", "on ", tag("b", run.suite), _when(run)),
    )
    yield Markup("<main>")
    yield headline(run, summary)
    yield from notices(run, summary)
    if summary.attempts:
        yield outcomes(summary)
    yield repeated(run, summary)
    yield distributions(run, summary)
    yield extremes(run, summary)
    yield Markup('<section id="tasks"><h2>All tasks</h2>')
    told = count(len(run.tasks), "task")
    several = "; numbers are sums over a task's attempts" if run.planned > 1 else ""
    yield tag("p", f"{told}{several}. A task's name leads to its story.", class_="quiet")
    yield Markup('<div class="wide" tabindex="0"><table class="tasks">')
    yield from rows(run)
    yield Markup("</table></div></section>")
    yield Markup('<section id="stories"><h2>Stories</h2>')
    known = len(run.damages)
    yield from stories(run, found)
    # They are known only now that the attempts were read.
    yield damaged(run.damages[known:])
    yield Markup("</section>")
    yield provenance(run)
    yield Markup("</main>")
    yield tag("footer", tag("p", "What each number means: docs/reports.md of Greenroom."))


def _when(run: RunFolder) -> str:
    """From when to when its attempts ran."""
    started = min((each.started for each in run.attempts if each.started), default="")
    ended = max((each.ended for each in run.attempts if each.ended), default="")
    if not started or not ended:
        return ""
    start, end = started[:16].replace("T", " "), ended[:16].replace("T", " ")
    return f", {start} to {end[11:] if start[:10] == end[:10] else end} UTC"
