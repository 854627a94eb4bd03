from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sandbox.aptsources import (
    Source,
    distribution_sources,
    parse_deb822,
    parse_one_line,
    read_release,
    read_sources,
)

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/distro.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main

types: deb
uris: https://third.example/apt
suites: bookworm
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""
BOOKWORM = {"VERSION_CODENAME": "bookworm"}
words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9)


def test_one_line_sources_are_read_with_their_options() -> None:
    text = (
        "# deb http://commented.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://a.example/debian bookworm main contrib # why\n"
        "deb-src http://a.example/debian bookworm main\n"
        "deb http://incomplete.example\n"
    )
    assert parse_one_line(text) == [
        Source("http://a.example/debian", "bookworm", ("main", "contrib"), "/k.gpg")
    ]


def test_deb822_sources_are_read_a_suite_each_and_disabled_ones_left_out() -> None:
    found = parse_deb822(DEB822)
    assert [(s.uri, s.suite) for s in found] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("https://third.example/apt", "bookworm"),
    ]
    assert found[0].keyring == "/usr/share/keyrings/distro.gpg"
    assert found[2].keyring is None


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    for source in [*parse_one_line(text), *parse_deb822(text)]:
        assert source.uri
        assert source.suite


@given(words, words, st.lists(words, min_size=1, max_size=4))
def test_both_formats_say_the_same(host: str, suite: str, components: list[str]) -> None:
    uri, parts = f"http://{host}.example/x", " ".join(components)
    stanza = f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {parts}\n"
    assert parse_one_line(f"deb {uri} {suite} {parts}") == parse_deb822(stanza)


def test_both_kinds_of_files_are_read_from_the_folder(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.example/d bookworm main\n")
    (parts / "b.list").write_text("deb http://b.example/d bookworm main\n")
    (parts / "c.sources").write_text(DEB822)
    (parts / "d.list.save").write_text("deb http://d.example/d bookworm main\n")
    assert [s.uri.split("/")[2] for s in read_sources(tmp_path)] == [
        "a.example",
        "b.example",
        "mirror.example",
        "mirror.example",
        "third.example",
    ]


def test_only_the_distributions_own_sources_are_taken() -> None:
    own = Source("http://m.example/debian", "bookworm", ("main",), "/d.gpg")
    updates = Source("http://m.example/debian", "bookworm-updates", ("main",), "/d.gpg")
    security = Source("http://s.example/debian", "bookworm-security", ("main",), "/d.gpg")
    foreign = Source("http://x.example/apt", "bookworm-updates", ("main",), "/x.gpg")
    tools = Source("http://y.example/apt", "nodistro", ("main",))
    every = [tools, foreign, security, updates, own]
    assert distribution_sources(every, BOOKWORM) == [own, security, updates]
    assert distribution_sources([tools], BOOKWORM) == []


def test_a_derivative_names_the_release_it_is_made_of() -> None:
    base = Source("http://m.example/ubuntu", "noble", ("main", "universe"))
    release = {"VERSION_CODENAME": "wilma", "UBUNTU_CODENAME": "noble"}
    assert distribution_sources([base], release) == [base]


def test_a_file_of_mirrors_is_followed(tmp_path: Path) -> None:
    mirrors = tmp_path / "mirrors.txt"
    mirrors.write_text(
        "# ours\nhttp://near.example/debian\tpriority:1\nhttp://far.example/debian\n"
    )
    source = Source(f"mirror+file:{mirrors}", "bookworm", ("main",))
    assert distribution_sources([source], BOOKWORM)[0].uri == "http://near.example/debian"


def test_the_release_file_is_unquoted(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text(
        '# x\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\n'
    )
    assert read_release(path) == {
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
        "VERSION_CODENAME": "bookworm",
    }
    assert read_release(tmp_path / "none") == {}
