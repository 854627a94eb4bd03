import pytest

from arcade.ranking import best_per_player, by_points, by_time, ranks
from arcade.score import Score

ANN = Score("ann", 300, 60.0)
BOB = Score("bob", 300, 45.0)
CAT = Score("cat", 120, 30.0)
ANN_AGAIN = Score("ann", 90, 20.0)


def test_more_points_come_first():
    assert by_points([CAT, ANN]) == [ANN, CAT]


def test_equal_points_are_ordered_by_time():
    assert by_points([ANN, BOB]) == [BOB, ANN]


def test_the_quickest_game_comes_first():
    assert by_time([ANN, BOB, CAT]) == [CAT, BOB, ANN]


def test_players_are_listed_with_their_best_game():
    assert best_per_player([ANN_AGAIN, CAT, ANN]) == [ANN, CAT]


def test_equal_points_share_a_rank():
    assert [rank for rank, _ in ranks([ANN, BOB, CAT])] == [1, 1, 3]


def test_a_negative_score_is_refused():
    with pytest.raises(ValueError, match="dan"):
        Score("dan", -1, 3.0)


def test_a_score_needs_a_player():
    with pytest.raises(ValueError):
        Score("", 10, 3.0)
