import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.buildjob import BuildSettings, Job, Stopped, clean, failure
from sandbox.errors import UsageError


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def job(said: list[str]) -> Job:
    return Job(BuildSettings(), said.append)


def test_proxies_are_passed_under_both_spellings() -> None:
    found = BuildSettings.from_environment({"https_proxy": "http://p.example:3128"}).environment
    assert found["HTTPS_PROXY"] == found["https_proxy"] == "http://p.example:3128"


def test_only_indexes_that_a_container_can_reach_are_passed() -> None:
    env = {
        "PIP_INDEX_URL": "file:///opt/index",
        "PIP_EXTRA_INDEX_URL": "https://i.example/simple file:///opt/more",
        "PIP_FIND_LINKS": "/opt/wheels",
        "GOPROXY": "https://g.example,direct",
        "npm_config_registry": "http://n.example/",
    }
    found = BuildSettings.from_environment(env).environment
    assert found == {
        "PIP_EXTRA_INDEX_URL": "https://i.example/simple",
        "GOPROXY": "https://g.example,direct",
        "npm_config_registry": "http://n.example/",
    }
    assert not BuildSettings.from_environment({"GOPROXY": "file:///x"}).environment


def test_the_network_is_the_bridge_unless_told(tmp_path: Path) -> None:
    assert BuildSettings.from_environment({}).network == "bridge"
    env = {"GREENROOM_BUILD_NETWORK": "host"}
    assert BuildSettings.from_environment(env).network == "host"
    assert BuildSettings.from_environment(env, network="bridge").network == "bridge"
    with pytest.raises(UsageError, match="'none'"):
        BuildSettings.from_environment({"GREENROOM_BUILD_NETWORK": "none"})


def test_certificates_come_from_the_first_that_is_set(tmp_path: Path) -> None:
    first, second = tmp_path / "first.pem", tmp_path / "second.pem"
    first.touch()
    second.touch()
    env = {"GREENROOM_CA_BUNDLE": str(first), "PIP_CERT": str(second)}
    assert BuildSettings.from_environment({}).ca_bundle is None
    assert BuildSettings.from_environment(env).ca_bundle == first
    assert BuildSettings.from_environment({"PIP_CERT": str(second)}).ca_bundle == second
    assert BuildSettings.from_environment(env, ca_bundle=str(second)).ca_bundle == second


def test_a_missing_certificate_file_names_the_variable() -> None:
    with pytest.raises(UsageError, match=r"SSL_CERT_FILE names /nowhere/ca\.pem"):
        BuildSettings.from_environment({"SSL_CERT_FILE": "/nowhere/ca.pem"})


@given(st.text())
def test_a_shown_line_holds_nothing_that_moves_a_cursor(line: str) -> None:
    assert clean(line).isprintable()


def test_colours_titles_and_overwritten_parts_are_dropped() -> None:
    assert clean("\x1b[1;31mred\x1b[0m\x1b]0;title\x07 done\r\n") == "red done"
    assert clean(" 10%\r 50%\r100% of it\n") == "100% of it"


def test_a_flood_of_output_is_kept_in_part_and_shown_in_part(job: Job, said: list[str]) -> None:
    job.begin("step")
    for number in range(5000):
        job.output(f"line {number}\n")
    assert job.tail[-1] == "line 4999"
    assert len(job.tail) <= 200
    assert len(said) < 50


@pytest.mark.parametrize(
    ("line", "told", "advice"),
    [
        ("dd: writing to 'x': No space left on device", "the disk is full", "greenroom prune"),
        ("write /x: no space left on device", "the disk is full", "prune"),
        ("E: You don't have enough free space in /var", "the disk is full", "greenroom prune"),
        ("Temporary failure resolving 'm.example'", "network", "GREENROOM_BUILD_NETWORK=host"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate",
         "GREENROOM_CA_BUNDLE"),
        ("some other trouble", "some other trouble", ""),
    ],
)  # fmt: skip
def test_a_failure_names_its_cause_and_what_to_do(
    job: Job, line: str, told: str, advice: str
) -> None:
    job.begin("apt-get update")
    job.output(line)
    error = failure(job, "apt-get update failed")
    assert error.message.startswith("apt-get update failed")
    assert told in error.message
    assert line in error.message
    assert advice in error.hint


def test_a_failure_tells_its_own_steps_output_only(job: Job) -> None:
    job.begin("one")
    job.output("No space left on device")
    job.begin("two")
    job.output("it broke")
    assert "disk" not in failure(job, "two failed").message


def test_stop_calls_what_is_running_and_ends_the_job(job: Job) -> None:
    called = threading.Event()
    with job.stoppable(called.set):
        job.stop()
    assert called.is_set()
    with pytest.raises(Stopped):
        job.begin("the next step")


def test_stop_spares_what_has_ended(job: Job) -> None:
    called = threading.Event()
    with job.stoppable(called.set):
        pass
    job.stop()
    assert not called.is_set()


def test_the_time_limit_stops_a_job_and_says_so(job: Job) -> None:
    stopped = threading.Event()
    job.begin("a long step")
    with job.limited(0.05), job.stoppable(stopped.set):
        assert stopped.wait(5)
    with pytest.raises(Stopped, match=r"(?i)the time limit .* during: a long step"):
        job.check()


def test_the_time_limit_ends_with_its_block(job: Job) -> None:
    with job.limited(0.05):
        pass
    time.sleep(0.1)
    job.check()
