"""Test logs and test ids as SWE-bench has them, by the log parsers of the package `swebench`.

Its ids are what its parser of a repository reads in the log: of pytest's summary lines, in some
only the id up to its first blank, in some with paths in it shortened. So an id of ours is named by
having that parser read a line with it. Where results come as events, the log only has to agree with
them.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

from sandbox.errors import SetupError, UsageError
from tasks.formats.parsed import Parsed, clean
from tasks.task import FAILING, Status, TestResult

#: Before a parser's name, in a framework or a naming.
PREFIX = "swebench:"
_WORDS: Mapping[Status, str] = {
    "passed": "PASSED",
    "failed": "FAILED",
    "error": "ERROR",
    "skipped": "SKIPPED",
    "xfailed": "XFAIL",
    "xpassed": "PASSED",
}
_STATUSES: Mapping[str, Status] = {
    "PASSED": "passed",
    "FAILED": "failed",
    "ERROR": "error",
    "SKIPPED": "skipped",
    "XFAIL": "xfailed",
}
#: The worst first: of several tests with one name it counts.
_WORST: tuple[Status, ...] = ("error", "failed", "skipped", "xfailed", "xpassed", "passed")

LogParser = Callable[[str], Mapping[str, str]]


@lru_cache(maxsize=64)
def log_parser(name: str) -> LogParser:
    """The parser that SWE-bench calls `name`, with or without PREFIX. Raises SetupError without the
    package, UsageError where it has no such parser."""
    name = name.removeprefix(PREFIX)
    registry = _registry()
    if name not in registry:
        raise UsageError(
            f"The package swebench has no log parser {name!r}.",
            "A newer version may have it; rows name theirs in `log_parser`.",
        )
    parser = registry[name]
    return lambda text: parser(text, SimpleNamespace())


def _registry() -> Mapping[str, Callable[[str, Any], Mapping[str, str]]]:
    found = find_spec("swebench")
    if found is None or not found.submodule_search_locations:
        raise SetupError(
            "SWE-bench's log parsers are in its package swebench, which is not there.",
            "Install it: uv tool install 'greenroom[swebench]'",
        )
    # The package around them loads clients of clouds and hubs, and reads a file `.env`, as it is
    # imported; the parsers need none of it.
    around = ModuleType("swebench.harness")
    around.__path__ = [f"{found.submodule_search_locations[0]}/harness"]
    stand_in = sys.modules.setdefault(around.__name__, around) is around
    try:
        from swebench.harness.log_parsers import PARSER_REGISTRY  # noqa: PLC0415
    except ImportError as problem:
        raise SetupError(
            f"The installed package swebench has no log parsers where they are known: {problem}",
            "Install a version that this one knows: swebench>=5,<6",
        ) from None
    finally:
        if stand_in:
            del sys.modules[around.__name__]
    registry: Mapping[str, Callable[[str, Any], Mapping[str, str]]] = PARSER_REGISTRY
    return registry


def parse_log(framework: str, text: str) -> Parsed:
    """The results that a log tells, for test programs without a plugin of ours."""
    statuses = log_parser(framework)(clean(text))
    results = {id: TestResult(id, _STATUSES[word]) for id, word in statuses.items()}
    return Parsed(results=results)


def renamed(parsed: Parsed, naming: str, text: str) -> Parsed:
    """Results that came as events, under SWE-bench's ids. Of several with one id the worst counts.

    A log that tells another story than the events makes the run incomplete.
    """
    parser = log_parser(naming)
    results: dict[str, TestResult] = {}
    for result in parsed.results.values():
        id = _name(parser, result)
        known = results.get(id)
        if known is None or _WORST.index(result.status) < _WORST.index(known.status):
            results[id] = replace(result, id=id)
    told = parser(clean(text))
    differing = [
        id
        for id, result in results.items()
        if result.status not in FAILING and told.get(id) in ("FAILED", "ERROR")
    ]
    if differing:
        reason = f"the log says that {differing[0]} failed, its events do not"
        return replace(parsed, results=results, ended=False, reason=reason)
    return replace(parsed, results=results)


def _name(parser: LogParser, result: TestResult) -> str:
    named = list(parser(f"{_WORDS[result.status]} {result.id}"))
    return named[0] if len(named) == 1 else result.id
