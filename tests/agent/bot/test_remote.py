import pytest

from agent.bot.remote import Remote, parse


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://github.com/o/r.git", "github.com", "o/r"),
        ("https://u:p@github.example.org:8443/o/r/", "github.example.org", "o/r"),
        ("git@gitlab.com:group/sub/project.git", "gitlab.com", "group/sub/project"),
        ("ssh://git@gitlab.example.org:2222/g/p.git", "gitlab.example.org", "g/p"),
        ("forge:o/r", "forge", "o/r"),
    ],
)
def test_a_remote_names_a_host_and_a_path(url: str, host: str, path: str) -> None:
    assert parse(url) == Remote(host, path)


@pytest.mark.parametrize("url", ["", "/srv/git/r.git", "../r", "file:///srv/r.git"])
def test_an_address_of_this_machine_names_no_forge(url: str) -> None:
    assert parse(url) is None


def test_a_host_that_does_not_tell_is_no_forge() -> None:
    assert Remote("git.example.org", "o/r").forge is None
    assert Remote("GitHub.example.org", "o/r").forge == "github"
