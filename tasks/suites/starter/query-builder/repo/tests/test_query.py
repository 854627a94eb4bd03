import sqlite3

import pytest

from sqlbuild import select


@pytest.fixture
def database():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE users (name TEXT, age INTEGER)")
    people = [("ann", 31), ("bob", 17), ("cat", 52), ("dan", 31)]
    connection.executemany("INSERT INTO users VALUES (?, ?)", people)
    yield connection
    connection.close()


def names(database, query):
    return [name for (name,) in database.execute(*query.build())]


def test_everything_is_selected_by_default():
    assert select("users").build() == ("SELECT * FROM users", [])


def test_conditions_are_joined(database):
    query = select("users", "name").where("age", ">", 18).where("age", "<", 50)
    assert sorted(names(database, query)) == ["ann", "dan"]


def test_values_from_a_list(database):
    assert names(database, select("users", "name").where_in("age", [17])) == ["bob"]


def test_a_limit_comes_last():
    assert select("users").limit(5).build() == ("SELECT * FROM users LIMIT ?", [5])


def test_rows_are_ordered(database):
    query = select("users", "name").order_by("age").order_by("name", descending=True)
    assert names(database, query) == ["bob", "dan", "ann", "cat"]


def test_an_ordered_query_can_be_limited(database):
    query = select("users", "name").order_by("age", descending=True).limit(1)
    assert names(database, query) == ["cat"]


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError):
        select("users").limit(-1)
