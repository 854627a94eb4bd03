"""`script:FILE`: turns written beforehand or recorded, for tests and demonstrations.

No model is run; `ModelInfo.real` is false, and every output says so. FILE holds either

- a JSON list of turns, or one turn a line (JSONL; empty lines are passed over). A turn is

      {"text": "...", "reasoning": "...", "calls": [{"name": "...", "arguments": {...}}]}

  with every key optional. `arguments` is an object, or a string that is given to the harness as it
  stands, valid or not. A call may have an `id`; else it gets one.
- or a trajectory as an attempt writes it: its turns are played again.

`script:FOLDER` has a file `TASK.json` or `TASK.jsonl` of that kind for each task of a suite, which
only a benchmark run can use.

A turn without text and calls is malformed, as it would be from a model.
"""

import difflib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.conversation import AssistantMessage, Conversation, ToolCall, ToolSpec
from agent.models.base import (
    CallStarted,
    Event,
    Model,
    ModelError,
    ModelInfo,
    Price,
    ReasoningCut,
    ReasoningDelta,
    Sampling,
    TextDelta,
    TurnDone,
    Usage,
    conversation_text,
    estimate_tokens,
)
from sandbox.errors import UsageError

_TURN_KEYS = {"text", "reasoning", "calls"}
_CALL_KEYS = {"name", "arguments", "id"}
#: Scripts cost no more than what they have done; this many may be played side by side.
SCRIPTS_AT_ONCE = 256
_EXAMPLE = 'A turn is {"text": "...", "calls": [{"name": "shell", "arguments": {...}}]}.'


class ScriptedModel(Model):
    """Plays the turns of a script, one for each turn asked for.

    The place in the script is the number of answers that the conversation holds, or that were
    given in this attempt, whichever is more: so a resumed attempt goes on where it was.
    """

    def __init__(
        self,
        name: str,
        turns: Sequence[AssistantMessage | ReasoningCut],
        *,
        recorded: bool = False,
        toolset: str = "generic",
    ) -> None:
        """`turns` of a record hold the cuts after which the model was asked again; `toolset` is
        that of their calls."""
        self._turns = turns
        self.watched = not recorded
        self.toolset = toolset
        self.malformed_retries = 0
        self.most_at_once = SCRIPTS_AT_ONCE
        self._given = 0
        self.info = ModelInfo(name=name, backend="script", real=False, price=Price(0.0, 0.0))

    def for_attempt(self, task: str) -> Model:
        """Plays from its beginning."""
        name, recorded = self.info.name, not self.watched
        return ScriptedModel(name, self._turns, recorded=recorded, toolset=self.toolset)

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        answered = sum(isinstance(message, AssistantMessage) for message in conversation)
        place = max(answered, self._given)
        if place >= len(self._turns):
            turns = "1 turn" if len(self._turns) == 1 else f"{len(self._turns)} turns"
            raise ModelError(
                f"the script {self.info.name} is over: it has {turns}",
                "Add a turn to it, or lower --turn-limit.",
            )
        turn = self._turns[place]
        self._given = place + 1
        cut = turn if isinstance(turn, ReasoningCut) else None
        message = (turn.thought or AssistantMessage()) if isinstance(turn, ReasoningCut) else turn
        if message.reasoning:
            yield ReasoningDelta(message.reasoning)
        if message.text:
            yield TextDelta(message.text)
        for index, call in enumerate(message.calls):
            yield CallStarted(index, call.name)
        written = estimate_tokens(conversation_text([message]))
        usage = Usage(estimate_tokens(conversation_text(conversation)), written, estimated=True)
        if cut is not None:
            yield TurnDone(message, usage, "cut", cuts=(cut,))
            return
        empty = "" if message.text or message.calls else "Your answer was empty."
        yield TurnDone(message, usage, "calls" if message.calls else "stop", empty)

    def resumed(self, answers: int) -> None:
        self._given = max(self._given, answers)

    async def candidates(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling, count: int
    ) -> AsyncGenerator[TurnDone, None]:
        """A script has one answer only."""
        async for event in self.generate(conversation, tools, sampling):
            if isinstance(event, TurnDone):
                yield event


