from settings import Settings, load
from settings.loader import start_message


def test_defaults_are_used():
    assert load({"DATABASE": "sqlite:"}) == Settings("sqlite:", 8080, 4, False, ())


def test_the_start_is_announced():
    message = start_message({"DATABASE": "sqlite:", "PORT": "99"})
    assert message == "listening on port 99 with 4 workers"


def test_a_missing_setting_is_reported():
    assert start_message({}) == "cannot start: DATABASE: must be set"


def test_a_bad_number_is_reported():
    message = start_message({"DATABASE": "sqlite:", "WORKERS": "four"})
    assert message == "cannot start: WORKERS: 'four' is not a whole number"
