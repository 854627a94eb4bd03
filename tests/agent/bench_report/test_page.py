import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from agent.bench.record import Result
from agent.bench.report import stories, write_report
from agent.bench.report.markup import Markup, tag, text
from tests.agent.bench_report.conftest import Made
from tests.agent.bench_report.sample import (
    Sample,
    manifest,
    report,
    started,
    turn,
    verdict,
    write_manifest,
    write_results,
    write_trajectory,
)

VOID = {"meta", "br", "input", "col"}
OURS = {"class", "data-value", "data-status", "href", "id", "scope", "title", "tabindex", "role"}
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<svg onload=alert(1)>",
    "</textarea></title></style><script>alert(1)</script>",
    "<!--",
    "]]>",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "\u202egnp.exe\x1b[31m\x00",
    "[a](javascript:alert(1))",
]


class Page(HTMLParser):
    """Checks that elements close in order, and keeps them and the text."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.ids: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.elements.append((name, values))
        self.ids += [values["id"] or ""] if "id" in values else []
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        self.text += data


def page_of(folder: Path) -> Page:
    write_report(folder)
    return Page((folder / "report.html").read_text("utf-8"))


def assert_harmless(page: Page) -> None:
    """Nothing acts but the one script of ours, and no link leads out of the run's folder."""
    names = [name for name, _ in page.elements]
    assert names.count("script") == 1
    assert not {"img", "iframe", "object", "embed", "base", "form", "link", "a:href"} & set(names)
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith(("on", "xlink")) or key == "src"]
        if "href" in attributes:
            assert name == "a"
            assert re.match(r"(#|\./)", attributes["href"] or "")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("page") / "run"
    return page_of(Sample(folder, tasks=20, attempts=3, turns=4).write())


def test_the_page_is_whole_and_needs_nothing_else(sample: Page) -> None:
    assert_harmless(sample)
    assert len(set(sample.ids)) == len(sample.ids)
    links = {str(each["href"])[1:] for _, each in sample.elements if "href" in each}
    assert {link for link in links if link.startswith("task-")} <= set(sample.ids)