class ScriptFolder(Model):
    """A script for each task of a suite."""

    most_at_once = SCRIPTS_AT_ONCE

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.info = ModelInfo(str(folder), backend="script", real=False, price=Price(0.0, 0.0))

    def for_attempt(self, task: str) -> Model:
        """The script of the task."""
        for ending in ("json", "jsonl"):
            path = self._folder / f"{task}.{ending}"
            if path.is_file():
                return _read_script(path)
        raise ModelError(
            f"no script for the task {task} in {self._folder}", f"Write {task}.json in it."
        )

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        raise ModelError(
            f"{self._folder} is a folder of scripts, one for each task of a suite",
            "Give one of them, or run the suite with `greenroom bench`.",
        )
        yield  # makes this a stream


def open_script(file: str) -> Model:
    """The script in `file`, or those of a suite's tasks in a folder. Raises UsageError that names
    the file, the turn and what is wrong."""
    path = Path(file)
    return ScriptFolder(path) if path.is_dir() else _read_script(path)


def _read_script(path: Path) -> ScriptedModel:
    file = str(path)
    try:
        text = path.read_text("utf-8")
    except OSError as problem:
        raise UsageError(f"cannot read the script {file}: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"the script {file} is no UTF-8 text: {problem.reason}") from None
    if _is_trajectory(text):
        return _recorded(path)
    if not text.strip():
        raise UsageError(f"the script {file} is empty: it has no turn to play", _EXAMPLE)
    turns = [_turn(data, place, number) for number, (place, data) in enumerate(_items(text, file))]
    return ScriptedModel(file, turns)


def _is_trajectory(text: str) -> bool:
    """Whether the first line is an event of a trajectory: it has a version and a type."""
    try:
        first = json.loads(text.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and {"v", "type"} <= first.keys()


def _recorded(path: Path) -> ScriptedModel:
    # Imported here, since the trajectory's codec knows tasks and verdicts, which a plain script
    # does without.
    from agent.codec import cut_from, message_from  # noqa: PLC0415
    from agent.trajectory import live, read  # noqa: PLC0415

    made: list[AssistantMessage | ReasoningCut] = []
    cuts: list[ReasoningCut] = []
    toolset = "generic"
    for event in live(read(path)):
        if event["type"] == "run.started":
            toolset = event.get("toolset", toolset)
        elif event["type"] == "cut" and event["way"] == "asked":
            cuts.append(cut_from(event))
        elif event["type"] == "malformed":
            cuts = []  # asked again, as nothing of it was kept
        elif event["type"] == "turn":
            message = message_from(event["message"])
            made += [*cuts, message] if isinstance(message, AssistantMessage) else []
            cuts = []
    return ScriptedModel(str(path), made, recorded=True, toolset=toolset)


def _items(text: str, file: str) -> list[tuple[str, Any]]:
    """The turns with their places in the file, as JSON data not yet checked."""
    if text.lstrip().startswith("["):
        listed = _json(text, file)
        items = listed if isinstance(listed, list) else [listed]
        return [(f"{file}, turn {number}", item) for number, item in enumerate(items, 1)]
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    return [
        (f"{file}, line {number}", _json(line, f"{file}, line {number}")) for number, line in lines
    ]


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise UsageError(f"{place}: nested too deeply") from None
    except ValueError as problem:
        raise UsageError(f"{place}: not valid JSON: {problem}", _EXAMPLE) from None


def _turn(data: object, place: str, number: int) -> AssistantMessage:
    table = _table(data, _TURN_KEYS, place)
    calls = table.get("calls", [])
    if not isinstance(calls, list):
        raise UsageError(f"{place}: calls: expected a list, got {calls!r}", _EXAMPLE)
    return AssistantMessage(
        text=_text(table, "text", place),
        reasoning=_text(table, "reasoning", place),
        calls=tuple(
            _call(call, f"{place}, call {index}", f"call_{number + 1}_{index}")
            for index, call in enumerate(calls, 1)
        ),
    )


def _call(data: object, place: str, given_id: str) -> ToolCall:
    table = _table(data, _CALL_KEYS, place)
    arguments = table.get("arguments", {})
    if not isinstance(arguments, dict | str):
        raise UsageError(f"{place}: arguments: expected an object, got {arguments!r}", _EXAMPLE)
    name = _text(table, "name", place)
    if not name:
        raise UsageError(f"{place}: the name of the tool is missing", _EXAMPLE)
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(_text(table, "id", place) or given_id, name, written)


def _table(data: object, known: set[str], place: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise UsageError(f"{place}: expected an object, got {data!r:.80}", _EXAMPLE)
    for key in data.keys() - known:
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{place}: unknown key {key!r}{meant}", _EXAMPLE)
    return data


def _text(table: Mapping[str, Any], name: str, place: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{place}: {name}: expected a string, got {value!r}", _EXAMPLE)
    return value
