import pytest

from accesslog.parsing import parse_log
from accesslog.summary import busiest_hosts, requests_by_status, traffic_by_path

LOG = """\
10.0.0.7 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 1000
10.0.0.8 - - [10/Oct/2000:13:55:40 +0000] "GET / HTTP/1.1" 200 1000
10.0.0.7 - - [10/Oct/2000:13:56:00 +0000] "GET /logo.png HTTP/1.1" 200 2326
10.0.0.9 - - [10/Oct/2000:13:57:12 +0000] "GET /old HTTP/1.1" 404 512
"""


@pytest.fixture
def entries():
    return list(parse_log(LOG.splitlines()))


def test_requests_are_counted_by_status(entries):
    assert requests_by_status(entries) == {200: 3, 404: 1}


def test_traffic_is_summed_by_path(entries):
    assert traffic_by_path(entries) == {"/": 2000, "/logo.png": 2326, "/old": 512}


def test_the_busiest_host_comes_first(entries):
    assert busiest_hosts(entries, limit=2) == ["10.0.0.7", "10.0.0.8"]
