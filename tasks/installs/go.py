"""The modules of a Go repository, downloaded into a module cache of the image."""

import posixpath
import re

from sandbox.install import Install
from sandbox.patch import printable
from tasks.reading import RepositoryFiles

MODULES = "/usr/local/share/greenroom/gomodules"
# Nothing is asked for at run time; the build cache stays in the sandbox's home.
ENVIRONMENT = (
    ("GOMODCACHE", MODULES),
    ("GOPROXY", "off"),
    ("GOSUMDB", "off"),
    ("GOTOOLCHAIN", "local"),
)
# From module proxies alone, never from the server that a module's path names.
DOWNLOAD = (
    f"GOMODCACHE={MODULES} GOCACHE=$PWD/.cache GOTOOLCHAIN=local GOVCS='*:off' "
    f"GOPROXY=$(go env GOPROXY | sed 's/[,|]direct//g') go mod download"
)
NAMES = ("go.mod", "go.sum", "go.work", "go.work.sum")
#: What Go before 1.21 does not read.
NEWER = re.compile(r"(?m)^(?:go \d+\.\d+(?:\.\d+|rc\d+)|toolchain\s|godebug\s|tool\s|ignore\s)")
_LOCAL = re.compile(r"(?m)=>\s*(\.{1,2}(?:/\S*)?|/\S*)\s*(?://.*)?$")


def find_go_install(files: RepositoryFiles) -> tuple[Install | None, list[str]]:
    """The installation that a repository's go.mod and go.sum ask for, and notes for the user."""
    if files.has("vendor/modules.txt"):
        return None, []
    paths = [path for path in files.paths if posixpath.basename(path) in NAMES]
    modules = [path for path in paths if not re.search(r"(^|/)(vendor|testdata|[._][^/]*)/", path)]
    texts = files.texts(modules)
    if not any(re.search(r"(?m)^require\b", text) for text in texts.values()):
        return None, []
    refused = _refused(files, texts)
    if refused:
        return None, [
            f"Go modules are not installed: {refused}. Vendor them (`go mod vendor`), or name an "
            f"image that has them."
        ]
    install = Install(
        kind="go",
        what="the modules of go.mod, with go",
        files=tuple((path, text.encode()) for path, text in texts.items()),
        commands=(DOWNLOAD,),
        environment=ENVIRONMENT,
    )
    note = "There is no go.sum, so Go will not use the modules that are installed."
    return install, [] if files.has("go.sum") else [note]


def _refused(files: RepositoryFiles, texts: dict[str, str]) -> str:
    """Why nothing can be installed; empty when it can."""
    for path, text in texts.items():
        if not path.isprintable():
            return f"{printable(path)} is no name of a file"
        if NEWER.search(text):
            return f"{path} is for a Go of 1.21 or later, and the sandbox's Debian has 1.19"
        folder = posixpath.dirname(path)
        for local in _LOCAL.findall(text):
            place = posixpath.normpath(posixpath.join(folder, local))  # "/..." stays as it is
            if not files.has(posixpath.join(place, "go.mod")):
                return f"{path} takes a module from {printable(local)}, outside of the repository"
    return ""
