import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.installs.nodelocks import (
    PLAIN_SPEC,
    REGISTRY,
    ForeignError,
    npm,
    pnpm,
    yarn_berry,
    yarn_classic,
)

FOLDERS = ("", "packages/a")
SHA = "sha512-a/b+c=="
TARBALL = "https://index.example/npm/@scope/a/-/a-1.0.0.tgz"
SOURCES = [
    "git+ssh://git@evil.example/a.git#0123",
    "git+https://evil.example/a.git",
    "https://evil.example/a.tgz",
    "https://evil.example/?x=/a/-/a-1.0.0.tgz",
    "https://codeload.evil.example/a/b/tar.gz/0123",
    "file:../a",
    "file:a.tgz",
    "../../etc",
    "a/-/a-1.0.0.tgz",
]


def package_lock(**packages: Any) -> str:
    entries = {path.replace("__", "/"): entry for path, entry in packages.items()}
    return json.dumps({"lockfileVersion": 3, "packages": {"": {}, **entries}})


def test_npm_the_addresses_go_and_all_else_stays() -> None:
    entry = {"version": "1.0.0", "resolved": TARBALL, "integrity": SHA, "dev": True}
    link = {"resolved": "packages/a", "link": True}
    found = json.loads(
        npm(
            package_lock(
                node_modules__a=entry, packages__a={"name": "@me/a"}, node_modules__b=link
            ),
            FOLDERS,
        )
    )
    assert found["packages"] == {
        "": {},
        "node_modules/a": {"version": "1.0.0", "integrity": SHA, "dev": True},
        "packages/a": {"name": "@me/a"},
        "node_modules/b": link,
    }


def test_npm_before_version_7() -> None:
    inner = {"version": "1.0.0", "resolved": TARBALL, "from": "x@git://evil.example"}
    tree = {"a": {**inner, "dependencies": {"b": inner}}}
    found = json.loads(npm(json.dumps({"lockfileVersion": 1, "dependencies": tree}), ()))
    assert found["dependencies"] == {
        "a": {"version": "1.0.0", "dependencies": {"b": {"version": "1.0.0"}}}
    }


@pytest.mark.parametrize("source", SOURCES)
def test_npm_other_sources_are_refused(source: str) -> None:
    for entry in (
        {"version": "1.0.0", "resolved": source},
        {"version": source, "integrity": SHA},
        {"resolved": source, "link": True},
        {"version": "1.0.0", "resolved": [source]},
    ):
        with pytest.raises(ForeignError, match="it names "):
            npm(package_lock(node_modules__a=entry), FOLDERS)
        inner = {"version": "1.0.0", "dependencies": {"b": {**entry, "link": False}}}
        with pytest.raises(ForeignError, match="it names "):
            npm(json.dumps({"dependencies": {"a": inner}}), FOLDERS)
    with pytest.raises(ForeignError, match="folder"):
        npm(package_lock(outside={}), FOLDERS)


PNPM = f"""\
lockfileVersion: '9.0'

settings:
  autoInstallPeers: false
  excludeLinksFromLockfile: true

pnpmfileChecksum: 0123

importers:

  .:
    dependencies:
      a:
        specifier: ^1
        version: 1.0.0
      me:
        specifier: workspace:*
        version: link:packages/a

  packages/a: {{}}

packages:

  a@1.0.0:
    resolution: {{integrity: {SHA}}}

snapshots:

  a@1.0.0: {{}}
"""


def test_pnpm_the_lock_stays_and_its_settings_become_options() -> None:
    content, options = pnpm(PNPM, FOLDERS)
    assert content.decode() == PNPM.replace("pnpmfileChecksum: 0123\n", "")
    assert options == [
        "--config.auto-install-peers=false",
        "--config.exclude-links-from-lockfile=true",
    ]


def test_pnpm_an_address_of_the_index_goes() -> None:
    pinned = PNPM.replace(f"{SHA}}}", f"{SHA}, tarball: {TARBALL}}}")
    assert pnpm(pinned, FOLDERS) == pnpm(PNPM, FOLDERS)


