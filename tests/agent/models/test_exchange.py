import ast
import textwrap
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.exchange import exchanges, suspicious_exchanges
from agent.models.listing import Listing, Piece
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking
from agent.models.whole import Rating
from tests.agent.models.oracle import OracleExperts, Words

CODE = textwrap.dedent(
    """\
    DAY = 84_600
    TABLE = {"a": 1, "b": 2}


    def rest(total, part):
        return total - part


    def tell(first, second, wide):
        text = show(first, second, width=9, fill=8)
        if first < second and wide:
            return [text, second]
        return (first) * 2 if wide else -first
    """
)
NEW = {
    "84_600": {"48_600", "86_400", "84_060"},
    '{"a": 1, "b": 2}': {'{"a": 2, "b": 1}'},
    "total - part": {"part - total"},
    "show(first, second, width=9, fill=8)": {
        "show(second, first, width=9, fill=8)",
        "show(first, second, width=8, fill=9)",
    },
    "first < second and wide": {"second < first and wide", "wide and first < second"},
    "[text, second]": {"[second, text]"},
    "(first) * 2 if wide else -first": {"-first if wide else (first) * 2"},
}


def rewritten(text: str) -> set[str]:
    return {edit.apply(text) for edit in exchanges(PythonSource(text))}


def test_every_two_neighbours_change_places_and_nothing_else_does() -> None:
    wanted = {CODE.replace(old, new, 1) for old, news in NEW.items() for new in news}
    assert rewritten(CODE) == wanted


def test_a_parenthesis_never_stays_behind() -> None:
    assert rewritten("x = (a - b) - c\n") == {"x = (b - a) - c\n"}
    assert rewritten("f(*a, b)\nf(**a, b=c)\ng((1, 2)[0])\n") == {
        "f(*a, b)\nf(**a, b=c)\ng((2, 1)[0])\n"
    }


def test_what_does_not_parse_has_none() -> None:
    assert rewritten("def f(:\n") == set()


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=5), st.integers(0, 99_999))
def test_an_exchange_made_twice_is_none(names: list[str], number: int) -> None:
    text = f"f({', '.join(names)}, {number})\n"
    for edit in exchanges(PythonSource(text)):
        once = edit.apply(text)
        try:
            ast.parse(once)
        except SyntaxError:
            continue  # a number with a nought in front
        assert text in rewritten(once) | {once}


def found(wanted: str, weights: Sequence[float] | None = None) -> list[Candidate]:
    tokenizer = Words(f"# a.py\n{CODE}\n", f"# a.py\n{wanted}\n", *rewritten(CODE))
    listing = Listing([Piece("a.py", 0, CODE)], tokenizer)
    target = Listing([Piece("a.py", 0, wanted)], tokenizer)
    experts = OracleExperts(listing.tokens, target.tokens, len(tokenizer))
    source = PythonSource(CODE)
    ranking = Ranking({"a.py": source}, experts.taste)
    by_path = {"a.py": weights or [1.0] * (len(CODE) + 1)}
    chosen = suspicious_exchanges({"a.py": source}, by_path)
    Rating(listing, experts, tokenizer, ranking).rate(chosen)
    return list(ranking.ordered())


@pytest.mark.model
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total - part", "part - total"),
        ("show(first, second", "show(second, first"),
        ("84_600", "86_400"),
        ("width=9, fill=8", "width=8, fill=9"),
    ],
)
def test_the_one_that_the_model_would_write_comes_first(old: str, new: str) -> None:
    wanted = CODE.replace(old, new, 1)
    assert found(wanted)[0].edit.apply(CODE) == wanted


@pytest.mark.model
def test_a_place_without_suspicion_is_left_alone() -> None:
    start = CODE.index("def tell")
    weights = [0.0] * start + [1.0] * (len(CODE) + 1 - start)
    assert all(each.edit.start >= start for each in found(CODE, weights))
    assert found(CODE, [0.0] * (len(CODE) + 1)) == []


@pytest.mark.model
def test_what_is_likely_is_what_the_readings_say_of_the_new_tokens() -> None:
    wanted = CODE.replace("total - part", "part - total", 1)
    best = found(wanted)[0]
    assert best.likely == pytest.approx((3 * -0.1,))  # part, -, total
    assert best.bridge == pytest.approx((-0.1 - -1.0,))  # the line break, where it copied
