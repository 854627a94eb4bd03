"""Secrets out of what leaves the job that makes an attempt: its artifacts and log may be the
world's."""

import os
import re
from collections.abc import Iterable, Mapping

from agent.bot.secretscan import PATTERNS
from sandbox.redaction import REDACTED, redact, secrets_in

_TELLING = re.compile(r"TOKEN|KEY|SECRET|PASS(WORD|WD)?$|PASSWORD|CREDENTIAL|AUTH", re.IGNORECASE)
#: A shorter value, such as `1` or `true`, is no secret and would be found everywhere.
_SHORTEST = 8
_MORE = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----.{0,10000}?-----END [A-Z0-9 ]{0,30}KEY-----",
        r"\bgl(?:pat|dt|ptt|rt|cbt|ft|soat)-[A-Za-z0-9_.-]{16,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"(?i:\bauthorization: *(?:basic|bearer|token) +)[^\s\"']{8,}",
    )
)


class Redaction:
    """Replaces the values of this machine's secret variables, and what looks like a secret."""

    def __init__(self, more: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> None:
        """`more` are further texts that must not be shown."""
        own = [value for name, value in environ.items() if _TELLING.search(name)]
        known = {*own, *more, *secrets_in(environ.values())}
        kept = [text for text in known if len(text) >= _SHORTEST and not os.path.exists(text)]
        self._known = tuple(sorted(kept, key=len, reverse=True))

    def __call__(self, text: str) -> str:
        text = redact(text, self._known)
        for pattern in (*_MORE, *(pattern for _, pattern in PATTERNS)):
            text = pattern.sub(REDACTED, text)
        return redact(text, secrets_in([text]))
