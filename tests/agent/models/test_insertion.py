import textwrap

import pytest

from agent.models.insertion import Gap, Insertion, gaps_of
from agent.models.listing import Listing, Piece
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking
from agent.models.vocabulary import Vocabulary
from tests.agent.models.oracle import OracleExperts, Words

pytestmark = pytest.mark.model

CODE = textwrap.dedent(
    """\
    def mean(values):
        total = 0
        for value in values:
            total += value

        return total / len(values)


    class Box:
        def size(self):
            return 1
    """
)
SUSPICIOUS = [1.0] * CODE.index("\n\n\nclass") + [0.0] * (len(CODE) + 1)


def listing_of(text: str, *more: str) -> tuple[Listing, Words]:
    tokenizer = Words(f"# a.py\n{text}\n", "\n    x\n        x\n            x", *more)
    return Listing([Piece("a.py", 0, text)], tokenizer), tokenizer


def gaps() -> list[Gap]:
    listing, _ = listing_of(CODE)
    return list(gaps_of("a.py", PythonSource(CODE), SUSPICIOUS, listing))


def found(wanted: str) -> list[Candidate]:
    listing, tokenizer = listing_of(CODE, f"# a.py\n{wanted}\n")
    target = Listing([Piece("a.py", 0, wanted)], tokenizer)
    experts = OracleExperts(listing.tokens, target.tokens, len(tokenizer))
    source = PythonSource(CODE)
    ranking = Ranking({"a.py": source}, experts.taste)
    places = list(gaps_of("a.py", source, SUSPICIOUS, listing))
    Insertion(listing, places, experts, Vocabulary(tokenizer), ranking).search()
    return list(ranking.ordered())


def test_gaps_lie_beside_suspicious_lines_with_the_indentations_that_fit() -> None:
    lines = CODE.splitlines()
    seen = [(lines[CODE.count("\n", 0, gap.character)], gap.indent) for gap in gaps()]
    assert seen == [
        ("def mean(values):", 4),
        ("    total = 0", 4),
        ("    for value in values:", 8),
        ("        total += value", 8),
        ("        total += value", 4),
        ("    return total / len(values)", 4),
    ]


@pytest.mark.parametrize(
    ("after", "new"),
    [
        ("    total = 0", "    total = len(values)"),
        ("        total += value", "        total += 0"),
        ("    return total / len(values)", "    return total"),
    ],
)
def test_a_statement_that_the_model_would_write_comes_first(after: str, new: str) -> None:
    wanted = CODE.replace(after, f"{after}\n{new}", 1)
    # The same tokens elsewhere may be as likely.
    assert wanted in [each.edit.apply(CODE) for each in found(wanted)[:3]]


def test_a_guard_comes_with_what_stands_under_it() -> None:
    guard = "def mean(values):\n    if not values:\n        return 0"
    wanted = CODE.replace("def mean(values):", guard, 1)
    assert found(wanted)[0].edit.apply(CODE) == wanted


def test_no_gap_gives_nothing() -> None:
    listing, tokenizer = listing_of(CODE)
    experts = OracleExperts(listing.tokens, listing.tokens, len(tokenizer))
    ranking = Ranking({"a.py": PythonSource(CODE)}, experts.taste)
    Insertion(listing, [], experts, Vocabulary(tokenizer), ranking).search()
    assert list(ranking.ordered()) == []
