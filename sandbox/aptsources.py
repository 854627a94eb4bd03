"""The machine's own apt configuration: which mirror its distribution comes from."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>.+)$")
_ALIASES = ("stable", "oldstable", "testing", "unstable", "sid")


@dataclass(frozen=True)
class Source:
    """One place that packages come from: a mirror's address, a suite and its components.

    `keyring` is the file that its signatures are checked against, when the entry names one.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: str | None = None


def read_sources(folder: Path = Path("/etc/apt")) -> list[Source]:
    """Every enabled binary source, from sources.list and sources.list.d in both formats."""
    found: list[Source] = []
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".list":
            found += parse_one_line(text)
        elif path.suffix == ".sources":
            found += parse_deb822(text)
    return found


def parse_one_line(text: str) -> list[Source]:
    """The format `deb [options] uri suite component...`, a source a line."""
    found = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.split("#", 1)[0].strip())
        words = match["rest"].split() if match else []
        if match is None or len(words) < 3:
            continue
        options = dict(
            option.split("=", 1) for option in (match["options"] or "").split() if "=" in option
        )
        found.append(
            Source(words[0], words[1], tuple(words[2:]), _keyring(options.get("signed-by", "")))
        )
    return found


def parse_deb822(text: str) -> list[Source]:
    """The format of `.sources` files: stanzas of fields, each for several mirrors and suites."""
    found = []
    for stanza in _stanzas(text):
        if "deb" not in stanza.get("types", "").split():
            continue
        if stanza.get("enabled", "yes").strip().lower() in ("no", "false", "0", "off"):
            continue
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                components = tuple(stanza.get("components", "").split())
                found.append(Source(uri, suite, components, _keyring(stanza.get("signed-by", ""))))
    return found


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            fields[name] = value.strip()


def _keyring(value: str) -> str | None:
    """Signed-By when it is a file; it may also be a fingerprint or the key itself."""
    words = value.replace(",", " ").split()
    return words[0] if words and words[0].startswith("/") else None


def read_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The fields of os-release; empty when there is no such file."""
    if not path.is_file():
        return {}
    fields = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            fields[name.strip()] = " ".join(shlex.split(value))
    return fields


def distribution_sources(sources: list[Source], release: Mapping[str, str]) -> list[Source]:
    """The distribution's own sources among `sources`: its release first, then updates, security.

    Empty when none of them is the running release; other repositories are left out.
    """
    names = [release.get("VERSION_CODENAME", ""), release.get("UBUNTU_CODENAME", ""), *_ALIASES]
    for name in filter(None, names):
        own = [s for s in sources if s.suite == name and "main" in s.components]
        if own:
            # An update suite may come from another host, but is signed by the same distribution.
            later = [
                s
                for s in sources
                if s.suite in (f"{name}-updates", f"{name}-security", f"{name}/updates")
                and "main" in s.components
                and s.keyring == own[0].keyring
            ]
            return [_resolved(s) for s in (own[0], *later)]
    return []


def _resolved(source: Source) -> Source:
    """`mirror+file:` names a file of mirrors, as cloud images do: its first one is taken."""
    parts = urlsplit(source.uri)
    if parts.scheme != "mirror+file" or not Path(parts.path).is_file():
        return source
    for line in Path(parts.path).read_text(encoding="utf-8").splitlines():
        words = line.split("#", 1)[0].split()
        if words:
            return Source(words[0], source.suite, source.components, source.keyring)
    return source
