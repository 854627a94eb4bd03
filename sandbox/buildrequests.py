"""The requests of a build: counted, told in a line, and named where they were not carried out."""

import re
from collections import Counter
from typing import TYPE_CHECKING

from sandbox.buildjob import Job

if TYPE_CHECKING:
    from sandbox.egress.record import NetworkRequest

_SHOWN = 8  # hosts in a line
# How the way out says what would let a name lead into a private network.
_ENTRY = re.compile(r" an entry such as (\S+)$")


class Requests:
    """What one build asked of the way out; `denied` are the first that were not carried out."""

    def __init__(self, job: Job) -> None:
        self.denied: list[NetworkRequest] = []
        self._job = job
        self._counts: Counter[str] = Counter()
        self._received = 0

    def take(self, request: "NetworkRequest") -> None:
        """Take a request that has ended."""
        self._received += request.received
        if request.outcome == "ok":
            self._counts[_where(request)] += 1
            return
        self._job.output(f"{request.outcome}: {_where(request)}: {request.why}")
        if len(self.denied) < _SHOWN:
            self.denied.append(request)

    def tell(self) -> None:
        """Say what was asked, and of whom."""
        if not self._counts:
            return
        hosts = [f"{where} ({n})" for where, n in self._counts.most_common(_SHOWN)]
        more = len(self._counts) - len(hosts)
        hosts += [f"{more} others"] if more else []
        self._job.say(f"requests: {', '.join(hosts)}; {self._received / 1e6:,.1f} MB received")

    def trouble(self) -> tuple[str, str]:
        """What was not carried out, and what to do; empty where there was nothing."""
        refused = {_where(r): r.why for r in self.denied if r.outcome == "refused"}
        if refused:
            told = "; ".join(f"{where}: {why}" for where, why in refused.items())
            where, why = next(iter(refused.items()))
            wanted = _ENTRY.search(why)
            return f"it asked for what a build may not reach: {told}", (
                "If it is right to ask for that, name it in your settings, as "
                f'build_places = ["{wanted[1] if wanted else where}"]; a name in a private network '
                "with that network, as index.corp:443@10.0.0.0/8."
            )
        failed = "; ".join(dict.fromkeys(f"{_where(r)}: {r.why}" for r in self.denied))
        if not failed:
            return "", ""
        return f"what it asked for could not be reached: {failed}", (
            "Requests leave from this machine, by HTTPS_PROXY where that is set. For another index "
            "set PIP_INDEX_URL, npm_config_registry or apt_mirror."
        )


def _where(request: "NetworkRequest") -> str:
    text = f"[{request.host}]" if ":" in request.host else request.host
    return f"{text}:{request.port}"
