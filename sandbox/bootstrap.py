"""A base image without a registry: debootstrap from the mirror this machine itself uses."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from sandbox.aptsources import Source, distribution_sources, read_release, read_sources
from sandbox.buildjob import Job, check_stream, failure
from sandbox.errors import SetupError
from sandbox.lending import mirrored
from sandbox.naming import IMAGE_LABEL

OTHER_WAYS = (
    "Or load an image here (`docker load -i FILE`) or pull one from a registry that you can "
    "reach, and name it with --image NAME; it needs python3 and bash."
)

# Containers need no documentation; what is left out here, later layers leave out too.
_DPKG_SETTINGS = """\
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
"""
_APT_SETTINGS = """\
Acquire::Languages "none";
APT::Install-Recommends "false";
"""
_LEFT_OUT = (
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./run/*",
    "./tmp/*",
    "./etc/hostname",  # debootstrap copies these two from this machine
    "./etc/resolv.conf",
    "./usr/share/doc/*/[!c]*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/*/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
)
_TREE_BYTES = 700 << 20
_LEAST_FREE = 16 << 20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def bootstrap(job: Job, packages: list[str], tag: str, scratch: Path) -> str:
    """Makes an image named `tag` with `packages` and returns a word on where it came from.

    Needs root, debootstrap and a Debian or Ubuntu whose apt has a mirror; SetupError says exactly
    what lacks. `scratch` is a folder for the tree, which is removed again.
    """
    sources = [
        replace(source, uri=mirrored(source.uri, job.settings.apt_mirror))
        for source in _own_sources()
    ]
    program = _debootstrap()
    with _folder(scratch) as root:
        _run_debootstrap(job, program, packages, sources, root)
        _finish(root, sources)
        job.begin("importing the system into Docker")
        _import(job, root, tag)
    return f"debootstrap {sources[0].suite}"


def _own_sources() -> list[Source]:
    release = read_release()
    sources = distribution_sources(read_sources(), release)
    if not sources:
        name = release.get("PRETTY_NAME", "this system")
        raise SetupError(
            "No base image: no registry could be reached, and a base can be made here only from "
            f"the apt mirror of Debian or Ubuntu; {name} has none configured.",
            OTHER_WAYS,
        )
    return sources


def _debootstrap() -> str:
    program = shutil.which("debootstrap", path=f"{os.environ.get('PATH', '')}:{_PATH}")
    if program is None:
        raise SetupError(
            "No base image: no registry could be reached, and debootstrap, which makes a base "
            "from this machine's apt mirror, is not installed.",
            f"As root: apt-get install debootstrap, then run this again as root. {OTHER_WAYS}",
        )
    if os.geteuid() != 0:
        raise SetupError(
            "No base image: no registry could be reached, and making a base with debootstrap "
            "needs root.",
            f"Run this once with sudo; afterwards the image is cached. {OTHER_WAYS}",
        )
    return program


@contextmanager
def _folder(scratch: Path) -> Iterator[Path]:
    scratch.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(scratch).free
    if free < _TREE_BYTES:
        raise SetupError(
            f"No base image: the disk of {scratch} is full. Making a base needs "
            f"{_TREE_BYTES >> 20} MiB there for a while, and {free >> 20} MiB are free.",
            "Free some space, or name another cache folder with XDG_CACHE_HOME.",
        )
    root = Path(tempfile.mkdtemp(prefix="bootstrap-", dir=scratch))
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _run_debootstrap(
    job: Job, program: str, packages: list[str], sources: list[Source], root: Path
) -> None:
    main = sources[0]
    components = [c for c in main.components if c in ("main", "universe")]
    command = [program, "--variant=minbase", "--force-check-gpg"]
    command += [f"--components={','.join(components)}", f"--include={','.join(packages)}"]
    if main.keyring and Path(main.keyring).is_file():
        command.append(f"--keyring={main.keyring}")
    command += [main.suite, str(root), main.uri]
    job.begin(f"making a base of {main.suite} with debootstrap")
    job.say("  from this machine's own apt mirror, because no registry answers; a minute or two")
    # Its mounts live in a namespace of their own, so that none is left when it is killed.
    code = _run(job, ["unshare", "--mount", "--propagation", "private", *command])
    if code != 0:
        if shutil.disk_usage(root).free < _LEAST_FREE:
            job.output("No space left on device")  # debootstrap itself does not tell
        error = failure(job, f"debootstrap of {main.suite} from {_bare(main.uri)} failed")
        raise SetupError(error.message, f"{error.hint} {OTHER_WAYS}".strip())


def _run(job: Job, command: list[str]) -> int:
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": _PATH, "LC_ALL": "C", "HOME": "/root", **_proxy(job)},
        umask=0o022,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    with process, job.stoppable(lambda: os.killpg(process.pid, signal.SIGKILL)):
        with job.limited(job.settings.time_limit):
            for line in process.stdout or ():
                job.output(line)
        code = process.wait()
    job.check()
    return code


def _proxy(job: Job) -> dict[str, str]:
    """Proxies of the environment, else the one that apt itself is told to use."""
    found = {k: v for k, v in job.settings.environment.items() if "proxy" in k.lower()}
    if "http_proxy" not in found:
        asked = subprocess.run(
            ["apt-config", "shell", "value", "Acquire::http::Proxy"],
            capture_output=True,
            text=True,
            check=False,
        )
        value = asked.stdout.strip().removeprefix("value=").strip("'")
        if value.startswith("http"):
            found["http_proxy"] = value
    return found


def _finish(root: Path, sources: list[Source]) -> None:
    lines = [f"deb {_bare(s.uri)} {s.suite} {' '.join(s.components)}\n" for s in sources]
    files = {
        "etc/apt/sources.list": "".join(lines),
        "etc/apt/apt.conf.d/90greenroom": _APT_SETTINGS,
        "etc/dpkg/dpkg.cfg.d/90greenroom": _DPKG_SETTINGS,
    }
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8")
    # Packages must not start services while a layer is built.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)


def _bare(uri: str) -> str:
    """The address without a password, which must get into no image and no message."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _import(job: Job, root: Path, tag: str) -> None:
    command = ["tar", "--create", "--numeric-owner", "--one-file-system", "--directory", str(root)]
    command += [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    repository, _, name = tag.rpartition(":")
    with subprocess.Popen([*command, "."], stdout=subprocess.PIPE, env={"PATH": _PATH}) as tar:
        with job.stoppable(tar.kill):
            answer = job.api.import_image_from_data(
                _chunks(tar.stdout),
                repository=repository,
                tag=name,
                changes=[f"ENV PATH={_PATH}", f"LABEL {IMAGE_LABEL}=1", 'CMD ["bash"]'],
            )
        code = tar.wait()
    job.check()
    check_stream(job, answer.splitlines(), "importing the system into Docker failed")
    if code != 0:
        raise SetupError(f"Packing the bootstrapped system failed (tar ended with {code}).")


def _chunks(stream: IO[bytes] | None) -> Iterator[bytes]:
    while stream is not None and (chunk := stream.read(1 << 20)):
        yield chunk
