"""Numbers about a whole log."""

from collections import Counter
from collections.abc import Iterable

from accesslog.parsing import Entry


def requests_by_status(entries: Iterable[Entry]) -> dict[int, int]:
    return dict(sorted(Counter(entry.status for entry in entries).items()))


def traffic_by_path(entries: Iterable[Entry]) -> dict[str, int]:
    """The bytes sent for each path."""
    traffic: Counter[str] = Counter()
    for entry in entries:
        traffic[entry.path] += entry.size
    return dict(traffic)


def busiest_hosts(entries: Iterable[Entry], limit: int = 3) -> list[str]:
    """The hosts with the most requests; equal ones in the order of their names."""
    counts = Counter(entry.host for entry in entries)
    return sorted(counts, key=lambda host: (-counts[host], host))[:limit]
