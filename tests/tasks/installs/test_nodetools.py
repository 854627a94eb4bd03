import pytest

from tasks.installs.nodetools import find_tool, package_manager
from tests.tasks.conftest import MakeFiles


@pytest.mark.parametrize(
    ("files", "manager"),
    [
        ({"package.json": '{"packageManager": "pnpm@9.1.0+sha512.0"}', "yarn.lock": ""}, "pnpm"),
        ({"package.json": '{"packageManager": "bun@1"}'}, "npm"),
        ({"package.json": '{"packageManager": 1}', "yarn.lock": ""}, "yarn"),
        ({"pnpm-lock.yaml": ""}, "pnpm"),
        ({"package.json": "[]"}, "npm"),
    ],
)
def test_the_package_manager_is_the_one_named_or_the_one_whose_lock_is_there(
    make_files: MakeFiles, files: dict[str, str], manager: str
) -> None:
    assert package_manager(make_files(files)) == manager


@pytest.mark.parametrize(
    ("named", "lock", "version"),
    [
        ("pnpm@9.1.0+sha512.0", "lockfileVersion: '6.0'", "9.1.0"),
        ("pnpm@9.1.0-rc.1", "", "9.1.0-rc.1"),
        (None, "lockfileVersion: 5.4", "7"),
        (None, "lockfileVersion: '6.0'", "8"),
        (None, "lockfileVersion: '9.0'", "10"),
        ("yarn@1.22.19", "", "10"),
        ("pnpm@11.2.0", "", "10"),
        ("pnpm@latest", "", "10"),
        ("pnpm@1.0.0; reboot", "", "1.0.0"),
    ],
)
def test_pnpm_in_the_version_that_is_named_or_reads_the_lock(
    named: str | None, lock: str, version: str
) -> None:
    tool = find_tool("pnpm", {"packageManager": named}, lock, "")
    assert (tool.name, tool.version) == ("pnpm", version)
    assert tool.prepare == (f"npm install --global --cache=.npm pnpm@{version}",)


@pytest.mark.parametrize(
    ("named", "lock", "settings", "version"),
    [
        ("yarn@1.22.19", "", "", "1.22.19"),
        (None, "# yarn lockfile v1\n", "", "1.22.22"),
        ("yarn@4.5.0", "", "", "4.5.0"),
        ("yarn@2.4.3", "", "", "2.4.2"),
        (None, "__metadata:\n  version: 6\n", "", "3.8.7"),
        (None, "__metadata:\n  version: 8\n", "", "4"),
        (None, "__metadata:\n  version: 6\n", "yarnPath: .yarn/releases/yarn-3.6.1.cjs\n", "3.6.1"),
        (None, "", 'yarnPath: "a; reboot"\n', "1.22.22"),
    ],
)
def test_yarn_in_the_version_that_is_named_or_reads_the_lock(
    named: str | None, lock: str, settings: str, version: str
) -> None:
    tool = find_tool("yarn", {"packageManager": named}, lock, settings)
    assert (tool.name, tool.version) == ("yarn", version)
    assert bool(tool.files) == (not version.startswith("1."))
    assert any(f"@{version}" in command for command in tool.prepare)


def test_with_a_lock_nothing_else_is_installed_than_it_says() -> None:
    npm = find_tool("npm", {}, "", "")
    assert npm.install("package-lock.json", ["--x"]) == ("npm ci --include=dev --x",)
    assert npm.install("") == ("npm install --include=dev",)
    assert npm.prepare == ()
    pnpm = find_tool("pnpm", {}, "", "")
    assert " --frozen-lockfile " in pnpm.install("pnpm-lock.yaml")[0]
    assert " --no-frozen-lockfile " in pnpm.install("")[0]
    classic = find_tool("yarn", {}, "", "")
    assert "--frozen-lockfile" in classic.install("yarn.lock")[-1]
    assert classic.install("yarn.lock")[0].startswith("sed ")
    assert "--frozen-lockfile" not in classic.install("")[-1]
    berry = find_tool("yarn", {"packageManager": "yarn@4.5.0"}, "", "")
    assert berry.install("yarn.lock")[0].endswith(" --immutable")
    assert berry.install("")[0].endswith(" --no-immutable")
