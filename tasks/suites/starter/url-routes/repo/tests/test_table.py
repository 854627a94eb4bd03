import pytest

from webroutes import NotFound, RouteTable

PAGES = ["start", "news", "prices"]


def page(number):
    return PAGES[number]


@pytest.fixture
def table():
    routes = RouteTable()
    routes.add("/", lambda: "home")
    routes.add("/tags/<tag>", lambda tag: f"tagged {tag}")
    routes.add("/pages/<int:number>", page)
    routes.add("/pages/<name>", lambda name: f"page called {name}")
    return routes


def test_the_root_has_a_handler(table):
    assert table.resolve("/").call() == "home"


def test_a_handler_gets_its_values(table):
    assert table.resolve("/tags/blue").call() == "tagged blue"


def test_numbers_reach_the_handler_as_numbers(table):
    assert table.resolve("/pages/2").call() == "prices"


def test_the_next_route_is_tried_when_one_does_not_match(table):
    assert table.resolve("/pages/imprint").call() == "page called imprint"


def test_an_unknown_path_is_not_found(table):
    with pytest.raises(NotFound):
        table.resolve("/nowhere")
