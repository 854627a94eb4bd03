import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.install import Install
from tasks.installs.node import find_node_install
from tests.tasks.conftest import MakeFiles

LOCK = json.dumps(
    {
        "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"a": "^1"}},
            "node_modules/a": {
                "version": "1.0.0",
                "resolved": "https://index.example/a/-/a-1.0.0.tgz",
                "integrity": "sha512-x",
            },
        },
    }
)


def package(**parts: Any) -> str:
    return json.dumps({"name": "me", "version": "1.0.0", "dependencies": {"a": "^1"}, **parts})


def content(install: Install | None, path: str) -> Any:
    assert install is not None
    return json.loads(dict(install.files)[path])


def test_npm_with_its_lock(make_files: MakeFiles) -> None:
    files = make_files({"package.json": package(), "package-lock.json": LOCK})
    install, notes = find_node_install(files, "npm")
    assert install is not None
    assert notes == []
    assert install.what == "the packages of package-lock.json, with npm"
    assert install.commands == ("npm ci --include=dev", "node place.js")
    assert dict(install.environment)["PATH"] == "/node_modules/.bin"
    assert "https://" not in str(content(install, "package-lock.json"))
    install.check()


def test_what_does_not_decide_on_the_packages_does_not_decide_on_the_layer(
    make_files: MakeFiles,
) -> None:
    lock = {"package-lock.json": LOCK}
    plain, _ = find_node_install(make_files({"package.json": package(), **lock}), "npm")
    other = package(scripts={"test": "jest"}, jest={"x": 1}, packageManager="npm@10.0.0", bin="x")
    more = {
        "package.json": other,
        "index.js": "1",
        ".npmrc": "registry=https://evil.example",
        **lock,
    }
    changed, notes = find_node_install(make_files(more), "npm")
    assert changed == plain
    assert notes == []
    newer, _ = find_node_install(
        make_files({"package.json": package(dependencies={"a": "^2"}), **lock}), "npm"
    )
    assert newer != plain


def test_no_configuration_of_the_repository_goes_into_the_build(make_files: MakeFiles) -> None:
    settings = {
        ".npmrc": "registry=https://evil.example\nlegacy-peer-deps = true\n",
        ".yarnrc": "registry https://evil.example\n",
        ".yarnrc.yml": "npmRegistryServer: https://evil.example\n",
        ".pnpmfile.cjs": "evil",
        "pnpm-workspace.yaml": "registry: https://evil.example\nautoInstallPeers: true\n",
    }
    for manager in ("npm", "pnpm", "yarn"):
        install, _ = find_node_install(make_files({"package.json": package(), **settings}), manager)
        assert install is not None
        assert b"evil" not in b"".join(raw for _path, raw in install.files)
        assert any("--legacy-peer-deps" in line for line in install.commands) == (manager == "npm")


def test_requirements_that_name_a_place_are_left_out_and_said(make_files: MakeFiles) -> None:
    places = {
        "b": "git+https://evil.example/b",
        "c": "user/c",
        "d": "file:../d",
        "e": "workspace:*",
    }
    text = package(
        devDependencies={**places, "f": "^1"}, overrides={"g": {"h": "user/h", "i": "1"}}
    )
    files = make_files({"package.json": text, "package-lock.json": LOCK})
    install, notes = find_node_install(files, "npm")
    reduced = content(install, "package.json")
    assert reduced["devDependencies"] == {"f": "^1"}
    assert reduced["overrides"] == {"g": {"i": "1"}}
    assert install is not None
    assert install.commands[0] == "npm install --include=dev"
    assert notes[0].startswith("package-lock.json is not used: package.json names more than")
    assert "b (git+https://evil.example/b); c (user/c); d (file:../d); e (workspace:*);" in notes[1]


def test_a_lock_that_names_a_place_is_not_used_and_that_is_said(make_files: MakeFiles) -> None:
    lock = LOCK.replace("https://index.example/a/-/a-1.0.0.tgz", "git+ssh://git@evil.example/a")
    install, [note] = find_node_install(
        make_files({"package.json": package(), "package-lock.json": lock}), "npm"
    )
    assert install is not None
    assert install.what == "the packages of package.json, with npm"
    assert "package-lock.json is not used: it names node_modules/a at git+ssh://" in note
    assert b"evil" not in b"".join(raw for _path, raw in install.files)


def test_without_a_lock_the_newest_are_installed_and_that_is_said(make_files: MakeFiles) -> None:
    install, [note] = find_node_install(make_files({"package.json": package()}), "npm")
    assert install is not None
    assert install.commands[0] == "npm install --include=dev"
    assert note.startswith("There is no lock file.")


def test_scripts_that_did_not_run_are_said(make_files: MakeFiles) -> None:
    text = package(scripts={"postinstall": "node build.js", "prepare": "husky"})
    _, notes = find_node_install(
        make_files({"package.json": text, "package-lock.json": LOCK}), "npm"
    )
    assert "script postinstall of package.json did not run" in notes[0]


