import pytest

from records import RecordError, decode, decode_all


def test_fields_are_separated():
    assert decode("Ann|Main Street 1\n") == ["Ann", "Main Street 1"]


def test_escapes_are_undone():
    assert decode("C:\\\\new|one\\ntwo") == ["C:\\new", "one\ntwo"]


def test_a_separator_in_a_field_is_read():
    assert decode("a\\pb|c") == ["a|b", "c"]


def test_a_missing_value_is_read():
    assert decode("\\0|") == [None, ""]


@pytest.mark.parametrize("line", ["a\\x", "a\\", "\\0a"])
def test_unknown_escapes_are_refused(line):
    with pytest.raises(RecordError, match="unknown escape"):
        decode(line)


def test_the_number_of_fields_is_checked():
    with pytest.raises(RecordError, match="line 2 has 3 fields"):
        decode_all("a|b\na|b|c\n", fields=2)
