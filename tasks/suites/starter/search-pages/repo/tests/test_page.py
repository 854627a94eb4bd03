import pytest

from paging import PageError, paginate

NAMES = [f"item {n}" for n in range(1, 43)]


def test_the_first_page_starts_at_the_beginning():
    page = paginate(NAMES)
    assert page.items[0] == "item 1"
    assert len(page.items) == 10


def test_the_last_page_holds_the_rest():
    assert paginate(NAMES, 5).items == ("item 41", "item 42")


def test_a_page_beyond_the_end_does_not_exist():
    with pytest.raises(PageError, match="no page 6"):
        paginate(NAMES, 6)


def test_page_zero_does_not_exist():
    with pytest.raises(PageError):
        paginate(NAMES, 0)


def test_pages_are_counted_up():
    assert paginate(NAMES).count == 5
    assert paginate(NAMES[:40]).count == 4


def test_an_empty_result_has_one_page():
    page = paginate([])
    assert page.count == 1
    assert page.first_index == page.last_index == 0


def test_a_middle_page_has_neighbours():
    page = paginate(NAMES, 4)
    assert page.has_previous
    assert page.has_next


def test_nothing_follows_the_last_page():
    assert not paginate(NAMES, 5).has_next
    assert not paginate([]).has_next