def test_pnpm_before_version_9() -> None:
    lock = "lockfileVersion: '6.0'\ndependencies:\n  a:\n    specifier: ^1\n    version: 1.0.0\n"
    lock += f"packages:\n  /a@1.0.0:\n    resolution: {{integrity: {SHA}}}\n    dev: false\n"
    assert pnpm(lock, ()) == (lock.encode(), [])
    older = "lockfileVersion: 5.4\nspecifiers:\n  a: ^1\ndependencies:\n  a: 1.0.0\n"
    assert pnpm(older, ()) == (older.encode(), [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{{integrity: {SHA}}}", "{tarball: https://evil.example/a.tgz}"),
        (f"{{integrity: {SHA}}}", f"{{integrity: {SHA}, tarball: https://evil.example/a.tgz}}"),
        (f"{{integrity: {SHA}}}", "{type: git, repo: https://evil.example, commit: '0'}"),
        (f"{{integrity: {SHA}}}", "{directory: ../x, type: directory}"),
        (f" {{integrity: {SHA}}}", "\n      integrity: x\n      tarball: https://evil.example"),
        ("  a@1.0.0:", "  a@https://evil.example/a.tgz:"),
        ("  a@1.0.0:", "  a@file:../a:"),
        ("version: 1.0.0", "version: https://evil.example/a.tgz"),
        ("version: 1.0.0", "version: git+ssh://evil.example/a"),
        ("version: 1.0.0", "version: file:../a"),
        ("  packages/a:", "  ../outside:"),
    ],
)
def test_pnpm_other_sources_are_refused(old: str, new: str) -> None:
    assert old in PNPM
    with pytest.raises(ForeignError, match="it names "):
        pnpm(PNPM.replace(old, new, 1), FOLDERS)


def test_pnpm_what_hides_a_source_is_refused() -> None:
    for old, new in (
        (f"{{integrity: {SHA}}}", "&x {integrity: y}"),
        ("resolution:", '"r\\x65solution": {tarball: https://evil.example}\n    resolution:'),
        ("packages:\n", "packages: {}\npackages:\n"),
    ):
        with pytest.raises(ForeignError, match="cannot be read"):
            pnpm(PNPM.replace(old, new, 1), FOLDERS)


CLASSIC = f"""\
# yarn lockfile v1


"@scope/a@^1.0.0", b@1, c@npm:d@^1:
  version "1.0.0"
  resolved "{TARBALL}#0123abc"
  integrity {SHA}
  dependencies:
    "@scope/e" "^1.0.0 || >=3"
  optionalDependencies:
    f "*"
"""


def test_yarn_1_the_index_stands_in_the_place_of_every_server() -> None:
    assert yarn_classic(CLASSIC).decode() == CLASSIC.replace("https://index.example/npm", REGISTRY)
    assert yarn_classic(CLASSIC.replace("\n", "\r\n")) == yarn_classic(CLASSIC)


@pytest.mark.parametrize("source", SOURCES)
def test_yarn_1_other_sources_are_refused(source: str) -> None:
    with pytest.raises(ForeignError, match="it names "):
        yarn_classic(CLASSIC.replace(f"{TARBALL}#0123abc", source))
    with pytest.raises(ForeignError, match="it names "):
        yarn_classic(CLASSIC.replace('"^1.0.0 || >=3"', f'"{source}"'))


def test_yarn_1_a_package_that_says_no_source_is_refused() -> None:
    bare = "".join(line for line in CLASSIC.splitlines(True) if "resolved" not in line)
    for lock in (bare, bare + "\n" + CLASSIC, CLASSIC + "\n" + bare):
        with pytest.raises(ForeignError, match="not from the index"):
            yarn_classic(lock)


@pytest.mark.parametrize(
    "line",
    ["  resolved https://x.example/a/-/a-1.tgz", "  evil: x", "\tversion 1", "   a b", "  a b"],
)
def test_yarn_1_a_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(ForeignError, match="line 6 is not in the form"):
        yarn_classic(CLASSIC.replace('  resolved "', f'{line}\n  resolved "'))


BERRY = """\
# This file is generated

__metadata:
  version: 8
  cacheKey: 10c0

"a@npm:^1.0.0, a@npm:^1.1.0":
  version: 1.2.0
  resolution: "a@npm:1.2.0"
  checksum: 10c0/0123
  languageName: node
  linkType: hard

"me@workspace:packages/a":
  version: 0.0.0-use.local
  resolution: "me@workspace:packages/a"

"root@workspace:.":
  version: 0.0.0-use.local
  resolution: "root@workspace:."

"fsevents@patch:fsevents@npm%3A~2.3.2#optional!builtin<compat/fsevents>":
  version: 2.3.3
  resolution: "fsevents@patch:fsevents@npm%3A2.3.3#optional!builtin<compat/fsevents>::version=2.3.3"
"""


def test_yarn_2_and_later_as_it_is() -> None:
    assert yarn_berry(BERRY, FOLDERS) == BERRY.encode()


@pytest.mark.parametrize(
    "resolution",
    [
        "a@https://evil.example/a.tgz",
        "a@git@evil.example:a.git#commit=0123",
        "a@npm:1.2.0::__archiveUrl=https%3A%2F%2Fevil.example%2Fa.tgz",
        "a@file:../a.tgz#../a.tgz::hash=0123&locator=root%40workspace%3A.",
        "a@link:../a::locator=root%40workspace%3A.",
        "a@portal:../a::locator=root%40workspace%3A.",
        "a@patch:a@npm%3A1.2.0#./x.patch::version=1.2.0",
        "a@exec:./x.js",
        "a@workspace:../outside",
    ],
)
def test_yarn_2_and_later_other_sources_are_refused(resolution: str) -> None:
    with pytest.raises(ForeignError, match="it names "):
        yarn_berry(BERRY.replace('"a@npm:1.2.0"', f'"{resolution}"'), FOLDERS)
    with pytest.raises(ForeignError, match="it names "):
        yarn_berry(BERRY.replace('  resolution: "a@npm:1.2.0"\n', ""), FOLDERS)


@pytest.mark.parametrize(
    "spec", ["", "1", "^1.0.0 || >=2 <3", "latest", "npm:@scope/a@~1", "npm:a"]
)
def test_versions_ranges_and_tags_are_plain(spec: str) -> None:
    assert PLAIN_SPEC.fullmatch(spec)


@pytest.mark.parametrize(
    "spec", [*SOURCES[:6], "user/repository", "github:a/b", "link:a", "npm:a:b"]
)
def test_places_are_not(spec: str) -> None:
    assert not PLAIN_SPEC.fullmatch(spec)


READERS: list[Callable[[str], object]] = [
    lambda text: npm(text, FOLDERS),
    lambda text: pnpm(text, FOLDERS),
    yarn_classic,
    lambda text: yarn_berry(text, FOLDERS),
]
pieces = st.sampled_from(
    [
        *CLASSIC.splitlines(True),
        *PNPM.splitlines(True),
        *BERRY.splitlines(True),
        *SOURCES,
        "\n",
        " ",
    ]
)


@given(st.sampled_from(READERS), st.text(max_size=80) | st.lists(pieces).map("".join))
def test_any_text_is_read_or_refused(read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ForeignError as error:
        assert str(error).isprintable()


values = st.none() | st.booleans() | st.integers() | st.sampled_from([*SOURCES, TARBALL, "1.0.0"])
names = st.sampled_from(
    ["version", "resolved", "link", "dependencies", "packages", "node_modules/a"]
)
documents = st.recursive(
    values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner), max_leaves=12
)


@given(documents)
def test_no_document_leaves_a_server_in_a_lock_of_npm(document: object) -> None:
    try:
        found = npm(json.dumps({"packages": document}), FOLDERS)
    except ForeignError:
        return
    entries = json.loads(found)["packages"].values()
    assert not any("://" in str(entry.get("resolved")) for entry in entries)
    assert not any("evil" in str(entry.get("version")) for entry in entries)
