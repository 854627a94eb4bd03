"""A grammar for a whole turn of gpt-oss, and its vocabulary as llguidance wants it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from agent.conversation import ToolSpec
from agent.models.dialect import Prompt
from agent.models.grammar import TEXT_RULES, Grammar, Vocabulary, arguments, quoted
from agent.models.harmony import HarmonyDialect, addressee
from agent.models.harmony_turn import END_OF_TEXT

#: The first special token; ids below are text.
_FIRST_SPECIAL = 199998
#: Messages before the answer or call: reasoning, and words to the user.
_MOST_BEFORE = 4
#: Tokens that reasoning leaves to the answer at least: so many, or this share of the turn.
_ANSWER, _ANSWER_SHARE = 8192, 2
#: Reasoning that goes on after a word to the user has this share of the first one's tokens.
_AGAIN_SHARE = 8

#: Both orders of the header, on either channel, with what models put before the arguments.
_FORMS = """\
call{n}: <|channel|> CHANNEL{n} type? <|message|> arguments{n} <|call|>
    | ROLE{n} <|channel|> CHANNEL type? <|message|> arguments{n} <|call|>
CHANNEL{n}: ("commentary" | "analysis") " to=" {name}
ROLE{n}: " to=" {name}
arguments{n}: {arguments}
"""
_HEAD = """\
start: {before} ({answers})
first: <|channel|> ("analysis" | "commentary") <|message|> first_text <|end|> <|start|> "assistant"
later: <|channel|> ("analysis" | "commentary") <|message|> later_text <|end|> <|start|> "assistant"
first_text[max_tokens={first}]: TEXT
later_text[max_tokens={later}]: TEXT
final: <|channel|> "final" <|message|> WORDS <|return|>
type: " "? <|constrain|> "json" | " json" | " code"
CHANNEL: "commentary" | "analysis"
"""


def turn_grammar(tools: Sequence[ToolSpec], room: int) -> str:
    """What follows `<|start|>assistant` in a turn of up to `room` tokens: reasoning as it likes,
    but never so much that no room is left, then one call of a tool, or an answer."""
    budget = max(1, room - min(_ANSWER, room // _ANSWER_SHARE))
    later = budget // (_AGAIN_SHARE + _MOST_BEFORE - 1)
    first = budget - (_MOST_BEFORE - 1) * later
    before = f"(first later{{0,{_MOST_BEFORE - 1}}})?" if later else "first?"
    answers = ["final", *(f"call{n}" for n in range(len(tools)))]
    head = _HEAD.format(before=before, answers=" | ".join(answers), first=first, later=later)
    calls = [
        _FORMS.format(n=n, name=quoted(addressee(tool.name)), arguments=arguments(tool))
        for n, tool in enumerate(tools)
    ]
    return "".join([head, *calls, TEXT_RULES])


class HarmonyGrammars:
    """The grammars of one model with so many logits."""

    def __init__(self, size: int) -> None:
        self._vocabulary = _vocabulary(size)

    def turn(self, tools: Sequence[ToolSpec], prompt: Prompt, room: int) -> Grammar:
        """For a turn of up to `room` tokens."""
        return Grammar(self._vocabulary, turn_grammar(tools, room))


@lru_cache(maxsize=2)
def _vocabulary(size: int) -> Vocabulary:
    """The same for all models of one size."""
    return Vocabulary(lambda: _load(size))


def _load(size: int) -> Any:
    import llguidance  # noqa: PLC0415

    tokens = llguidance.TokenizerWrapper(_Tokens(HarmonyDialect(), size))
    return llguidance.LLTokenizer(tokens, n_vocab=size)


class _Tokens:
    """What llguidance asks of a tokenizer. No stop token but the end of a text is named: the
    grammar itself says where a turn ends."""

    eos_token_id = END_OF_TEXT
    bos_token_id = None

    def __init__(self, dialect: HarmonyDialect, size: int) -> None:
        self._dialect = dialect
        self.tokens = [dialect.token_bytes(token) for token in range(size)]
        self.special_token_ids = range(_FIRST_SPECIAL, size)

    def __call__(self, text: str) -> list[int]:
        return list(self._dialect.encode(text))
