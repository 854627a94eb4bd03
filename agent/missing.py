"""What a run of the tests asked for in vain, told from what it printed."""

import re
from collections.abc import Collection

from tasks.task import TestReport

ADVICE = "Clean rooms have no network: add what is missing to the image with --pip or --apt."

_MODULE = "the Python module {}"
_PATTERNS = (
    (re.compile(r"No module named ['\"]?([\w.]+)"), _MODULE),
    (
        re.compile(r"(?m)^(?:bash|sh)(?:: line \d+)?: (?:\d+: )?(\S+?): (?:command )?not found"),
        "the program {}",
    ),
    (re.compile(r"error while loading shared libraries: (\S+?):"), "the library {}"),
    (re.compile(r"Cannot find module '([^'.][^']*)'"), "the Node module {}"),
)


def missing(report: TestReport, own: Collection[str] = ()) -> tuple[str, ...]:
    """Modules, programs and libraries that the tests asked for in vain, each named once.

    Python modules below the packages `own` are left out: no image can bring those.
    """
    texts = [report.output, *report.errors]
    texts += [result.detail for result in report.results.values()]
    names: dict[str, None] = {}
    for text in texts:
        for pattern, words in _PATTERNS:
            for name in pattern.findall(text):
                if words != _MODULE or name.partition(".")[0] not in own:
                    names[words.format(name)] = None
    return tuple(names)
