"""A suite that is kept here, and sittings on it in this process."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path

from agent.bench import record
from agent.bench.record import Result
from agent.bench.sitting import Sitting, Wish, opened
from agent.conversation import AssistantMessage, Conversation, ToolCall, ToolSpec
from agent.models.base import Event, Model, ModelInfo, Price, Sampling, TurnDone, Usage
from sandbox.image import ImageSpec
from sandbox.patch import FILE
from sandbox.policy import Policy
from sandbox.trees import Base, TreeStore
from tasks.task import Checks, Task
from tests.agent.bench import FILES, IGNORE
from tests.agent.running.played import Onlooker

GOLD = b"""\
--- a/calc.py
+++ b/calc.py
@@ -1,4 +1,4 @@
 def add(a, b):
-    return a - b
+    return a + b
 
 
"""
Fault = Exception | None


class Kept:
    """Tasks by name, each the same little package, or an error that loading it raises."""

    reference = "kept"
    version = "1"

    def __init__(self, tasks: Mapping[str, Fault], gold: Mapping[str, bytes | None]) -> None:
        self._tasks = tasks
        self._gold = gold
        self.loaded: list[str] = []

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._tasks))

    def load(self, name: str, store: TreeStore) -> Task:
        self.loaded.append(name)
        if fault := self._tasks[name]:
            raise fault
        tree = store.add_tree((path, FILE, text.encode()) for path, text in FILES.items())
        checks = Checks("python3 -m pytest", "pytest", expected=("test_calc.py::test_add",))
        return Task(name, "Mend add.", Base(store, tree, IGNORE), ImageSpec(), checks, Policy())

    def gold(self, name: str) -> bytes | None:
        return self._gold.get(name, GOLD)


class Mender(Model):
    """Mends the package in one turn. `trouble` may raise before it does; each attempt has its own
    count of the turns that it was asked for."""

    def __init__(self, trouble: Callable[[str, int], None] = lambda _task, _turn: None) -> None:
        self.info = ModelInfo("mender", "test", price=Price(1.0, 1.0))
        self.trouble = trouble
        self.asked: dict[str, int] = {}
        self.seeds: list[int | None] = []
        self._task = ""

    def for_attempt(self, task: str) -> Model:
        model = Mender(self.trouble)
        model.asked, model.seeds, model._task = self.asked, self.seeds, task
        return model

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        turn = self.asked[self._task] = self.asked.get(self._task, 0) + 1
        self.seeds.append(sampling.seed)
        self.trouble(self._task, turn)
        command = '{"path": "calc.py", "old_text": "a - b", "new_text": "a + b"}'
        message = AssistantMessage(calls=(ToolCall(f"c{turn}", "edit_file", command),))
        yield TurnDone(message, Usage(1000, 50))


async def sit(wish: Wish, onlooker: Onlooker | None = None) -> Sitting:
    """Works on a run until it is done."""
    async with opened(wish, onlooker or Onlooker(), lambda _text, *, always=False: None) as sitting:
        await sitting.work()
    return sitting


def results(folder: Path) -> dict[tuple[str, int], Result]:
    found = list(record.read(folder / "results.jsonl"))
    assert len({result.key for result in found}) == len(found)
    return {result.key: result for result in found}
