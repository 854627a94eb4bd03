"""Which proxy of this machine a request goes through."""

import pytest

from sandbox.egress.dial import Dialer
from sandbox.egress.target import Target

TUNNEL = Target("index.test", 443, "", ())
PLAIN = Target("index.test", 80, "/", ())


def through(environment: dict[str, str], target: Target) -> str:
    return str(Dialer(environment)._proxy(target) or "")


def test_each_kind_of_request_has_a_proxy_of_its_own() -> None:
    environment = {"HTTPS_PROXY": "http://secure.test:1", "http_proxy": "plain.test:2"}
    assert through(environment, TUNNEL) == "secure.test:1"
    assert through(environment, PLAIN) == "plain.test:2"


def test_one_for_all_is_for_what_has_none_of_its_own() -> None:
    environment = {"ALL_PROXY": "http://all.test:3", "https_proxy": "http://secure.test:1"}
    assert through(environment, PLAIN) == "all.test:3"
    assert through(environment, TUNNEL) == "secure.test:1"
    assert through({**environment, "no_proxy": ".test"}, PLAIN) == ""


@pytest.mark.parametrize("address", ["socks5://all.test:3", "SOCKS5h://all.test:3", ""])
def test_a_proxy_that_does_not_speak_http_is_passed_over(address: str) -> None:
    assert through({"all_proxy": address}, TUNNEL) == ""