def test_workspaces_are_found_and_installed_together(make_files: MakeFiles) -> None:
    inner = {
        "packages/a/package.json": package(name="@me/a", dependencies={"@me/b": "workspace:^"}),
        "packages/b/package.json": package(name="@me/b", scripts={"test": "x"}),
        "packages/skipped/package.json": package(name="skipped"),
        "deep/er/c/package.json": package(name="c"),
        "packages/a/node_modules/x/package.json": package(name="x"),
        "other/package.json": package(name="other"),
    }
    globs = ["packages/*", "./deep/**", "!packages/skipped"]
    listed = package(workspaces={"packages": globs})
    for manager, top in (
        ("yarn", {"package.json": listed}),
        (
            "pnpm",
            {"package.json": package(), "pnpm-workspace.yaml": f"packages: {json.dumps(globs)}"},
        ),
    ):
        install, notes = find_node_install(make_files({**inner, **top}), manager)
        assert content(install, "workspaces.json") == {
            "@me/a": "packages/a",
            "@me/b": "packages/b",
            "c": "deep/er/c",
        }
        assert content(install, "packages/a/package.json")["dependencies"] == {
            "@me/b": "workspace:^"
        }
        assert "scripts" not in content(install, "packages/b/package.json")
        assert "another version" in notes[-1]


def test_of_pnpms_settings_those_stay_that_decide_on_packages(make_files: MakeFiles) -> None:
    settings = """\
packages:
  - packages/*
catalog:
  a: ^1.0.0
  evil: https://evil.example/a.tgz
catalogs:
  old:
    a: ^0.9.0
onlyBuiltDependencies:
  - esbuild
allowBuilds:
  esbuild: true
registries:
  default: https://evil.example
"""
    files = {"package.json": package(), "pnpm-workspace.yaml": settings}
    install, notes = find_node_install(make_files(files), "pnpm")
    assert content(install, "pnpm-workspace.yaml") == {
        "packages": ["packages/*"],
        "catalog": {"a": "^1.0.0"},
        "catalogs": {"old": {"a": "^0.9.0"}},
        "onlyBuiltDependencies": ["esbuild"],
        "allowBuilds": {"esbuild": True},
    }
    assert "evil (https://evil.example/a.tgz)" in notes[1]


def test_settings_of_pnpm_that_cannot_be_read_are_a_problem(make_files: MakeFiles) -> None:
    files = make_files({"package.json": package(), "pnpm-workspace.yaml": "packages: *x\n"})
    find_node_install(files, "pnpm")
    assert files.problems == [
        "pnpm-workspace.yaml cannot be read as it is meant: "
        "line 1 is not in the form that package managers write"
    ]


def test_packages_that_were_included_are_not_installed(make_files: MakeFiles) -> None:
    files = {"package.json": package(), "node_modules/a/index.js": ""}
    assert find_node_install(make_files(files), "npm") == (None, [])
    install, notes = find_node_install(make_files(files), "pnpm")
    assert install is not None
    assert (install.what, install.commands) == (
        "pnpm 10",
        ("npm install --global --cache=.npm pnpm@10",),
    )
    assert notes == []


def test_without_requirements_there_is_nothing_to_install(make_files: MakeFiles) -> None:
    assert find_node_install(make_files({"package.json": "{}"}), "npm") == (None, [])


KEYS = """
name version dependencies devDependencies workspaces packages overrides pnpm scripts test
postinstall packageManager resolutions a
"""
keys = st.sampled_from(KEYS.split())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("packages/*"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None, max_examples=40)  # each is a tree that git stores
@given(
    st.sampled_from(["npm", "pnpm", "yarn"]),
    st.dictionaries(keys, values),
    st.dictionaries(keys, values),
    st.text(max_size=40),
)
def test_any_package_json_is_taken_as_far_as_it_makes_sense(
    make_files: MakeFiles, manager: str, top: object, inner: object, text: str
) -> None:
    files = {
        "package.json": json.dumps(top),
        "packages/a/package.json": json.dumps(inner),
        "package-lock.json": text,
        "pnpm-lock.yaml": text,
        "pnpm-workspace.yaml": text,
        "yarn.lock": text,
    }
    install, notes = find_node_install(make_files(files), manager)
    if install is not None:
        install.check()
    assert all(note.isprintable() for note in notes)


@pytest.mark.parametrize("name", ["../../x", "/etc", "a\nb"])
def test_a_workspace_with_an_odd_name_harms_nothing(make_files: MakeFiles, name: str) -> None:
    files = {"package.json": package(workspaces=["*"]), "w/package.json": package(name=name)}
    install, _ = find_node_install(make_files(files), "npm")
    assert content(install, "workspaces.json") == {}
