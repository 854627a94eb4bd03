import pytest

from arcade.board import Board


@pytest.fixture
def board():
    board = Board()
    board.add("ann", 300, 60.0)
    board.add("bob", 250, 50.0)
    board.add("ann", 280, 58.0)
    board.add("cat", 120, 30.0)
    return board


def names(scores):
    return [score.player for score in scores]


def test_an_empty_board_says_so():
    assert Board().show() == "no games yet"


def test_the_top_lists_every_good_game(board):
    assert names(board.top()) == ["ann", "ann", "bob", "cat"]


def test_the_top_is_cut(board):
    assert names(board.top(3)) == ["ann", "ann", "bob"]


def test_players_can_be_listed_once(board):
    assert names(board.top(once_per_player=True)) == ["ann", "bob", "cat"]


def test_champions_appear_once(board):
    assert names(board.champions()) == ["ann", "bob", "cat"]


def test_the_board_is_shown_with_ranks(board):
    assert board.show(2).splitlines() == [
        " 1. ann         300",
        " 2. ann         280",
    ]
