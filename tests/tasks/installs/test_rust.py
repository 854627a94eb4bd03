import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.install import Install
from tasks.installs.rust import CRATES, _reduced, find_rust_install
from tests.tasks.conftest import MakeFiles

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
LOCK = f"""\
version = 4

[[package]]
name = "me"
version = "0.1.0"

[[package]]
name = "serde"
version = "1.0.0"
source = "{CRATES_IO}"
checksum = "00"
"""
MANIFEST = """\
[package]
name = "me"
version = "0.1.0"
[dependencies]
serde = "1"
"""


def manifest(install: Install | None, path: str = "Cargo.toml") -> Any:
    assert install is not None
    return tomllib.loads(dict(install.files)[path].decode())


def test_the_crates_of_the_lock_are_vendored(make_files: MakeFiles) -> None:
    install, notes = find_rust_install(make_files({"Cargo.toml": MANIFEST, "Cargo.lock": LOCK}))
    assert install is not None
    install.check()
    assert notes == []
    assert install.what == "the crates of Cargo.lock, with cargo"
    assert " cargo vendor --locked " in install.commands[0]
    assert dict(install.files)["Cargo.lock"].decode() == LOCK
    assert dict(install.files)["src/lib.rs"] == b""
    config = manifest(install, "cargo.config")
    assert config["source"][config["source"]["crates-io"]["replace-with"]] == {"directory": CRATES}
    assert config["net"] == {"offline": True}


def test_targets_and_profiles_do_not_decide_on_the_layer(make_files: MakeFiles) -> None:
    plain, _ = find_rust_install(make_files({"Cargo.toml": MANIFEST, "Cargo.lock": LOCK}))
    more = '[lib]\npath = "x.rs"\n[[bin]]\nname = "y"\n[profile.dev]\nopt-level = 1\n'
    text = MANIFEST.replace("[dependencies]", 'build = "b.rs"\nlinks = "z"\n[dependencies]') + more
    changed, _ = find_rust_install(
        make_files({"Cargo.toml": text, "Cargo.lock": LOCK, "src/main.rs": "fn main() {}"})
    )
    assert changed == plain
    newer, _ = find_rust_install(
        make_files({"Cargo.toml": MANIFEST.replace('"1"', '"1.5"'), "Cargo.lock": LOCK})
    )
    assert newer != plain


def test_without_a_lock_the_newest_are_vendored_and_that_is_said(make_files: MakeFiles) -> None:
    install, [note] = find_rust_install(make_files({"Cargo.toml": MANIFEST}))
    assert install is not None
    assert "--locked" not in install.commands[0]
    assert "Cargo.lock" not in dict(install.files)
    assert "no Cargo.lock" in note


def test_a_workspace_with_its_members_and_what_they_lead_to(make_files: MakeFiles) -> None:
    files = {
        "Cargo.toml": "[workspace]\nmembers = ['crates/*', './tools/x']\nexclude = ['crates/old']\n"
        "[workspace.package]\nversion = '1.0.0'\n[workspace.dependencies]\nserde = '1'\n",
        "crates/a/Cargo.toml": "[package]\nname = 'a'\nversion.workspace = true\n"
        "[dependencies]\nserde.workspace = true\nhidden = { path = '../../hidden' }\n",
        "crates/old/Cargo.toml": "[dependencies]\nx = { git = 'https://evil.example' }\n",
        "tools/x/Cargo.toml": "[package]\nname = 'x'\n"
        "[target.'cfg(unix)'.dev-dependencies]\nm = '1'\n",
        "hidden/Cargo.toml": "[package]\nname = 'hidden'\nversion = '0.1.0'\n",
        "unrelated/Cargo.toml": "[dependencies]\ny = { git = 'https://evil.example' }\n",
    }
    install, _ = find_rust_install(make_files(files))
    assert install is not None
    assert {p for p, _ in install.files if p.endswith("Cargo.toml")} == {
        "Cargo.toml",
        "crates/a/Cargo.toml",
        "tools/x/Cargo.toml",
        "hidden/Cargo.toml",
    }
    assert "src/lib.rs" not in dict(install.files)
    assert manifest(install)["workspace"]["dependencies"] == {"serde": "1"}
    inner = manifest(install, "crates/a/Cargo.toml")
    assert inner["package"]["version"] == {"workspace": True}
    assert inner["dependencies"]["hidden"] == {"path": "../../hidden"}
    assert manifest(install, "tools/x/Cargo.toml")["target"] == {
        "cfg(unix)": {"dev-dependencies": {"m": "1"}}
    }


