import pytest

from sensors.reading import parse_reading
from sensors.report import report
from sensors.summary import Summary, gaps, summarise


@pytest.fixture
def readings():
    lines = [
        "kitchen 2024-05-01T10:00 21.0",
        "kitchen 2024-05-01T10:10 22.0",
        "kitchen 2024-05-01T11:00 20.0",
        "cellar 2024-05-01T10:00 -3.5",
    ]
    return [parse_reading(line) for line in lines]


def test_readings_are_summed_up(readings):
    assert summarise(readings[:3]) == Summary(3, 20.0, 22.0, 21.0)


def test_a_single_reading_is_its_own_mean(readings):
    assert summarise(readings[3:]) == Summary(1, -3.5, -3.5, -3.5)


def test_no_readings_have_no_temperatures():
    assert summarise([]) == Summary(0, None, None, None)


def test_gaps_are_found(readings):
    assert gaps(readings[:3], minutes=30) == [(readings[1], readings[2])]


def test_no_readings_have_no_gaps():
    assert gaps([], minutes=30) == []


def test_the_report_has_a_line_for_each_sensor(readings):
    assert report(["cellar", "kitchen"], readings) == [
        "cellar: -3.5 to -3.5, mean -3.5",
        "kitchen: 20.0 to 22.0, mean 21.0",
    ]


def test_a_silent_sensor_is_reported(readings):
    assert report(["attic", "cellar"], readings)[0] == "attic: no readings"
