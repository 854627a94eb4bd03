import textwrap

import pytest

from agent.models.listing import Listing, Piece
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking
from agent.models.whole import Rating, WholeEdit
from agent.models.wrapping import likely_wrappings
from tests.agent.models.oracle import OracleExperts, Words

pytestmark = pytest.mark.model

CODE = textwrap.dedent(
    """\
    def clean(name):
        return name


    def keep(kept, names, *rest):
        kept.append(names)
        first = names[0]
        for name in names:
            kept.add(list(name), 3, *rest)
        return first
    """
)
NAMES = "list dict sorted str clean ( )"


def wrapped(wanted: str, weights: list[float] | None = None) -> list[WholeEdit]:
    return _search(wanted, weights)[0]


def _search(
    wanted: str, weights: list[float] | None = None
) -> tuple[list[WholeEdit], list[Candidate]]:
    tokenizer = Words(f"# a.py\n{CODE}\n", f"# a.py\n{wanted}\n", NAMES, NAMES.replace(" ", "("))
    listing = Listing([Piece("a.py", 0, CODE)], tokenizer)
    target = Listing([Piece("a.py", 0, wanted)], tokenizer)
    experts = OracleExperts(listing.tokens, target.tokens, len(tokenizer))
    sources = {"a.py": PythonSource(CODE)}
    by_path = {"a.py": weights or [1.0] * (len(CODE) + 1)}
    ranking = Ranking(sources, experts.taste)
    found = likely_wrappings(sources, by_path, listing, experts, tokenizer)
    Rating(listing, experts, tokenizer, ranking).rate(found)
    return found, list(ranking.ordered())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("append(names)", "append(list(names))"),
        ("= names[0]", "= clean(names[0])"),
        ("in names", "in sorted(names)"),
        ("return first", "return str(first)"),
    ],
)
def test_what_the_model_would_call_comes_first(old: str, new: str) -> None:
    wanted = CODE.replace(old, new, 1)
    found, ordered = _search(wanted)
    assert found[0].edit.apply(CODE) == wanted
    assert ordered[0].edit.apply(CODE) == wanted


def test_values_are_wrapped_and_nothing_else() -> None:
    values = {CODE[each.edit.start : each.edit.end] for each in wrapped(CODE)}
    assert values <= {"names", "name", "names[0]", "first", "list(name)"}
    assert "names[0]" in values


def test_a_call_is_not_put_around_itself() -> None:
    assert "list(list(name))" not in {each.edit.text for each in wrapped(CODE)}


def test_a_place_without_suspicion_is_left_alone() -> None:
    start = CODE.index("def keep")
    weights = [0.0] * start + [1.0] * (len(CODE) + 1 - start)
    assert all(each.edit.start >= start for each in wrapped(CODE, weights))
    assert wrapped(CODE, [0.0] * (len(CODE) + 1)) == []


def test_what_is_not_shown_is_not_rated() -> None:
    tokenizer = Words(f"# a.py\n{CODE}\n")
    listing = Listing([Piece("a.py", 0, CODE[: CODE.index("def keep")])], tokenizer)
    experts = OracleExperts(listing.tokens, listing.tokens, len(tokenizer))
    sources = {"a.py": PythonSource(CODE)}
    weights = {"a.py": [1.0] * (len(CODE) + 1)}
    found = likely_wrappings(sources, weights, listing, experts, tokenizer)
    assert {CODE[each.edit.start : each.edit.end] for each in found} == {"name"}
