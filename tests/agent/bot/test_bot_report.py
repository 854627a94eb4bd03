from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.bot import report
from agent.bot.attempt import Seen
from agent.bot.proposal import Proposal
from agent.bot.proposal import Tests as Ran
from agent.bot.redaction import Redaction
from sandbox.patch import FILE, Change, Patch
from tests.agent.bot.proposing import trigger

KEY = "hunter2-hunter2"
EVENTS: list[dict[str, Any]] = [
    {"type": "turn.started", "turn": 1},
    {
        "type": "turn",
        "message": {"reasoning": "I ponder deeply.", "text": f"Here goes {KEY}."},
    },
    {"type": "call", "id": "1", "name": "edit_file", "arguments": '{"old": "tells all"}'},
    {"type": "result", "id": "1", "ok": True, "seconds": 1.0, "text": "what was read"},
    {"type": "malformed", "kind": "call", "problem": "it wrote gibberish"},
]
FOUND = Proposal(
    key="k",
    status="solved",
    reason="1 test failed",
    branch="main",
    commit="1" * 40,
    patch=Patch((Change("a.py", FILE, b"x\n"),)),
    grade="proved",
    before=Ran(("test_a",), 3),
    after=Ran((), 4),
    repaired=("test_a",),
    summary="It said <b>no</b>, ping @dev ![x](https://evil.test/x.png)",
    model="gpt-oss-20b",
    run="r1",
    version="1",
)


def written(folder: Path, *, full: bool, found: Proposal = FOUND, **environ: str) -> str:
    seen = Seen(events=list(EVENTS), diff=f"--- a/a.py\n+++ b/a.py\n+key = '{KEY}'\n")
    hide = Redaction([KEY], {})
    report.write(found, trigger(), seen, folder, hide, full=full, environ=environ)
    return (folder / "report.html").read_text()


def test_without_leave_nothing_of_the_conversation_is_in_it(tmp_path: Path) -> None:
    page = written(tmp_path, full=False)
    for said in ("I ponder", "Here goes", "tells all", "what was read", "gibberish"):
        assert said not in page
    for told in ("edit_file", "turn 1", "test_a", "public_report"):
        assert told in page


def test_with_leave_the_conversation_is_in_it_but_no_secret(tmp_path: Path) -> None:
    page = written(tmp_path, full=True)
    for said in ("I ponder", "Here goes", "tells all", "what was read"):
        assert said in page
    assert KEY not in page
    assert "[redacted]" in page


def test_the_page_needs_nothing_else_and_what_a_model_wrote_does_nothing_there(
    tmp_path: Path,
) -> None:
    page = written(tmp_path, full=True)
    assert "default-src &#x27;none&#x27;" in page
    assert "<b>no</b>" not in page
    assert "src=" not in page


def test_the_summary_sets_nothing_off_and_is_added_to_the_jobs_page(tmp_path: Path) -> None:
    there = tmp_path / "summary.md"
    there.write_text("before\n")
    written(tmp_path, full=False, GITHUB_STEP_SUMMARY=str(there))
    text = there.read_text()
    assert text.startswith("before\n### Greenroom: solved (proved)")
    assert "| after | 4 | 0 |" in text
    assert "@dev" not in text
    assert "![" not in text
    assert "<b>" not in text


def test_an_attempt_that_never_began_has_a_report(tmp_path: Path) -> None:
    found = replace(FOUND, status="broken", patch=Patch(()), before=Ran(), after=Ran(), summary="")
    report.write(found, trigger(), Seen(), tmp_path, Redaction([], {}), full=False, environ={})
    assert "broken" in (tmp_path / "report.html").read_text()
    assert "| tests |" not in report.summary(found)
