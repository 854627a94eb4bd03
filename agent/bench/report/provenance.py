"""The manifest, as it stands in the run's folder: what ran, on what, with which settings."""

from collections.abc import Iterator, Mapping
from typing import Any

from agent.bench.report.attempts import RunFolder, shortened
from agent.bench.report.markup import Markup, tag

#: Of a list or a mapping with more entries only the number is shown.
_ENTRIES = 24
_LENGTH = 400


def provenance(run: RunFolder) -> Markup:
    """The manifest as a list of its values by their dotted names."""
    rows = [
        tag("div", tag("dt", name), tag("dd", shortened(value, _LENGTH)))
        for name, value in flat(run.manifest)
    ]
    said = "manifest.json has all of it, the hash of each task included."
    return tag(
        "section",
        tag("h2", "Provenance"),
        tag("dl", *rows, class_="manifest") if rows else None,
        tag("p", said if rows else "The run has no manifest.", class_="quiet"),
        id="provenance",
    )


def flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """The values with their dotted names; what has many entries is only counted."""
    for key, value in data.items():
        name = f"{before}{key}"
        if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            value = {str(place): each for place, each in enumerate(value)}  # noqa: PLW2901
        if isinstance(value, Mapping) and 0 < len(value) <= _ENTRIES:
            yield from flat(value, f"{name}.")
        elif isinstance(value, Mapping | list) and len(value) > _ENTRIES:
            yield name, f"{len(value):,} entries"
        else:
            yield name, _plain(value)


def _plain(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