@pytest.mark.parametrize(
    "need",
    [
        "[dependencies]\nx = { git = 'https://evil.example' }\n",
        "[dev-dependencies.x]\nversion = '1'\nregistry = 'evil'\n",
        "[build-dependencies]\nx = { version = '1', registry-index = 'https://evil.example' }\n",
        "[target.'cfg(unix)'.dependencies]\nx = { git = 'https://evil.example' }\n",
        "[workspace.dependencies]\nx = { git = 'https://evil.example' }\n",
        "[patch.crates-io]\nx = { git = 'https://evil.example' }\n",
        "[replace]\n'x:1.0.0' = { git = 'https://evil.example' }\n",
    ],
)
def test_a_need_that_names_a_place_is_said_and_nothing_installed(
    make_files: MakeFiles, need: str
) -> None:
    install, [note] = find_rust_install(make_files({"Cargo.toml": need, "Cargo.lock": LOCK}))
    assert install is None
    assert note.startswith("Crates are not installed: x")
    assert "cargo vendor" in note


@pytest.mark.parametrize("path", ["../outside", "/etc", "missing", "a/../../b"])
def test_a_path_out_of_the_repository_is_said_and_nothing_installed(
    make_files: MakeFiles, path: str
) -> None:
    files = make_files({"Cargo.toml": f"[dependencies]\nx = {{ path = '{path}' }}\n"})
    install, [note] = find_rust_install(files)
    assert install is None
    assert "is not in the repository" in note


@pytest.mark.parametrize(
    "source",
    [
        "git+https://evil.example/x?rev=0#0",
        "registry+https://evil.example/index",
        "sparse+https://x/",
    ],
)
def test_a_lock_that_names_a_place_is_said_and_nothing_installed(
    make_files: MakeFiles, source: str
) -> None:
    files = {"Cargo.toml": MANIFEST, "Cargo.lock": LOCK.replace(CRATES_IO, source)}
    install, [note] = find_rust_install(make_files(files))
    assert install is None
    assert f"in Cargo.lock serde comes from {source}" in note


def test_a_lock_that_cannot_be_read_is_said(make_files: MakeFiles) -> None:
    install, [note] = find_rust_install(make_files({"Cargo.toml": MANIFEST, "Cargo.lock": "[["}))
    assert install is None
    assert "Cargo.lock cannot be read" in note


def test_vendored_crates_and_no_crates_need_nothing(make_files: MakeFiles) -> None:
    vendored = {"Cargo.toml": MANIFEST, "vendor/serde/Cargo.toml": ""}
    assert find_rust_install(make_files(vendored)) == (None, [])
    assert find_rust_install(make_files({"Cargo.toml": "[package]\nname = 'me'\n"})) == (None, [])


KEYS = "package workspace members dependencies target patch features name version path git x"
keys = st.sampled_from(KEYS.split()) | st.text(max_size=4)
scalars = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(keys, values))
def test_what_is_written_is_what_was_kept(whole: dict[str, Any]) -> None:
    found = tomllib.loads(_reduced(whole).decode())
    for name in ("dependencies", "features", "patch"):
        assert found.get(name) == whole.get(name)


@settings(deadline=None, max_examples=40)  # each is a tree that git stores
@given(st.dictionaries(keys, values), st.text(max_size=40))
def test_any_manifest_is_taken_or_refused(
    make_files: MakeFiles, whole: dict[str, Any], lock: str
) -> None:
    kept = _reduced(whole).decode()
    install, notes = find_rust_install(make_files({"Cargo.toml": kept, "Cargo.lock": lock}))
    if install is not None:
        install.check()
    assert all(note.isprintable() for note in notes)
