"""The live view of an attempt: a reading of its events, as they happen.

On a terminal: reasoning dim as it streams, calls and their results in short blocks, and a status
line. Piped: the same in plain lines, without the status line. `-q` leaves only the end, `-v` shows
results, test runs and reflections whole.
"""

import json
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from agent.cli.console import Console
from agent.cli.text import count, duration, one_line, visible
from agent.cli.ticker import Ticker, told
from agent.models.malformed import KINDS
from agent.trajectory import Event
from tasks.tally import TestProgress

_BLOCK_LINES = 6
_ARGUMENT_WIDTH = 100
_LINE_WIDTH = 400
_PROGRESS = tuple(field.name for field in fields(TestProgress))


class LiveView:
    """A listener for a `Recorder` that prints."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._streaming = ""
        self._column = 0
        self._turn = 0
        self._tokens = 0
        self._tests = ""
        self._candidates = 0
        self._doing = ""
        self._refused: set[str] = set()
        self._start = time.monotonic()
        self._ticker = Ticker(console)

    def __call__(self, event: Event) -> None:
        shown = self._handlers().get(event["type"])
        if shown and not self._console.quiet:
            shown(event)
            self._status()

    def _handlers(self) -> dict[str, Callable[[Event], None]]:
        return {
            "note": lambda event: self._line(event["text"], "yellow"),
            "sandbox": self._sandbox,
            "network": self._network,
            "progress": self._progress,
            "testing": self._testing,
            "delta": self._delta,
            "output": self._output,
            "retry": self._retry,
            "turn.started": self._turn_started,
            "cut": self._cut,
            "malformed": self._malformed,
            "turn": self._turn_taken,
            "call": self._call,
            "result": self._result,
            "candidate": self._candidate,
            "message": self._message,
            "checkpoint": self._checkpoint,
            "epoch": self._epoch,
            "tests": self._test_run,
            "verdict": self._verdict,
        }

    # What is said on the way.

    def _sandbox(self, event: Event) -> None:
        note = event.get("rebuild", "")
        if note.startswith("failed"):
            self._line(f"the rebuild step {note}", "yellow")
        elif self._console.verbose and note:
            self._line(f"rebuild: {note}", "dim")

    def _network(self, event: Event) -> None:
        # Programs try again, and the line would say nothing new.
        if event["outcome"] == "refused" and event["why"] not in self._refused:
            self._refused.add(event["why"])
            self._line(f"  the way out refused: {event['why']}", "dim")

    def _progress(self, event: Event) -> None:
        self._doing = event["text"]
        self._line(event["text"].rstrip(".") + " ...", "dim")

    def _testing(self, event: Event) -> None:
        progress = TestProgress(**{name: event[name] for name in _PROGRESS})
        self._doing = told(progress)
        if not self._console.live and self._ticker.due(progress):
            self._line(f"  {self._doing}", "dim")

    def _output(self, event: Event) -> None:
        if self._console.verbose:
            self._stream("output", event["text"], "dim")

    def _retry(self, event: Event) -> None:
        wait = f"; trying again in {duration(event['seconds'])}" if event["seconds"] else ""
        self._line(f"{event['reason']}{wait}", "yellow")

    def _turn_started(self, event: Event) -> None:
        self._turn = event["turn"]
        self._candidates = 0
        self._doing = "the model thinks"
        self._line("")
        self._line(f"turn {self._turn}", "bold")

    def _delta(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "call":
            self._doing = f"the model writes a call of {visible(event['text'])}"
            return
        self._stream(kind, event["text"], "dim" if kind == "reasoning" else "")

    def _cut(self, event: Event) -> None:
        what = f"reasoning cut after about {count(event['tokens'], 'token')}: {event['detail']}"
        if event["saved"]:
            what += f"; up to {count(event['saved'], 'token')} saved"
        on = {"closed": "; it has to act now", "asked": "; it is told to act", "ended": ""}
        self._line(what + on[event["way"]], "yellow")

    def _malformed(self, event: Event) -> None:
        self._streaming = ""
        self._line(f"malformed: {KINDS[event['kind']]}; the turn is asked for again", "yellow")

    def _turn_taken(self, event: Event) -> None:
        usage = event["usage"]
        self._tokens = usage["input_tokens"] + usage["output_tokens"]
        message = event["message"]
        # What did not stream is shown now: of a log that is read, or of a candidate.
        if self._streaming not in {"reasoning", "text"}:
            for kind, style in (("reasoning", "dim"), ("text", "")):
                if message[kind].strip():
                    self._line(message[kind].strip(), style)
        self._streaming = ""
        self._break()
        if event["finish"] == "length":
            self._line("the answer was cut at its length limit", "yellow")
        if event.get("problem"):
            self._line(f"the turn could not be used: {event['problem']}", "yellow")

    def _call(self, event: Event) -> None:
        self._doing = f"running {event['name']}"
        width = 4000 if self._console.verbose else _ARGUMENT_WIDTH
        self._line(f"> {event['name']} {_arguments(event['arguments'], width)}", "cyan")

    def _result(self, event: Event) -> None:
        self._doing = ""
        # A command's output was shown while it came: what is left to say is how it ended.
        seen = self._streaming == "output" and event["name"] in {"shell", "container.exec"}
        self._streaming = ""
        lines = event["text"].strip("\n").split("\n")
        limit = len(lines) if self._console.verbose else _BLOCK_LINES
        if seen:
            lines = lines[:1]
        for line in lines[:limit]:
            shown = line if len(line) <= _LINE_WIDTH else line[:_LINE_WIDTH] + " ..."
            self._line("  " + shown, "dim" if event["ok"] else "yellow")
        if len(lines) > limit:
            self._line(f"  [{count(len(lines) - limit, 'more line')}; -v shows all]", "dim")

    def _candidate(self, event: Event) -> None:
        self._candidates = event["number"]
        self._doing = f"candidate {event['number']}"
        if self._console.verbose:
            calls = " ".join(f"{name} {_arguments(text, 200)}" for name, text in event["calls"])
            failing = event["failing"]
            said = "cannot be used" if failing is None else f"{count(failing, 'test')} failing"
            self._line(f"  candidate {event['number']}: {said}: {calls}", "dim")
        elif not self._console.live and event["number"] % 50 == 0:
            self._line(f"  {event['number']} candidates tried", "dim")

    def _message(self, event: Event) -> None:
        message = event["message"]
        if message["role"] != "user":
            return
        if self._console.verbose or message["origin"] in {"guidance", "notice"}:
            label = {"reflection": "to the model"}.get(message["origin"], message["origin"])
            self._line(f"{label}: {message['text']}", "dim")

    def _checkpoint(self, event: Event) -> None:
        if event["problem"]:
            self._line(f"the model's notes cannot be used: {event['problem']}", "yellow")

    def _epoch(self, event: Event) -> None:
        match event["reason"]:
            case "circles":
                self._line("the work goes in circles: a new start", "yellow")
            case "context" | "overflow":
                self._line(_shortened(event), "yellow")
        if self._console.verbose:
            for message in event["messages"]:
                self._line(f"[{message['role']}] {message['text']}", "dim")

    # Tests and verdicts.

    def _test_run(self, event: Event) -> None:
        report = event["report"]
        results = report["results"]
        failing = [r["id"] for r in results if r["status"] in {"failed", "error"}]
        passed = sum(1 for result in results if result["status"] in {"passed", "xpassed"})
        if self._candidates:
            self._line(f"  {count(self._candidates, 'candidate')} tried", "dim")
        self._tests = f"{passed} passing, {len(failing)} failing"
        style = "green" if results and not failing and not report["errors"] else "red"
        self._line(f"tests: {self._tests} ({duration(report['seconds'])})", style)
        for id in failing[: 20 if self._console.verbose else 5]:
            self._line(f"  failing: {id}", "dim")
        if len(failing) > 5 and not self._console.verbose:
            self._line(f"  and {len(failing) - 5} more", "dim")
        for error in report["errors"][:3]:
            last = error.strip().splitlines()[-1:] or [""]
            self._line(f"  could not be run: {last[0]}", "dim")
        if not report["complete"] and report["reason"]:
            self._line(f"  {report['reason']}", "yellow")

    def _verdict(self, event: Event) -> None:
        self._doing = ""
        verdict = event["verdict"]
        good = verdict["status"] == "solved"
        grade = f", {verdict['grade']}" if verdict["grade"] else ""
        self._line(
            f"clean room: {verdict['status']}{grade} ({duration(verdict['seconds'])})",
            "green" if good else "red",
        )
        for reason in verdict["reasons"]:
            self._line(f"  {reason}", "dim" if good else "yellow")

    # How it is printed.

    def _line(self, text: str, *styles: str) -> None:
        self._break()
        self._console.say(text, *styles)

    def _stream(self, kind: str, text: str, style: str) -> None:
        """Writes a piece of a text where the piece before it ended."""
        if kind != self._streaming:
            self._break()
            self._streaming = kind
        shown = visible(text)
        self._console.write(self._console.style(shown, style))
        self._column = 0 if shown.endswith("\n") else 1

    def _break(self) -> None:
        if self._column:
            self._console.write("\n")
            self._column = 0

    def _status(self) -> None:
        if self._column or not (self._turn or self._doing):
            return
        parts = [f"turn {self._turn}", f"{self._tokens:,} tokens"] if self._turn else []
        parts.append(duration(time.monotonic() - self._start))
        if self._tests:
            parts.append(self._tests)
        self._console.status(" | ".join([*parts, *([self._doing] if self._doing else [])]))


#: What an epoch counts as shrunk, in words.
_SHRUNK = {
    "results": "result",
    "reports": "old report",
    "reasoning": "turn's reasoning",
    "arguments": "turn's arguments",
}


def _shortened(event: Event) -> str:
    """Why an epoch began, and what of the conversation is gone."""
    why = {
        "context": "the conversation fills the model's context",
        "overflow": "the conversation is too long for the model",
    }[event["reason"]]
    if "before" not in event:
        return f"{why}: a new start"
    said = f"{why}: cut from about {event['before']:,} to {count(event['after'], 'token')}"
    shrunk = event["shrunk"]
    if cut := [count(shrunk[kind], noun) for kind, noun in _SHRUNK.items() if kind in shrunk]:
        said += f"; {', '.join(cut)} cut"
    if "turns" in shrunk:
        said += f"; {count(shrunk['turns'], 'old turn')} left out"
    return said + ("; the model's notes stand for what is gone" if "checkpoint" in event else "")


def _arguments(text: str, width: int) -> str:
    """A call's arguments in short: the values, the longest last."""
    try:
        values: Any = json.loads(text)
    except ValueError:
        return one_line(text, width)
    if not isinstance(values, dict):
        return one_line(text, width)
    ordered = sorted(values.items(), key=lambda item: len(str(item[1])))
    parts = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in ordered]
    return one_line(" ".join(parts), width)
