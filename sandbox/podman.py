"""Podman: a sandbox's container in the words of Podman's own API.

Its Docker-compatible API would start a weaker one. It drops masked paths and the control groups'
namespace without a word, refuses a bound on files and an owner for a tmpfs, wants the seccomp
profile as a file, and puts unbounded writable folders on a read-only root.
"""

import hashlib
import json
import os
import re
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import SetupError

PERIOD = 100_000  # microseconds, of which a share of the processors is reckoned
# Podman gives the root of a tmpfs with options to root. The supervisor hands it over before
# anything else, and gives these two up for good.
HANDING_OVER = ("CHOWN", "SETPCAP")
_PLAIN = re.compile(r"[\w .,:;/@+=*-]*", re.ASCII)
# What the two APIs call the same.
_SAME = {
    "Image": "image",
    "Entrypoint": "entrypoint",
    "Cmd": "command",
    "User": "user",
    "WorkingDir": "work_dir",
    "Labels": "labels",
    "OpenStdin": "stdin",
    "Tty": "terminal",
    "Hostname": "hostname",
    "Healthcheck": "healthconfig",
    "AutoRemove": "remove",
    "Init": "init",
    "ExtraHosts": "hostadd",
    "Dns": "dns_server",
    "DnsSearch": "dns_search",
    "ReadonlyRootfs": "read_only_filesystem",
    "Privileged": "privileged",
    "CapDrop": "cap_drop",
    "OomScoreAdj": "oom_score_adj",
    "Sysctls": "sysctl",
    "MaskedPaths": "mask",
    "Runtime": "oci_runtime",
}
# Without a meaning there: a container with a standard input is attached to as a whole, and its
# input ends with the stream that was attached; the paths are read-only on every Podman.
_WITHOUT = ("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce", "ReadonlyPaths")


def client(docker: Any) -> Any:
    """The class of docker-py's client for an engine that is Podman; `docker` is that module."""

    class Client(docker.APIClient):  # type: ignore[misc]
        """Mends what Podman's Docker-compatible API drops of a build's calls."""

        def create_host_config(self, **given: Any) -> Any:
            # There may be no program for an init; and Podman would raise these limits to what it
            # may not where it runs in a container itself.
            most = {"nofile": 4096, "nproc": given.get("pids_limit") or 4096}
            limits = [docker.types.Ulimit(name=n, soft=m, hard=m) for n, m in most.items()]
            return super().create_host_config(**{"ulimits": limits, **given, "init": False})

        def commit(
            self,
            container: str,
            repository: str | None = None,
            tag: str | None = None,
            *,
            changes: str | None = None,
            conf: Mapping[str, Any] | None = None,
        ) -> Any:
            wanted = [*changes_to(conf or {}), *(changes or "").splitlines()]
            made = super().commit(container, repository, tag, changes=wanted)
            return {"Id": f"sha256:{made['Id'].removeprefix('sha256:')}"}

        def import_image_from_data(
            self, data: Any, repository: str, tag: str, changes: Any = None
        ) -> Any:
            # A tag by itself is not looked at.
            name = f"{repository}:{tag}"
            return super().import_image_from_data(data, repository=name, changes=changes)

    return Client


def short_name(name: str) -> str:
    """An image's name as Docker tells it: Podman sets a registry before every name."""
    return name.removeprefix("localhost/").removeprefix("docker.io/")


def changes_to(conf: Mapping[str, Any]) -> list[str]:
    """What an image's configuration changes in that of its container. Podman 4 takes a value as it
    stands, Podman 5 as a Dockerfile does, so only labels and variables that are the same to both
    are told; the others come from the container, which has them from its image."""
    labels = conf.get("Labels") or {}
    found = [f'LABEL "{name}"="{text}"' for name, text in labels.items() if _PLAIN.fullmatch(text)]
    variables = [each.partition("=") for each in conf.get("Env") or []]
    found += [f'ENV "{name}"="{text}"' for name, _, text in variables if _PLAIN.fullmatch(text)]
    for name in ("Entrypoint", "Cmd"):
        if name in conf:
            found.append(f"{name.upper()} {json.dumps(conf[name] or [])}")
    found += [f"USER {conf['User']}"] if conf.get("User") else []
    found += [f"WORKDIR {conf['WorkingDir']}"] if conf.get("WorkingDir") else []
    return found


def create(api: Any, libpod: str, config: Mapping[str, Any], name: str, cache: Path) -> str:
    """Create a container as `config`, the body of Docker's create call, describes it: its id.
    `libpod` is the version of the API, `cache` a folder that the engine can read too. Raises what
    docker-py raises."""
    import docker  # noqa: PLC0415
    from requests import HTTPError  # noqa: PLC0415

    body = {**container_body(config, cache), "name": name}
    profile = body["seccomp_profile_path"]
    place = f"{api.base_url}/v{libpod}/libpod/containers/create"
    answer = api.post(place, json=body, timeout=api.timeout)
    try:
        answer.raise_for_status()
    except HTTPError as error:
        if "seccomp profile" in answer.text and "no such file" in answer.text:
            raise SetupError(
                f"Podman finds no {profile} on its machine: it reads the profile of system calls "
                "from a file.",
                "Its machine has to see that folder at the same path; another one is named with "
                "XDG_CACHE_HOME.",
            ) from error
        docker.errors.create_api_error_from_http_exception(error)
    return str(answer.json()["Id"])


def describe(api: Any, libpod: str) -> dict[str, Any]:
    """What Podman says of itself, in the words of Docker's /info. Raises what requests raises."""
    answer = api.get(f"{api.base_url}/v{libpod}/libpod/info", timeout=api.timeout)
    answer.raise_for_status()
    return as_info(answer.json())


