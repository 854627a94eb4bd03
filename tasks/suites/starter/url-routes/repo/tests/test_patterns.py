import pytest

from webroutes.patterns import PatternError, parse


def test_a_literal_path_matches_itself():
    assert parse("/about/team").match("/about/team") == {}


def test_another_path_does_not_match():
    assert parse("/about/team").match("/about/us") is None


def test_a_longer_path_does_not_match():
    assert parse("/about").match("/about/team") is None


def test_a_trailing_slash_is_ignored():
    assert parse("/about").match("/about/") == {}


def test_a_word_is_captured():
    assert parse("/tags/<name>").match("/tags/red") == {"name": "red"}


def test_a_number_is_captured_as_a_number():
    assert parse("/users/<int:user_id>").match("/users/42") == {"user_id": 42}


def test_a_word_is_no_number():
    assert parse("/users/<int:user_id>").match("/users/me") is None


def test_an_unknown_kind_is_refused():
    with pytest.raises(PatternError, match="float"):
        parse("/prices/<float:price>")


def test_a_name_may_occur_once_only():
    with pytest.raises(PatternError, match="twice"):
        parse("/<name>/and/<name>")
