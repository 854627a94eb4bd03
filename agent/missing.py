"""What a run of the tests asked for in vain, told from what it printed, and what brings it."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from tasks.task import TestReport

#: For a module of a package of the repository that no file of it is: a build makes it, or nobody
#: has written it yet.
NO_FILE = (
    "It belongs to a package of the repository and is no file there: if a build makes it, name the "
    "command that does in `rebuild` (--rebuild)."
)
#: Whatever a stranger's output holds: nobody reads more, and each is looked for among all files.
MOST = 50

_ROOM = "Clean rooms have no network: add what is missing to the image with"
_MODULE = re.compile(r"No module named ['\"]?([\w.]*\w)")
_NAME = re.compile(r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'")
_OTHERS = (
    (
        re.compile(r"(?m)^(?:bash|sh)(?:: line \d+)?: (?:\d+: )?(\S+?): (?:command )?not found"),
        "the program {}",
        f"{_ROOM} --apt.",
    ),
    (
        re.compile(r"error while loading shared libraries: (\S+?):"),
        "the library {}",
        f"{_ROOM} --apt.",
    ),
    (
        re.compile(r"Cannot find module '([^'.][^']*)'"),
        "the Node module {}",
        "Node modules come into the image by package.json and its lock file: name it there.",
    ),
)
_GENERATED = re.compile(r"_?version|_?build_info|\w+_pb2(_grpc)?")
_SOURCES = (".pyx", ".c", ".cc", ".cpp", ".rs", ".proto", ".py.in")
_TOPS = ("", "src/", "lib/", "python/")


@dataclass(frozen=True)
class Missing:
    """What is missing, in words, and what to do about it."""

    what: str
    advice: str


def missing(report: TestReport, paths: Set[str]) -> tuple[Missing, ...]:
    """Modules, programs and libraries that the tests asked for in vain, each once. `paths` are the
    files of the repository: what it has or makes itself is no matter of the image."""
    texts = [report.output, *report.errors]
    texts += [result.detail for result in report.results.values()]
    modules: dict[str, None] = {}
    names: dict[tuple[str, str], None] = {}
    others: dict[Missing, None] = {}
    for text in texts:
        modules |= dict.fromkeys(_MODULE.findall(text))
        names |= dict.fromkeys(_NAME.findall(text))
        for pattern, words, advice in _OTHERS:
            for name in pattern.findall(text):
                others[Missing(words.format(name), advice)] = None
    found = [Missing(f"the Python module {m}", _advice(m, paths)) for m in list(modules)[:MOST]]
    for name, package in list(names)[:MOST]:
        if source := _source(name, paths):
            found.append(Missing(f"the Python module {package}.{name}", _made(f" from {source}")))
    return (*found, *list(others)[:MOST])


def by_advice(lacking: Iterable[Missing]) -> Mapping[str, list[str]]:
    """What is missing, below the advice that it has in common."""
    found: dict[str, list[str]] = {}
    for each in lacking:
        found.setdefault(each.advice, []).append(each.what)
    return found


def _advice(module: str, paths: Set[str]) -> str:
    place = _place(module, paths)
    if place is not None:
        return (
            f"The repository has it in {place}/, where Python does not look: put that on its path, "
            f'as in test_cmd = "PYTHONPATH={place} python3 -m pytest". If a package of that name '
            f"is meant, add it to the image with --pip."
        )
    top, below, name = module.partition(".")[0], "." in module, module.rpartition(".")[2]
    own = _place(top, paths) is not None or _is_namespace(top, paths)
    if own or not below:
        source = _source(name, paths)
        if source or _GENERATED.fullmatch(name):
            return _made(f" from {source}" if source else "")
    return NO_FILE if own else f"{_ROOM} --pip."


def _made(source: str) -> str:
    return (
        f"A build makes it{source}, and it is not there: name the command that does in `rebuild` "
        f"(--rebuild 'COMMAND')."
    )


def _place(module: str, paths: Set[str]) -> str | None:
    """The folder from which a file of the repository is this module, None for none. One inside a
    package has a longer name than its own."""
    inside = module.replace(".", "/")
    for ending in (f"/{inside}.py", f"/{inside}/__init__.py"):
        for path in paths:
            if f"/{path}".endswith(ending):
                folder = path[: -len(ending)]
                if f"{folder}/__init__.py" not in paths:
                    return folder or "."
    return None


def _is_namespace(name: str, paths: Set[str]) -> bool:
    """Whether a folder with modules, and without an __init__.py, has this name."""
    tops = tuple(f"{top}{name}/" for top in _TOPS)
    return any(path.startswith(tops) and path.endswith(".py") for path in paths)


def _source(name: str, paths: Set[str]) -> str:
    """The file of the repository that a build makes a module of this name from."""
    stem = re.sub(r"_pb2(_grpc)?$", "", name)
    wanted = {stem + ending for ending in _SOURCES}
    return min((path for path in paths if posixpath.basename(path) in wanted), default="")
