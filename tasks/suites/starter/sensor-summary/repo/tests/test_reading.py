from datetime import datetime

import pytest

from sensors.reading import Reading, by_sensor, parse_reading


def test_a_line_is_parsed():
    reading = parse_reading("kitchen 2024-05-01T10:00 21.4")
    assert reading == Reading("kitchen", datetime(2024, 5, 1, 10), 21.4)


@pytest.mark.parametrize("line", ["", "kitchen", "kitchen yesterday 20", "kitchen 2024-05-01 hot"])
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError, match="not a reading"):
        parse_reading(line)


def test_readings_are_grouped():
    lines = ["a 2024-05-01T10:00 1", "b 2024-05-01T10:00 2", "a 2024-05-01T11:00 3"]
    groups = by_sensor(map(parse_reading, lines))
    assert [reading.celsius for reading in groups["a"]] == [1.0, 3.0]
