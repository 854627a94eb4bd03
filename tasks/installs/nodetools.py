"""The package managers of Node: which version a repository uses, and how it is run in a build."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.installs.nodelocks import REGISTRY
from tasks.reading import RepositoryFiles

# Where package.json names no version: one that reads the lock and runs on Debian's node 18.
PNPM = "10"
PNPM_BY_LOCK = {"5": "7", "6": "8"}
PNPM_BEYOND_NODE_18 = "11"
YARN = "1.22.22"
BERRY = "4"
BERRY_BY_LOCK = {"4": "2.4.2", "5": "3.1.1", "6": "3.8.7"}
OLDEST_BERRY = "2.4.2"

# An installation into another place heeds no .npmrc of the folder, where the cache is set.
GLOBALLY = "npm install --global --cache=.npm"

_VERSION = r"(\d+\.\d+\.\d+(?:-[\w.]+)?)"
# Yarn 2 and later have settings of their own for what npm is told by the build's environment.
_BERRY_SH = b"""\
YARN_NPM_REGISTRY_SERVER="$(npm config get registry | sed 's|/$||')"
export YARN_NPM_REGISTRY_SERVER YARN_GLOBAL_FOLDER="$PWD/.berry/global"
[ -z "${HTTPS_PROXY:-}" ] || export YARN_HTTPS_PROXY="$HTTPS_PROXY"
[ -z "${HTTP_PROXY:-}" ] || export YARN_HTTP_PROXY="$HTTP_PROXY"
[ -z "${NODE_EXTRA_CA_CERTS:-}" ] || export YARN_HTTPS_CA_FILE_PATH="$NODE_EXTRA_CA_CERTS"
exec .berry/node_modules/.bin/yarn "$@"
"""
_BERRY_SETTINGS = b"""\
nodeLinker: node-modules
enableGlobalCache: false
enableTelemetry: false
"""


@dataclass(frozen=True)
class Tool:
    """One package manager in one version: the files it needs, the commands that install it."""

    name: str
    version: str = ""
    files: tuple[tuple[str, bytes], ...] = ()
    prepare: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()

    def install(self, lock: str, options: Sequence[str] = ()) -> tuple[str, ...]:
        """The commands that install by the lock file at a path, or without one where it is empty;
        `options` are what the lock asks for."""
        if self.name == "npm":
            return (f"npm {'ci' if lock else 'install'} --include=dev {' '.join(options)}".strip(),)
        if self.name == "pnpm":
            more = " ".join(["--config.node-linker=hoisted", "--store-dir=.store", *options])
            return (f"pnpm install --{'' if lock else 'no-'}frozen-lockfile {more}",)
        if self.files:
            return (f"sh berry.sh install {'--immutable' if lock else '--no-immutable'}",)
        more = "--non-interactive --ignore-engines --cache-folder=.cache"
        if not lock:
            return (f"yarn install {more}",)
        index = f"s|{REGISTRY}|$(npm config get registry | sed 's|/$||')|"
        return f'sed -i "{index}" {lock}', f"yarn install --frozen-lockfile {more}"


def package_manager(files: RepositoryFiles) -> str:
    """The package manager of a Node repository: npm, pnpm or yarn."""
    named = files.json("package.json").get("packageManager")
    if isinstance(named, str) and named.partition("@")[0] in ("npm", "pnpm", "yarn"):
        return named.partition("@")[0]
    if files.has("pnpm-lock.yaml"):
        return "pnpm"
    return "yarn" if files.has("yarn.lock") else "npm"


def find_tool(manager: str, package: Mapping[str, Any], lock: str, settings: str) -> Tool:
    """The tool for a repository: `package` is its package.json, `lock` its lock file's text,
    `settings` the text of its .yarnrc.yml."""
    named = re.match(rf"(npm|pnpm|yarn)@{_VERSION}", str(package.get("packageManager")))
    version = named[2] if named and named[1] == manager else ""
    if manager == "pnpm":
        form = re.search(r"(?m)^lockfileVersion: '?(\d+)", lock)
        chosen = version or PNPM_BY_LOCK.get(form[1] if form else "", PNPM)
        if chosen.split(".")[0] == PNPM_BEYOND_NODE_18:
            chosen = PNPM
        return Tool("pnpm", chosen, prepare=(f"{GLOBALLY} pnpm@{chosen}",))
    if manager == "yarn":
        return _yarn(version, lock, settings)
    return Tool("npm")


def _yarn(version: str, lock: str, settings: str) -> Tool:
    release = re.search(rf"(?m)^yarnPath: .*yarn-{_VERSION}\.c?js", settings)
    version = version or (release[1] if release else "")
    form = re.search(r"(?m)^__metadata:\s+version: (\d+)", lock)
    if version.startswith("1.") or not (version or form):
        chosen = version or YARN
        return Tool("yarn", chosen, prepare=(f"{GLOBALLY} yarn@{chosen}",))
    chosen = version or BERRY_BY_LOCK.get(form[1] if form else "", BERRY)
    if chosen.startswith("2."):
        chosen = OLDEST_BERRY
    return Tool(
        "yarn",
        chosen,
        (("berry.sh", _BERRY_SH), (".yarnrc.yml", _BERRY_SETTINGS)),
        (
            f"npm install --cache=.npm --prefix .berry @yarnpkg/cli-dist@{chosen}",
            # It runs scripts only where it installed; the first one runs them anywhere.
            f"{GLOBALLY} yarn@{YARN}",
        ),
    )
