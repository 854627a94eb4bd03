from datetime import datetime, timezone

import pytest

from accesslog.parsing import LogError, parse_line, parse_log

LINE = '10.0.0.7 - ann [10/Oct/2000:13:55:36 +0000] "GET /logo.png HTTP/1.1" 200 2326'


def test_the_client_is_read():
    entry = parse_line(LINE)
    assert (entry.host, entry.user) == ("10.0.0.7", "ann")


def test_an_anonymous_user_is_none():
    assert parse_line(LINE.replace("ann", "-")).user is None


def test_the_time_is_read():
    assert parse_line(LINE).time == datetime(2000, 10, 10, 13, 55, 36, tzinfo=timezone.utc)


def test_the_request_is_read():
    entry = parse_line(LINE)
    assert (entry.method, entry.path) == ("GET", "/logo.png")


def test_status_and_size_are_read():
    entry = parse_line(LINE)
    assert (entry.status, entry.size) == (200, 2326)


def test_a_dash_means_that_nothing_was_sent():
    assert parse_line(LINE.replace("200 2326", "304 -")).size == 0


def test_a_bad_status_is_refused():
    with pytest.raises(LogError, match="status"):
        parse_line(LINE.replace(" 200 ", " 20 "))


def test_a_line_without_a_request_is_refused():
    with pytest.raises(LogError, match="not a log line"):
        parse_line("10.0.0.7 - ann")


def test_empty_lines_are_skipped():
    assert len(list(parse_log([LINE, "", "  \n", LINE]))) == 2