def as_info(told: Mapping[str, Any]) -> dict[str, Any]:
    """Podman's answer to its own /info in the words of Docker's. What it answers to Docker's is
    read from files of control groups version 1, and of the whole machine, so it is wrong both ways
    on version 2 and for rootless engines."""
    host = told["host"]
    controllers = host.get("cgroupControllers") or ()
    mapped = (host.get("idMappings") or {}).get("uidmap") or ()
    security = host.get("security") or {}
    options = ["name=seccomp"] if security.get("seccompEnabled") else []
    return {
        "OSType": host["os"],
        "Architecture": host["arch"],
        "NCPU": host["cpus"],
        "MemTotal": host["memTotal"],
        "KernelVersion": host["kernel"],
        "CgroupVersion": host["cgroupVersion"].removeprefix("v"),
        "DefaultRuntime": host["ociRuntime"]["name"],
        "MemoryLimit": "memory" in controllers,
        "PidsLimit": "pids" in controllers,
        "CpuCfsQuota": "cpu" in controllers,
        "SecurityOptions": [*options, "name=rootless"] if mapped else options,
        "UserIds": sum(int(part["size"]) for part in mapped),
    }


def container_body(config: Mapping[str, Any], cache: Path) -> dict[str, Any]:
    """`config` in Podman's words. Raises ValueError for what has no translation here: no control
    may be lost on the way."""
    left = {**config, **config["HostConfig"]}
    del left["HostConfig"]
    for name in _WITHOUT:
        left.pop(name, None)
    body = {_SAME[name]: left.pop(name) for name in list(left) if name in _SAME}
    body |= _namespaces(left) | _security(left, cache) | _limits(left)
    body["stop_signal"] = int(signal.Signals[left.pop("StopSignal")])
    body["volumes"] = [_memory(*place) for place in left.pop("Tmpfs").items()]
    body["log_configuration"] = {"driver": left.pop("LogConfig")["Type"]}
    body |= {
        # What Podman, its settings or the image would add: writable folders, account entries, names
        # and proxies of the host, what systemd in a container would need.
        "read_write_tmpfs": False,
        "image_volume_mode": "ignore",
        "manage_password": False,
        "base_hosts_file": "none",
        "httpproxy": False,
        "systemd": "false",
    }
    if left:
        raise ValueError(f"not known of Podman: {', '.join(sorted(left))}")
    return body


def _namespaces(left: dict[str, Any]) -> dict[str, Any]:
    names = {"netns": "NetworkMode", "ipcns": "IpcMode", "cgroupns": "CgroupnsMode"}
    found = {space: left.pop(name) for space, name in names.items()}
    if found["netns"] != "none":
        raise ValueError(f"not known of Podman: the network {found['netns']}")
    return {space: {"nsmode": mode} for space, mode in found.items()}


def _security(left: dict[str, Any], cache: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"cap_add": sorted({*left.pop("CapAdd"), *HANDING_OVER})}
    for option in left.pop("SecurityOpt"):
        if option == "no-new-privileges:true":
            found["no_new_privileges"] = True
        elif option.startswith("seccomp="):
            found["seccomp_profile_path"] = str(_as_file(option.removeprefix("seccomp="), cache))
        else:
            raise ValueError(f"not known of Podman: {option}")
    return found


def _limits(left: dict[str, Any]) -> dict[str, Any]:
    memory = {"limit": left.pop("Memory"), "swap": left.pop("MemorySwap")}
    if "MemorySwappiness" in left:
        memory["swappiness"] = left.pop("MemorySwappiness")
    pids = left.pop("PidsLimit")
    found: dict[str, Any] = {"memory": memory, "pids": {"limit": pids}}
    if "NanoCpus" in left:
        share = left.pop("NanoCpus") * PERIOD // 10**9
        found["cpu"] = {"quota": share, "period": PERIOD}
    ulimits = [
        {"type": limit["Name"], "soft": limit["Soft"], "hard": limit["Hard"]}
        for limit in left.pop("Ulimits")
    ]
    # Without one, Podman sets millions, which it may not do where it runs in a container itself.
    ulimits.append({"type": "nproc", "soft": 2 * pids, "hard": 2 * pids})
    return {"resource_limits": found, "r_limits": ulimits}


def _memory(place: str, options: str) -> dict[str, Any]:
    """A file system in memory. As a mount Podman would refuse most of its options; an anonymous
    volume takes them as they are, and goes with the container."""
    of_mount = {"rw", "ro", "exec", "noexec", "nosuid", "nodev"}
    given = options.split(",")
    own = ",".join(option for option in given if option not in of_mount)
    driver = ("type=tmpfs", "device=tmpfs", f"o={own}")
    return {
        "Name": "",
        "Dest": place,
        "Options": [
            *(option for option in given if option in of_mount),
            "nocopy",
            *(f"volume-opt={option}" for option in driver),
        ],
    }


def _as_file(profile: str, cache: Path) -> Path:
    """The profile in a file named after its content, so that no other can be taken for it."""
    content = profile.encode("utf-8")
    path = cache / "seccomp" / f"{hashlib.sha256(content).hexdigest()[:32]}.json"
    try:
        if path.exists() and path.read_bytes() == content:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise SetupError(
            f"The seccomp profile could not be written to {path}: {error.strerror}",
            "Podman takes it from a file: make that folder writable, or name another cache folder "
            "with XDG_CACHE_HOME.",
        ) from error
    return path
