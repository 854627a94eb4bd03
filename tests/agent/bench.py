"""Attempts with scripted models in real sandboxes, for the tests of the loop."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent import trajectory
from agent.budget import Limits, Plan
from agent.models.base import Model
from agent.models.scripted import open_script
from agent.outcome import Outcome
from agent.solver import solve
from agent.trajectory import History, Recorder
from sandbox.image import Image
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.task import Checks, Task
from tools.tool import Toolbox
from tools.toolsets import toolset

FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a * 2\n",
    "test_calc.py": (
        "from calc import add, double\n\n\n"
        "def test_add():\n    assert add(2, 3) == 5\n\n\n"
        "def test_double():\n    assert double(4) == 8\n"
    ),
}
IGNORE = (("", ("__pycache__/", ".pytest_cache/")),)

Turn = Mapping[str, Any]


def call(name: str, **arguments: Any) -> Turn:
    return {"name": name, "arguments": arguments}


def edit(old: str, new: str, path: str = "calc.py") -> Turn:
    return {"calls": [call("edit_file", path=path, old_text=old, new_text=new)]}


FIX = edit("a - b", "a + b")
FINISH = {"calls": [call("finish", summary="done")]}


class Bench:
    """A place to run attempts with scripted models in real sandboxes."""

    def __init__(self, folder: Path, image: Image) -> None:
        self.folder = folder
        self.image = image
        self.store = TreeStore.create(folder / "trees.git")
        self.log = folder / "trajectory.jsonl"

    def task(self, instruction: str = "", files: Mapping[str, str] = FILES, **checks: Any) -> Task:
        tree = self.store.add_tree((path, FILE, text.encode()) for path, text in files.items())
        return Task(
            id="t",
            instruction=instruction,
            base=Base(self.store, tree, IGNORE),
            image=self.image.spec,
            checks=Checks("python3 -m pytest", "pytest", **checks),
            policy=Policy(),
        )

    async def attempt(
        self,
        task: Task,
        turns: list[Turn] | Model,
        *,
        limits: Limits | None = None,
        candidates: int = 1,
        history: History | None = None,
        guidance: str = "",
    ) -> Outcome:
        model = self._script(turns) if isinstance(turns, list) else turns
        await model.prepare()
        recorder = Recorder(self.log)
        if history:
            recorder.emit("resumed", after=history.after, turn=history.turn)
        try:
            return await solve(
                task,
                model,
                self.image,
                Toolbox(toolset(model.toolset).tools),
                recorder,
                Plan(limits or Limits(), candidates=candidates),
                history=history,
                guidance=guidance,
            )
        finally:
            recorder.close()

    def _script(self, turns: list[Turn]) -> Model:
        script = self.folder / "script.json"
        script.write_text(json.dumps(turns))
        return open_script(str(script))

    def history(self, task: Task) -> History:
        """What the attempt left to go on from."""
        events = trajectory.read(self.log)
        fields = dict.fromkeys(("greenroom", "model", "sampling", "limits", "settings"), "")
        begun = {"seq": 0, "time": events[0]["time"], "run": "r", "task": task.id}
        started = {"type": "run.started", **begun, **fields}
        return trajectory.history([started, *events], self.log)

    def events(self, kind: str) -> list[dict[str, Any]]:
        events = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [event for event in events if event["type"] == kind]

    def said(self, origin: str) -> list[str]:
        """What the harness said to the model, by origin, the opening included."""
        messages = [event["message"] for event in self.events("message")]
        for event in self.events("epoch"):
            messages += event["messages"]
        return [m["text"] for m in messages if m.get("origin") == origin]
