"""Grammars for models that mark their calls in the text, learned from how their template does it.

Reasoning and text are free. Once a turn opens a call, the rest is exact: the tool's name, its
arguments, the closing tag, and nothing behind it but further calls.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.conversation import AssistantMessage, ToolCall, ToolSpec
from agent.models.dialect import Prompt
from agent.models.grammar import TEXT_RULES, Grammar, Vocabulary, arguments, quoted
from agent.models.plaintext import written
from agent.models.templates import TemplateDialect

#: What a call may begin with, as the parser of turns knows it; a bare one is a turn of its own.
_TRIGGERS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "```json\n", "{")
_BARE = "{"
_MOST_CALLS = 8
_NAME, _KEY = "greenroom_probe", "greenroom_key"
_PROBE = ToolCall("call00001", _NAME, f'{{"{_KEY}": "value"}}')
_ARGUMENTS = re.compile(rf'\{{\s*"{_KEY}"\s*:\s*"value"\s*\}}')
_THOUGHTS = ("think", "thought")
_EMPTY_THOUGHT = re.compile(r"\A\s*<(think|thought)>\s*</\1>")


@dataclass(frozen=True)
class CallForm:
    """How a call is written: `trigger`, `begin`, the name, `middle`, the arguments, `end`."""

    trigger: str
    begin: str
    middle: str
    end: str

    @classmethod
    def of(cls, text: str) -> "CallForm | None":
        """The form of the probe's call in `text`; None where it is none that is known."""
        text = _EMPTY_THOUGHT.sub("", text)
        found = _ARGUMENTS.search(text)
        place = text.find(_NAME)
        if found is None or not 0 <= place < found.start() or _PROBE.id in text:
            return None
        begin = text[:place].lstrip()
        trigger = next((each for each in _TRIGGERS if begin.startswith(each)), "")
        middle = text[place + len(_NAME) : found.start()]
        end = text[found.end() :].rstrip()
        return cls(trigger, begin.removeprefix(trigger), middle, end) if trigger else None

    @property
    def repeats(self) -> bool:
        """Whether one call may follow another."""
        return self.trigger == "<tool_call>"


def call_form(dialect: TemplateDialect) -> CallForm | None:
    """How the dialect's model writes calls; None where no grammar is known for it."""
    turn = AssistantMessage(calls=(_PROBE,))
    return CallForm.of(dialect.rendered(turn) if dialect.takes_tools else written(turn))


class TagGrammars:
    """The grammars of one model. `size` is the number of its logits."""

    def __init__(self, dialect: TemplateDialect, tokenizer: Any, size: int) -> None:
        self._form = call_form(dialect)
        self._tokenizer = tokenizer
        self._thinks = dialect.thinks
        self._vocabulary = Vocabulary(lambda: self._load(dialect.stop_ids, size))

    def _load(self, stop_ids: frozenset[int], size: int) -> Any:
        from llguidance.hf import from_tokenizer  # noqa: PLC0415

        return from_tokenizer(self._tokenizer, n_vocab=size, eos_token=sorted(stop_ids))

    def turn(self, tools: Sequence[ToolSpec], prompt: Prompt, room: int) -> Grammar | None:
        """For the turn that follows the prompt; None where there is nothing to hold it to."""
        if self._form is None or not tools:
            return None
        thinks = "inside" if prompt.thinking else "maybe" if self._thinks else "no"
        text = turn_grammar(self._form, tools, self._mark, thinks)
        return Grammar(self._vocabulary, text)

    def _mark(self, text: str) -> str:
        """A tag as Lark has it: by its number where it is a token that stands outside of text."""
        token = self._tokenizer.convert_tokens_to_ids(text)
        known = self._tokenizer.added_tokens_decoder.get(token)
        if known is not None and known.special and str(known) == text:
            return f"<[{token}]>"
        return quoted(text)


def turn_grammar(
    form: CallForm, tools: Sequence[ToolSpec], mark: Callable[[str], str], thinks: str = "no"
) -> str:
    """A turn: reasoning, where the model `thinks` (no, maybe, or the prompt is inside already),
    then words, or words and calls."""
    trigger = mark(form.trigger)
    calls = [
        f"call{n}: BEGIN{n} {arguments(tool)} {quoted(form.end)}\n"
        f"BEGIN{n}: {quoted(form.begin + tool.name + form.middle)}\n"
        for n, tool in enumerate(tools)
    ]
    several = f' ("\\n"? {trigger} call){{0,{_MOST_CALLS - 1}}}' if form.repeats else ""
    lines = [
        _thinking(thinks, mark),
        f"spoken: words | opening call{several}\n",
        f"call: {' | '.join(f'call{n}' for n in range(len(tools)))}\n",
        *_spoken(form, trigger),
        *calls,
        TEXT_RULES,
    ]
    return "".join(lines)


def _spoken(form: CallForm, trigger: str) -> Sequence[str]:
    """Words, and what opens a call: neither begins as reasoning does."""
    if form.trigger == _BARE:
        return (f"opening: {trigger}\n", "words: SAID\n", f"SAID: WORDS & ~{_begins('[{<]')}\n")
    # A lazy text ends where the trigger does; a token of its own stands in no text anyway.
    lazy = "[lazy]" if trigger.startswith('"') else ""
    thought = _begins(f"<({'|'.join(_THOUGHTS)})>")
    return (
        f"opening{lazy}: BEFORE {trigger}\nwords: SAID\n",
        f"BEFORE: TEXT & ~{thought}\nSAID: WORDS & ~{thought}\n",
    )


def _begins(pattern: str) -> str:
    return rf"/[ \r\n\t]*{pattern}(.|\n)*/"


def _thinking(thinks: str, mark: Callable[[str], str]) -> str:
    if thinks == "no":
        return "start: spoken\n"
    start = "thought spoken" if thinks == "inside" else "(thinking thought)? spoken"
    lines = [f"start: {start}\nthinking: {' | '.join(mark(f'<{name}>') for name in _THOUGHTS)}\n"]
    for number, name in enumerate(_THOUGHTS):
        end = mark(f"</{name}>")
        lazy = "[lazy]" if end.startswith('"') else ""
        lines.append(f"thought{number}{lazy}: TEXT {end}\n")
    return "".join([*lines, "thought: thought0 | thought1\n"])
