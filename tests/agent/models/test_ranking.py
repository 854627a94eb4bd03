from agent.models.edits import Edit
from agent.models.experts import Taste
from agent.models.python_source import PythonSource
from agent.models.ranking import Candidate, Ranking

TEXT = "def f(a, b):\n    return a + b\n"
TASTE = Taste(readings=(1.0, 0.5), suspicion=2.0)
PLACE = TEXT.index("+")


def candidate(text: str, likely: float = -1.0, weight: float = 1.0) -> Candidate:
    edit = Edit(PLACE, PLACE + 1, text)
    return Candidate("f.py", edit, "replace", (likely, likely), (0.0, 0.0), weight)


def ordered(*candidates: Candidate, temperature: float = 0.0, seed: int | None = None) -> list[str]:
    ranking = Ranking({"f.py": PythonSource(TEXT)}, TASTE)
    for each in candidates:
        ranking.add(each)
    return [each.edit.text for each in ranking.ordered(temperature, seed)]


def test_the_likelier_edit_and_the_more_suspicious_place_come_first() -> None:
    assert ordered(candidate("-", -3), candidate("*", -1), candidate("/", -2)) == ["*", "/", "-"]
    assert ordered(candidate("-", -1, 0.2), candidate("*", -2, 1.0)) == ["*", "-"]


def test_the_score_weighs_the_readings_the_bridge_and_the_suspicion() -> None:
    each = Candidate("f.py", Edit(0, 0, ""), "insert", (-2.0, -4.0), (1.0, 0.0), 1.0)
    assert each.score(TASTE) == (-2.0 + 1.0) + 0.5 * -4.0


def test_each_program_comes_once_and_the_one_that_stands_never() -> None:
    assert ordered(candidate("-"), candidate("  -", -0.5), candidate("+ "), candidate("+ +")) == [
        "  -",
        "+ +",
    ]


def test_what_cannot_run_is_left_out() -> None:
    assert ordered(candidate("-"), candidate("+ +c +", -0.1), candidate("or or", -0.1)) == ["-"]


def test_the_better_score_of_the_same_edit_counts() -> None:
    assert ordered(candidate("-", -9), candidate("*", -5), candidate("-", -1)) == ["-", "*"]


def test_what_was_given_out_is_not_given_again() -> None:
    ranking = Ranking({"f.py": PythonSource(TEXT)}, TASTE)
    ranking.add(candidate("-"))
    assert [each.edit.text for each in ranking.ordered()] == ["-"]
    ranking.add(candidate("*", -5))
    assert [each.edit.text for each in ranking.ordered()] == ["*"]


def test_a_seed_draws_an_order_that_stays_near_the_best() -> None:
    many = [candidate(text, -n) for n, text in enumerate(["-", "*", "/", "%", "//", "**", "@"])]
    cold = ordered(*many)
    drawn = [ordered(*many, temperature=2.0, seed=seed) for seed in range(40)]
    assert drawn[3] == ordered(*many, temperature=2.0, seed=3)
    assert len({tuple(each) for each in drawn}) > 5
    assert all(sorted(each) == sorted(cold) for each in drawn)
    firsts = [each[0] for each in drawn]
    assert max(set(firsts), key=firsts.count) == cold[0]
