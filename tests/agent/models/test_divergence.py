import textwrap
from collections.abc import Sequence

import pytest

from agent.models.divergence import Divergence
from agent.models.listing import Listing, Piece
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking
from agent.models.vocabulary import Vocabulary
from tests.agent.models.oracle import OracleExperts, Words

pytestmark = pytest.mark.model

CODE = textwrap.dedent(
    """\
    def merge(last, next):
        if last < next:
            return max(last, next, 0)
        return last + next


    def other(a):
        return a < 1
    """
)


def found(text: str, wanted: str, weights: Sequence[float] | None = None) -> list[Candidate]:
    """What the search finds in `text` when the model would write `wanted`, by rank."""
    tokenizer = Words(f"# a.py\n{text}\n", f"# a.py\n{wanted}\n")
    listing = Listing([Piece("a.py", 0, text)], tokenizer)
    target = Listing([Piece("a.py", 0, wanted)], tokenizer)
    vocabulary = Vocabulary(tokenizer)
    experts = OracleExperts(listing.tokens, target.tokens, len(tokenizer))
    ranking = Ranking({"a.py": PythonSource(text)}, experts.taste)
    if weights is None:
        weights = [1.0 if listing.place(n) else 0.0 for n in range(len(listing.tokens))]
    Divergence(listing, weights, experts, vocabulary, ranking).search()
    return list(ranking.ordered())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("last < next", "last + next"),  # a token replaced
        ("last + next", "last + next + 0"),  # tokens inserted at the end of a line
        ("if last < next", "if 0 < last < next"),  # and at another place
        ("max(last, next, 0)", "max(last, next)"),  # tokens deleted
        ("max(last, next, 0)", "max(a.b(last), next, 0)"),  # a wrapping: the line written anew
        ("return last + next", "return next"),
    ],
)
def test_what_the_model_would_write_comes_first(old: str, new: str) -> None:
    text = CODE if "a.b" not in new else "import a\n" + CODE
    wanted = text.replace(old, new, 1)
    # The same tokens elsewhere may be as likely.
    assert wanted in [each.edit.apply(text) for each in found(text, wanted)[:3]]


def test_every_candidate_is_another_program_within_one_line() -> None:
    candidates = found(CODE, CODE.replace("<", "+"))
    source = PythonSource(CODE)
    meanings = [source.meaning(each.edit) for each in candidates]
    assert len(candidates) > 20
    assert None not in meanings
    assert len(set(meanings)) == len(meanings)
    for each in candidates:
        assert "\n" not in CODE[each.edit.start : each.edit.end] + each.edit.text


def test_only_suspicious_places_are_changed() -> None:
    start, end = CODE.index("return last"), CODE.index("\n\n\ndef other")
    tokenizer = Words(f"# a.py\n{CODE}\n")
    listing = Listing([Piece("a.py", 0, CODE)], tokenizer)
    places = [listing.place(n) for n in range(len(listing.tokens))]
    weights = [0.5 if place and start <= place[1] < end else 0.0 for place in places]
    candidates = found(CODE, CODE, weights)
    assert candidates
    assert all(start <= each.edit.start <= end for each in candidates)
    assert {each.weight for each in candidates} == {0.5}


def test_nothing_suspicious_gives_nothing() -> None:
    assert found(CODE, CODE, [0.0] * 500) == []