def test_its_policy_allows_its_own_script_and_style_alone(sample: Page) -> None:
    folder = Path(__file__).parents[3] / "agent/bench/report"
    policies = [
        each["content"] for name, each in sample.elements if "Policy" in str(each.get("http-equiv"))
    ]
    (policy,) = policies
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for name in ("page.css", "page.js"):
        digest = hashlib.sha256((folder / name).read_bytes()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "unsafe" not in policy
    assert not [each for _, each in sample.elements if "style" in each]


def test_every_plot_is_told_in_words(sample: Page) -> None:
    plots = [each for name, each in sample.elements if name == "svg"]
    assert len(plots) >= 8
    for plot in plots:
        assert plot["role"] == "img"
        assert set(str(plot["aria-labelledby"]).split()) <= set(sample.ids)


def test_hostile_text_is_shown_and_does_not_act(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for number, evil in enumerate(HOSTILE):
        hostile_run(folder, f"t{number}", evil, number)
    page = page_of(folder)
    assert_harmless(page)
    assert "</script><script>alert(1)</script>" in page.text
    assert "\\u{202e}gnp.exe\\e[31m\\0" in page.text
    assert "\u202e" not in page.text


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(some.text(some.characters(codec=None), max_size=60) | some.sampled_from(HOSTILE))
def test_no_text_acts_on_the_page(tmp_path: Path, evil: str) -> None:
    hostile_run(tmp_path / "run", evil or "t", evil, 0)
    assert_harmless(page_of(tmp_path / "run"))


def hostile_run(folder: Path, task: str, evil: str, number: int) -> None:
    """A run whose every text is hostile; a further task of it where it is there already."""
    attempt = f"attempts/{number}/1"
    write_manifest(folder, manifest([task], 1, **{evil or "k": {evil: [evil]}}))
    if number == 0:
        (folder / "results.jsonl").unlink(missing_ok=True)
    result = Result(
        task, 1, "failed", grade=evil, reason=evil, limit=evil, folder=attempt, started=evil
    )
    write_results(folder, [result])
    call = {"id": "c", "name": evil}
    message = {"role": "assistant", "text": evil, "reasoning": evil, "calls": []}
    failed = report(1, [evil])
    events: list[dict[str, Any]] = [
        started(),
        {"type": "turn.started", "turn": 1},
        {"type": "turn", "turn": 1, "message": message, "usage": {}, "finish": "", "problem": evil},
        {"type": "call", "turn": 1, **call, "arguments": evil},
        {"type": "result", "turn": 1, **call, "ok": False, "text": evil, "seconds": 0.1},
        {"type": "tests", "purpose": "inner", "report": {**failed, "errors": [evil]}},
        {"type": "verdict", "verdict": verdict(evil, [evil]), "tree": ""},
    ]
    write_trajectory(folder / attempt, events)
    (folder / attempt / "patch.diff").write_text(
        f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-{evil}\n+{evil}\n", errors="surrogatepass"
    )


@given(some.text(), some.text())
def test_markup_is_only_what_was_made_as_such(inside: str, value: str) -> None:
    ((name, attributes),) = Page(tag("p", inside, title=value)).elements
    assert (name, list(attributes)) == ("p", ["title"])
    assert text(Markup("<b>")) == "<b>"


def test_a_long_story_is_shortened_and_says_where_the_whole_is(made: Made) -> None:
    folder = made(Result("a", 1, "failed", turns=400, folder="attempts/a/1"))
    from random import Random

    events = [started()]
    for number in range(1, 401):
        events += turn(number, Random(number))
    write_trajectory(folder / "attempts/a/1", events)
    (folder / "attempts/a/1/patch.diff").write_text("+x = 1\n" * 50_000)
    page = page_of(folder)
    assert (folder / "report.html").stat().st_size < 200_000
    assert "turns not shown here." in page.text
    assert "turn 400" in page.text
    assert "predictions.jsonl has all of it" in page.text
    assert "Whole: attempts/a/1/trajectory.jsonl" in page.text


def test_the_room_of_a_page_is_shared_by_its_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Sample(tmp_path / "run", tasks=12, attempts=1, turns=30).write()
    sizes = []
    for room in (12 * 8000, 12 * 2000):
        monkeypatch.setattr(stories, "_PAGE", room)
        write_report(run)
        page = (run / "report.html").read_text()
        sizes.append(len(page) - page.index('id="stories"'))
    assert sizes[0] < 12 * 8000 * 3
    assert sizes[1] < sizes[0] / 2.5


def test_what_a_reader_must_know_stands_before_the_numbers(made: Made) -> None:
    folder = made(
        Result("a", 1, "solved", cost=1.0),
        Result("b", 1, "tampered", limit="turn"),
        Result("c", 1, "infrastructure failed"),
        tasks=("d",),
    )
    said = page_of(folder).text
    assert "This run is not finished. It has the results of 3 of 4 attempts." in said
    assert "1 attempt not in the numbers. 1 infrastructure failed, 0 unsupported." in said
    assert "1 attempt to look at. 1 tampered, 0 suspect." in said
    assert "The cost is not whole" in said
    assert "Ended by a budget: 1 by the turn limit." in said
    assert "50.0% solved" in said.replace("\xa0", " ")


def test_attempts_that_never_ran_are_not_among_the_slowest(made: Made) -> None:
    page = page_of(made(Result("ran", 1, "solved", seconds=3.0), Result("never", 1, "no patch")))
    slowest = page.text.partition("Slowest")[2].partition("All tasks")[0]
    assert "ran" in slowest
    assert "never" not in slowest
    assert "0.0 s" not in page.text.partition("Slowest")[0]


def test_a_run_in_which_nothing_ran_lists_no_slowest(made: Made) -> None:
    assert "Slowest" not in page_of(made(Result("a", 1, "no patch"))).text


def test_a_page_of_a_script_says_so_at_its_top(made: Made) -> None:
    folder = made(Result("a", 1, "solved"))
    write_manifest(folder, manifest(["a"], 1, model={"name": "turns.json", "real": False}))
    assert "Script turns.json, no model" in page_of(folder).text


def test_every_table_that_may_be_cut_shows_it_at_its_edges(sample: Page) -> None:
    """A screen of 390 px shows two columns of the table of tasks."""
    style = (Path(__file__).parents[3] / "agent/bench/report/page.css").read_text()
    wide = style.partition("\n.wide {")[2].partition("}")[0]
    assert wide.count(" scroll") == wide.count(" local") == 2
    assert all("tabindex" in each for _, each in sample.elements if each.get("class") == "wide")
