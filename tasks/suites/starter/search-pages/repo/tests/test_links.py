from paging import page_links, paginate
from paging.links import caption

NUMBERS = list(range(25))


def test_the_first_page_links_forward_only():
    links = page_links(paginate(NUMBERS), "/search")
    assert links["next"] == "/search?page=2"
    assert "prev" not in links


def test_the_last_page_links_back_only():
    links = page_links(paginate(NUMBERS, 3), "/search")
    assert links["prev"] == "/search?page=2"
    assert "next" not in links


def test_the_query_is_kept():
    links = page_links(paginate(NUMBERS), "/search", {"q": "red shoes"})
    assert links["last"] == "/search?q=red+shoes&page=3"


def test_the_caption_counts_from_one():
    assert caption(paginate(NUMBERS, 3)) == "21-25 of 25"


def test_the_caption_of_nothing():
    assert caption(paginate([])) == "no results"
