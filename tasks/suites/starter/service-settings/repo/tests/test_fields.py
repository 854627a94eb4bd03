import pytest

from settings import SettingsError
from settings.fields import names, switch, text, whole_number


def test_text_is_stripped():
    assert text({"NAME": " shop "}, "NAME") == "shop"


def test_a_missing_text_is_an_error():
    with pytest.raises(SettingsError, match="NAME: must be set"):
        text({}, "NAME")


def test_a_number_is_read():
    assert whole_number({"PORT": "80"}, "PORT", default=8080) == 80


def test_a_missing_number_has_its_default():
    assert whole_number({}, "PORT", default=8080) == 8080


def test_a_word_is_not_a_number():
    with pytest.raises(SettingsError, match="PORT: 'eighty' is not a whole number"):
        whole_number({"PORT": "eighty"}, "PORT", default=8080)


def test_a_number_can_be_too_small():
    with pytest.raises(SettingsError, match="at least 1"):
        whole_number({"WORKERS": "0"}, "WORKERS", default=4, least=1)


@pytest.mark.parametrize(("raw", "value"), [("yes", True), ("OFF", False), ("1", True)])
def test_a_switch_has_many_spellings(raw, value):
    assert switch({"DEBUG": raw}, "DEBUG", default=not value) is value


def test_a_switch_is_on_or_off():
    with pytest.raises(SettingsError, match="neither on nor off"):
        switch({"DEBUG": "perhaps"}, "DEBUG", default=False)


def test_lists_are_separated_by_commas():
    assert names({"HOSTS": "a.example, ,b.example,"}, "HOSTS") == ("a.example", "b.example")
