from records import encode, encode_all


def test_fields_are_separated():
    assert encode(["Ann", "Main Street 1"]) == "Ann|Main Street 1"


def test_a_backslash_is_doubled():
    assert encode(["C:\\temp"]) == "C:\\\\temp"


def test_a_newline_is_escaped():
    assert encode(["one\ntwo"]) == "one\\ntwo"


def test_a_separator_in_a_field_is_escaped():
    assert encode(["a|b", "c"]) == "a\\pb|c"


def test_a_missing_value_is_not_an_empty_one():
    assert encode([None, ""]) == "\\0|"


def test_every_record_has_a_line():
    assert encode_all([["a"], ["b"]]) == "a\nb\n"
