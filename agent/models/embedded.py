"""The embedded model: SmolLM2-135M on the CPU, for a first look and for testing the harness.

It is too small to write a repair. So it does what it can: it reads the code that the failing tests
ran, and ranks small edits of it by its own probability; the harness tries them, and the tests
decide. It acts through the same tools as any model (`read_file`, then one `edit_file` a candidate),
and knows nothing but the conversation.
"""

import asyncio
import json
import re
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.conversation import (
    AssistantMessage,
    Conversation,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.base import Event, Model, ModelInfo, Price, Sampling, TextDelta, TurnDone, Usage
from agent.models.divergence import Divergence
from agent.models.edits import edit_arguments
from agent.models.experts import Experts, Taste
from agent.models.insertion import Insertion, gaps_of
from agent.models.listing import Listing, Piece
from agent.models.lookahead import Lookahead
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking
from agent.models.settings import ModelSettings
from agent.models.suspicion import weigh
from agent.models.vocabulary import Vocabulary
from agent.models.weights import NAME, QUANTISATION, load_embedded
from agent.suspects import Suspect, parse_suspects

#: Characters of code that fit: whole files, or of more only the suspect functions.
_CODE = 9_000
#: Files that are read at most, the most suspicious first.
_FILES = 6
_LAST_LINE = 5_000
#: Edits within a line that are tried before whole new lines are thought of.
_FIRST = 120
#: With a seed the order is drawn, a little away from the most probable one.
_TEMPERATURE = 0.3
_PAGE = re.compile(r"(?P<path>.+): lines \d+ to \d+ of (?P<total>\d+)")
_NUMBERED = re.compile(r"(?m)^ *(\d+)\| (.*)$")


@dataclass(frozen=True)
class _Found:
    """A candidate with the tokens that were read to find it."""

    candidate: Candidate
    tokens: int


class EmbeddedModel(Model):
    """See the module's text. Loads in about a second, once its converted copy is in the cache."""

    default_candidates = 1000

    def __init__(self) -> None:
        self.info = ModelInfo(
            name="embedded",
            backend="transformers",
            revision=NAME,
            quantisation=QUANTISATION,
            context_window=None,
            price=Price(0.0, 0.0),
        )
        self._model: Any = None
        self._tokenizer: Any = None
        self._vocabulary: Vocabulary | None = None

    async def prepare(self) -> None:
        """Loads the weights. Raises SetupError or ModelError, shown to the user."""
        if self._model is None:
            await asyncio.to_thread(self._load)

    def _load(self) -> None:
        self._model, self._tokenizer = load_embedded(lambda _: None)
        self._vocabulary = Vocabulary(self._tokenizer)

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        """The most promising turn."""
        async for done in self.candidates(conversation, tools, sampling, 1):
            if done.message.text:
                yield TextDelta(done.message.text)
            yield done
            return
        text = "I found no edit worth a try."
        yield TextDelta(text)
        yield TurnDone(AssistantMessage(text), Usage())

    async def candidates(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling, count: int
    ) -> AsyncGenerator[TurnDone, None]:
        """One turn that reads the suspect files; once they are read, single edits by rank."""
        await self.prepare()
        suspects = _suspects(conversation)
        files = _read_files(conversation)
        paths = list(dict.fromkeys(each.path for each in suspects if each.path.endswith(".py")))
        paths = paths[:_FILES]
        unread = [
            (path, (files[path].missing or 0) if path in files else 1)
            for path in paths
            if path not in files or files[path].missing
        ]
        if unread:
            yield TurnDone(_reading(unread), Usage(), "calls")
            return
        known = {path: files[path].text for path in paths}
        search = _Search(self, conversation, suspects, known, sampling)
        number = 0
        async for found in _in_thread(search.found):
            number += 1
            message = _editing(number, found.candidate, known)
            yield TurnDone(message, Usage(found.tokens, 0), "calls")
            if number == count:
                return

    def parts(self) -> tuple[Any, Any, Vocabulary]:
        """Model, tokenizer and vocabulary, once prepared."""
        if self._vocabulary is None:
            raise RuntimeError("the embedded model was not prepared")
        return self._model, self._tokenizer, self._vocabulary


def open_embedded(settings: ModelSettings) -> EmbeddedModel:
    """The embedded model, not yet loaded; no setting applies to it."""
    return EmbeddedModel()


class _Search:
    """One ranking of edits for one state of the conversation."""

    def __init__(
        self,
        model: EmbeddedModel,
        conversation: Conversation,
        suspects: Sequence[Suspect],
        files: Mapping[str, str],
        sampling: Sampling,
    ) -> None:
        self._parts = model.parts()
        self._conversation = conversation
        self._suspects = suspects
        self._sources = {path: PythonSource(text) for path, text in files.items()}
        self._sampling = sampling

    def found(self, stopped: threading.Event) -> Iterator[_Found]:
        """The candidates, most promising first; ends early when `stopped` is set."""
        model, tokenizer, vocabulary = self._parts
        taste = Taste()
        listing = Listing(self._pieces(), tokenizer)
        characters = {path: weigh(s, self._ran(path)) for path, s in self._sources.items()}
        contexts = [self._ids("<|endoftext|>"), self._ids(self._prompt(listing.text))]
        readings = [Lookahead(model, context, listing.tokens) for context in contexts]
        experts = Experts(readings, taste)
        ranking = Ranking(self._sources, taste)
        weights = _by_token(listing, characters)
        Divergence(listing, weights, experts, vocabulary, ranking).search()
        read = 0
        for number, candidate in enumerate(self._ordered(ranking), 1):
            if stopped.is_set():
                return
            yield _Found(candidate, experts.read - read)
            read = experts.read
            if number == _FIRST:
                break
        gaps = [
            gap
            for path, source in self._sources.items()
            for gap in gaps_of(path, source, characters[path], listing)
        ]
        Insertion(listing, gaps, experts, vocabulary, ranking).search()
        for candidate in self._ordered(ranking):
            if stopped.is_set():
                return
            yield _Found(candidate, experts.read - read)
            read = experts.read

    def _ordered(self, ranking: Ranking) -> Iterator[Candidate]:
        warmth = self._sampling.temperature
        if warmth is None:
            warmth = 0.0 if self._sampling.seed is None else _TEMPERATURE
        return ranking.ordered(warmth, self._sampling.seed)

    def _ran(self, path: str) -> dict[int, float]:
        return {
            line: score
            for suspect in self._suspects
            if suspect.path == path
            for line, score in suspect.lines
        }

    def _pieces(self) -> list[Piece]:
        """The files whole when they fit, else the suspect functions of each."""
        if sum(len(source.text) for source in self._sources.values()) <= _CODE:
            return [Piece(path, 0, source.text) for path, source in self._sources.items()]
        pieces: dict[tuple[str, int], Piece] = {}
        room = _CODE
        for suspect in self._suspects:
            source = self._sources.get(suspect.path)
            if source is None or suspect.last_line >= source.lines + 1:
                continue
            start = source.line_span(suspect.first_line)[0]
            end = source.line_span(suspect.last_line)[1]
            nested = any(
                each.path == suspect.path and each.start <= start <= each.start + len(each.text)
                for each in pieces.values()
            )
            if nested or end - start > room:
                continue
            pieces[suspect.path, start] = Piece(suspect.path, start, source.text[start:end] + "\n")
            room -= end - start
        return [pieces[key] for key in sorted(pieces)]

    def _prompt(self, listing: str) -> str:
        task, failure = _told(self._conversation)
        return (
            "<|im_start|>system\nYou are a careful Python programmer.<|im_end|>\n"
            f"<|im_start|>user\n{task}This code has a bug.\n\n```python\n{listing}```\n\n"
            f"{failure}\n\nWrite the corrected code.<|im_end|>\n<|im_start|>assistant\n```python\n"
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._parts[1](text, add_special_tokens=False)["input_ids"]
        return ids


def _by_token(listing: Listing, characters: Mapping[str, Sequence[float]]) -> list[float]:
    """The weight of each token: the highest of its characters."""
    weights = []
    for number, (start, end) in enumerate(zip(listing.offsets, listing.offsets[1:], strict=False)):
        place = listing.place(number)
        if place is None:
            weights.append(0.0)
            continue
        path, character = place
        weights.append(max(characters[path][character : character + end - start], default=0.0))
    return weights


# What the conversation says.


def _suspects(conversation: Conversation) -> list[Suspect]:
    """Those of the last message that names any."""
    for message in reversed(conversation):
        if isinstance(message, UserMessage) and (found := parse_suspects(message.text)):
            return found
    return []


def _told(conversation: Conversation) -> tuple[str, str]:
    """The task's first words, and the first failure that the last reflection tells."""
    users = [message.text for message in conversation if isinstance(message, UserMessage)]
    task = users[0].partition("\n\n")[0] + "\n\n" if users else ""
    for text in reversed(users):
        start = text.find("FAILED ")
        if start >= 0:
            lines = text[start:].partition("\n\n")[0].splitlines()
            return task[:600], "\n".join(lines)[:600]
    return task[:600], ""


@dataclass
class _Read:
    """What was read of a file so far, by line."""

    total: int
    lines: dict[int, str]

    @property
    def missing(self) -> int | None:
        """The first line not read yet; None when all are."""
        return next((n for n in range(1, self.total + 1) if n not in self.lines), None)

    @property
    def text(self) -> str:
        return "".join(self.lines[n] + "\n" for n in range(1, self.total + 1))


def _read_files(conversation: Conversation) -> dict[str, _Read]:
    """The files as `read_file` showed them since the last call that may have changed one."""
    files: dict[str, _Read] = {}
    for message in conversation:
        if not isinstance(message, ToolMessage):
            continue
        head = _PAGE.match(message.text) if message.name == "read_file" else None
        if head is None:
            files.clear()
            continue
        read = files.setdefault(head["path"], _Read(int(head["total"]), {}))
        for number, line in _NUMBERED.findall(message.text):
            read.lines[int(number)] = line
    return files


def _reading(wanted: Sequence[tuple[str, int]]) -> AssistantMessage:
    calls = [
        ToolCall(
            f"read_{number}",
            "read_file",
            json.dumps({"path": path, "start_line": line, "end_line": _LAST_LINE}),
        )
        for number, (path, line) in enumerate(wanted, 1)
    ]
    return AssistantMessage("I read the code that the failing tests ran.", calls=tuple(calls))


def _editing(number: int, candidate: Candidate, files: Mapping[str, str]) -> AssistantMessage:
    arguments = edit_arguments(candidate.path, files[candidate.path], candidate.edit)
    return AssistantMessage(calls=(ToolCall(f"edit_{number}", "edit_file", arguments),))


async def _in_thread(
    work: Callable[[threading.Event], Iterator[_Found]],
) -> AsyncGenerator[_Found, None]:
    """What a blocking generator yields, each step in a worker thread: the event loop has
    containers to keep alive. Closing it tells the generator to stop at its next step."""
    stopped = threading.Event()
    steps = work(stopped)
    end = object()
    try:
        while True:
            found = await asyncio.to_thread(next, steps, end)
            if not isinstance(found, _Found):
                return
            yield found
    finally:
        stopped.set()
