"""What the CI bot takes from a label on an issue to an open pull request.

A fake GitHub with a real git server stands on this machine, the model is a script, and the three
jobs run one after another, each as a process of its own, as on a forge: so all that is measured is
the bot, its sandboxes and the tests, which are told apart. Run it from the checkout:

    python -m benchmarks.bot [--rounds 5]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import HEAD, Row
from tests.agent.bench import FILES, FIX
from tests.agent.bot import github_events as events
from tests.agent.bot.githubs import Desk, desk

STEPS = ("accept", "propose", "publish")
BOUND = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured after one to warm up")
    rounds = parser.parse_args().rounds
    seen = [one_round(number) for number in range(rounds + 1)][1:]
    print(HEAD)
    for name in (*STEPS, "tests"):
        print(Row(f"{name}, median", statistics.median(each[name] for each in seen), "s").line())
    worst = max(each["beyond the tests"] for each in seen)
    row = Row("from a label to a pull request, beyond its tests, worst", worst, "s", bound=BOUND)
    print(row.line())
    return 0 if row.holds else 1


def one_round(number: int) -> dict[str, float]:
    """One issue, labelled once; seconds by step. Raises where no pull request came of it."""
    with tempfile.TemporaryDirectory() as folder, desk(Path(folder) / "forge") as here:
        here.project.git.commit("main", FILES, "Begin")
        here.project.roles["dev"] = "write"
        environment = _environment(here, Path(folder))
        times: dict[str, float] = {}
        for step in STEPS:
            begun = time.monotonic()
            words = ["ci", "github", step, "-o", f"{folder}/proposal"]
            words += ["-m", f"script:{folder}/script.json"] if step == "propose" else []
            subprocess.run([_program(), *words], env=environment, check=True, capture_output=True)
            times[step] = time.monotonic() - begun
        if not here.forge().open_pulls("greenroom/"):
            raise SystemExit(f"round {number}: no pull request was opened")
        times["tests"] = _tests(Path(folder))
        times["beyond the tests"] = sum(times[step] for step in STEPS) - times["tests"]
        return times


def _program() -> str:
    return str(Path(sys.executable).with_name("greenroom"))


def _environment(here: Desk, folder: Path) -> dict[str, str]:
    (folder / "script.json").write_text(json.dumps([FIX]))
    with here.store.lock:
        issue = here.store.issue(here.project, "stranger", "add is wrong", "add(1, 1) gives 0")
        dev = events.user("dev", here.store.user("dev").id)
    told = events.issue(number=issue.number, title=issue.title, body=issue.body)
    event = events.labelled(issue=told, sender=dev)
    (folder / "event.json").write_text(json.dumps(event))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")},
        "XDG_STATE_HOME": str(folder / "state"),
        "GITHUB_TOKEN": here.token,
        "GITHUB_REPOSITORY": here.project.name,
        "GITHUB_API_URL": here.fake.api_url,
        "GITHUB_SERVER_URL": here.fake.url,
        "GITHUB_EVENT_NAME": "issues",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
    }


def _tests(folder: Path) -> float:
    """Seconds of all runs of the tests that the attempt's log tells of, the clean rooms' too."""
    [log] = folder.glob("state/greenroom/runs/*/trajectory.jsonl")
    found = [json.loads(line) for line in log.read_text().splitlines()]
    return sum(event["report"]["seconds"] for event in found if event["type"] == "tests")


if __name__ == "__main__":
    sys.exit(main())
