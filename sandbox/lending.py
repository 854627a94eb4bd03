"""What this machine lends to the steps of a build: certificates, proxies, addresses of packages.

It goes to the steps alone, as variables and as files in a folder that is wiped before a layer is
saved, so none of it stays in the image; but for the address of a mirror, which has no login.
"""

import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from sandbox import certificates
from sandbox.archives import END_OF_ARCHIVE, member
from sandbox.buildjob import BuildSettings
from sandbox.errors import SetupError
from sandbox.patch import FILE
from sandbox.redaction import NPM_TOKEN

#: Where the lent files lie in a build container.
FOLDER = "/var/tmp/greenroom"  # noqa: S108 - a path in the container
# A distribution's archive, in the syntax of Python and of sed alike: it is known by its path, right
# below the host, after which the address ends.
_ARCHIVE = r"https?://[^/ ]+(/(debian(-security)?|ubuntu(-ports)?)/?([^!-~]|$))"


def lent_variables(settings: BuildSettings) -> dict[str, str]:
    """The variables of a build's steps."""
    return {
        "DEBIAN_FRONTEND": "noninteractive",
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "PYTHONDONTWRITEBYTECODE": "1",
        **network_variables(settings),
    }


def network_variables(settings: BuildSettings) -> dict[str, str]:
    """Those of the variables that say how the network is reached from here."""
    found = dict(settings.environment)
    files = lent_files(settings)
    if "ca.pem" in files:
        found |= certificates.naming(f"{FOLDER}/ca.pem")
    if "apt.conf" in files:
        found["APT_CONFIG"] = f"{FOLDER}/apt.conf"
    if "npmrc" in files:
        found["npm_config_userconfig"] = f"{FOLDER}/npmrc"
    return found


def proxies_of(settings: BuildSettings) -> dict[str, str]:
    """Those of the settings' variables that name this machine's own proxies."""
    return {n: v for n, v in settings.environment.items() if n.lower().endswith("_proxy")}


def lent_files(settings: BuildSettings) -> dict[str, bytes]:
    """The files of FOLDER by name, none where there is nothing to lend. Raises SetupError for
    certificates that cannot be read.
    """
    found: dict[str, bytes] = {}
    if settings.ca_bundle is not None:
        found["ca.pem"] = _certificates(settings.ca_bundle)
        # apt asks no variable for them.
        found["apt.conf"] = f'Acquire::https::CAInfo "{FOLDER}/ca.pem";\n'.encode()
    if NPM_TOKEN in settings.environment:
        place = urlsplit(settings.environment["npm_config_registry"])
        host = f"{place.netloc.rpartition('@')[2]}{place.path.rstrip('/')}/"
        # npm puts the variable's value there itself, so that the token stands in no file.
        found["npmrc"] = f"//{host}:_authToken=${{{NPM_TOKEN}}}\n".encode()
    return found


def _certificates(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise SetupError(
            f"The certificates in {path} cannot be read: {problem.strerror}.",
            "Make them readable, or name others with ca_bundle.",
        ) from problem


def lent_archive(settings: BuildSettings) -> bytes | None:
    """The lent files as a tar archive; None where there are none."""
    parts = [member(name, FILE, data) for name, data in lent_files(settings).items()]
    return b"".join([*parts, END_OF_ARCHIVE]) if parts else None


def mirrored(address: str, mirror: str | None) -> str:
    """An address of packages, at the mirror where it is a distribution's own archive."""
    return re.sub(f"^{_ARCHIVE}", rf"{mirror.rstrip('/')}\1", address) if mirror else address


def mirror_command(mirror: str) -> str:
    """A line for a shell that puts the mirror into the place of the distribution's own archives in
    what apt has as its sources. It stays there: later layers need it too.
    """
    replace = shlex.quote(rf"s#{_ARCHIVE}#{mirror.rstrip('/')}\1#g")
    files = "/etc/apt/sources.list /etc/apt/sources.list.d/*"
    return f'for f in {files}; do [ ! -w "$f" ] || sed -E -i {replace} "$f"; done'
