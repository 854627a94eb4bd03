from bullets import bullet, bullet_list, numbered_list


def test_a_short_entry_is_one_line():
    assert bullet("milk") == ["- milk"]


def test_longer_entries_hang_under_their_text():
    assert bullet("fresh bread", width=8) == ["- fresh", "  bread"]


def test_an_entry_never_exceeds_the_width():
    assert bullet("ten green apples", width=11) == ["- ten green", "  apples"]
    assert bullet("ten green apples", width=10) == ["- ten", "  green", "  apples"]


def test_an_empty_entry_keeps_its_marker():
    assert bullet_list(["", "tea"]) == ["- ", "- tea"]


def test_numbers_are_aligned():
    lines = numbered_list([f"entry {n}" for n in range(10)])
    assert lines[0] == " 1. entry 0"
    assert lines[9] == "10. entry 9"
