"""The Docker engine: where it listens, and what to say when it does not answer.

The address is found as the docker program finds it: DOCKER_HOST, else the context named by
DOCKER_CONTEXT or by the configuration file, else the default socket. The docker program itself is
never run.
"""

import hashlib
import json
import os
import shutil
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox import podman
from sandbox.abilities import Abilities, abilities
from sandbox.cache import cache_folder
from sandbox.errors import SetupError, UsageError
from sandbox.identity import image_with_identity
from sandbox.policy import MIB, Policy

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
# Docker 20.10, and the newest whose answers are known here. An engine is spoken to in its own
# version when that is older, and in its oldest when that is newer.
OLDEST_API, KNOWN_API = (1, 41), (1, 44)
ANSWER_SECONDS = 10
REQUEST_SECONDS = 120
INSTALL = (
    "Install Docker (Debian and Ubuntu: sudo apt-get install docker.io; macOS and Windows: Docker "
    "Desktop), start it, and try again."
)


@dataclass(frozen=True)
class Address:
    """Where an engine listens. `url` is unix:// or tcp://, `origin` says what named it; `tls` holds
    the files ca.pem, cert.pem and key.pem, as far as there are any; None means no TLS."""

    url: str
    origin: str
    tls: Path | None = None
    verify: bool = True

    @property
    def socket_path(self) -> str:
        """The path of a unix socket, "" for a network address."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else ""

    @property
    def host_and_port(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "localhost", parts.port or (2376 if self.tls else 2375)

    def ssl_context(self) -> ssl.SSLContext | None:
        """What to speak TLS with, None without TLS."""
        if self.tls is None:
            return None
        authority = self.tls / "ca.pem"
        context = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if (self.tls / "cert.pem").exists():
            context.load_cert_chain(self.tls / "cert.pem", self.tls / "key.pem")
        return context


class Engine:
    """A connection to a Docker engine that has answered. May be used from several threads.

    `api` is docker-py's low-level client; its calls block, so they belong in a thread.
    """

    def __init__(self, address: Address, api: Any, version: str, can: Abilities) -> None:
        self.address = address
        self.api = api
        self.version = version
        self.api_version = str(api.api_version)
        self.abilities = can
        self._ready: dict[str, str] = {}

    @classmethod
    def connect(cls) -> "Engine":
        """Find the engine and see that it answers. Raises SetupError, saying what is wrong and what
        to do, when it does not."""
        address = find_address()
        try:
            said = _version(address)
            libpod = said.get("Libpod", "")
            api = _client(address, spoken(said, address.url), REQUEST_SECONDS, libpod)
            info = podman.describe(api, libpod) if libpod else api.info()
        except SetupError:
            raise
        except Exception as error:
            # docker-py, requests and urllib3 each raise their own for the same few causes.
            raise explain(address, error) from error
        return cls(address, api, said["Version"], abilities(info, address.url, libpod))

    def create(self, config: Mapping[str, Any], name: str) -> str:
        """Create a container: its id. `config` is the body of Docker's create call. Blocks; raises
        what docker-py raises."""
        libpod = self.abilities.libpod
        if libpod:
            return podman.create(self.api, libpod, config, name, cache_folder())
        return str(self.api.create_container_from_config(config, name=name)["Id"])

    @property
    def name(self) -> str:
        """Which engine it is, in a few words."""
        return f"{self.abilities.engine} {self.version} with {self.abilities.runtime}"

    @property
    def lack(self) -> str:
        """A line on the controls that it does not have, for a run to say; "" when it has all."""
        return lack(self.abilities.lacking)

    def as_dict(self) -> dict[str, Any]:
        """For the record of a run."""
        can = self.abilities
        return {
            "name": can.engine,
            "version": self.version,
            "runtime": can.runtime,
            "cgroup": can.cgroup,
            "lacking": list(can.lacking),
        }

    def check(self, policy: Policy) -> None:
        """Raise SetupError or UsageError for a policy that this engine cannot hold."""
        if policy.isolation == "gvisor" and not self.abilities.gvisor:
            raise SetupError(
                f"The {self.abilities.engine} engine at {self.address.url} has no runtime named "
                "runsc, which the isolation `gvisor` needs.",
                "Install gVisor and register it (runsc install), or leave the setting out.",
            )
        if policy.on_disk and self.abilities.libpod:
            raise SetupError(
                "A workspace on disk is made with Docker only; this engine is Podman.",
                "Leave `workspace` out, or choose another engine.",
            )
        here = self.abilities.memory_bytes
        if here and policy.memory_bytes > here:
            raise UsageError(
                f"The sandbox's memory is {policy.memory_bytes / MIB:,.0f} MiB; the machine of the "
                f"{self.abilities.engine} engine has {here / MIB:,.0f} MiB.",
                "Lower `memory`.",
            )

    def ready_image(self, image: str) -> str:
        """The id of `image` made ready for sandboxes, looked up once. Blocks; raises what docker-py
        raises."""
        if image not in self._ready:
            self._ready[image] = image_with_identity(self.api, image)
        return self._ready[image]

    def forget_image(self, image: str) -> None:
        """Look `image` up anew when it is needed next: it has been removed."""
        self._ready.pop(image, None)

    def close(self) -> None:
        """Close idle connections."""
        self.api.close()


_shared: dict[str, Engine] = {}
_lock = threading.Lock()


def shared_engine() -> Engine:
    """The process's engine, connected once. Raises SetupError as `Engine.connect` does."""
    with _lock:
        if "engine" not in _shared:
            _shared["engine"] = Engine.connect()
        return _shared["engine"]


def lack(controls: Iterable[str]) -> str:
    """A line on controls that do not hold, "" when there are none."""
    names = ", ".join(controls)
    return f"this engine does not hold a sandbox to: {names} (see `greenroom doctor`)" * bool(names)


def find_address() -> Address:
    """Where the engine should be, from the environment and Docker's own configuration.

    Raises SetupError for a context that does not exist or an address of a kind not supported.
    """
    named = os.environ.get("DOCKER_HOST")
    if named:
        address = _from_environment(named)
    else:
        name = os.environ.get("DOCKER_CONTEXT") or _current_context()
        default = name in ("", "default")
        address = Address(DEFAULT_SOCKET, "the default") if default else _from_context(name)
    if not address.url.startswith(("unix://", "tcp://")):
        kind = address.url.partition(":")[0]
        hint = "Name a unix:// or tcp:// address in DOCKER_HOST, or choose another context."
        if kind == "ssh":
            hint = (
                "Forward its socket (ssh -L /tmp/docker.sock:/var/run/docker.sock HOST) and set "
                "DOCKER_HOST=unix:///tmp/docker.sock."
            )
        raise SetupError(
            f"The Docker engine is at {address.url} ({address.origin}), an address of a kind that "
            f"is not supported.",
            hint,
        )
    return address


def _from_environment(url: str) -> Address:
    if "://" not in url:
        if ":" not in url:
            raise SetupError(
                f"DOCKER_HOST is {url!r}, which is no address of a Docker engine.",
                f"Write unix://{url if url.startswith('/') else '/var/run/docker.sock'} or "
                "tcp://HOST:PORT; or unset it.",
            )
        url = f"tcp://{url}"
    tls = None
    if os.environ.get("DOCKER_TLS_VERIFY") or os.environ.get("DOCKER_TLS"):
        tls = Path(os.environ.get("DOCKER_CERT_PATH") or _configuration())
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    return Address(url, "from DOCKER_HOST", tls, verify)


def _configuration() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _current_context() -> str:
    path = _configuration() / "config.json"
    try:
        name = json.loads(path.read_text("utf-8")).get("currentContext", "")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError) as error:
        raise SetupError(
            f"Docker's configuration at {path} cannot be read: {error}",
            "Repair or remove the file.",
        ) from error
    return str(name)


def _from_context(name: str) -> Address:
    contexts = _configuration() / "contexts"
    key = hashlib.sha256(name.encode("utf-8")).hexdigest()
    path = contexts / "meta" / key / "meta.json"
    try:
        endpoint = json.loads(path.read_text("utf-8"))["Endpoints"]["docker"]
        url = endpoint["Host"]
    except FileNotFoundError:
        raise SetupError(
            f"The Docker context '{name}' does not exist.",
            "Choose another (docker context ls; docker context use NAME), or set DOCKER_HOST.",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"The Docker context '{name}' cannot be read from {path}: {error!r}",
            "Create it again, or choose another.",
        ) from error
    tls = contexts / "tls" / key / "docker"
    verify = not endpoint.get("SkipTLSVerify", False)
    origin = f"from the Docker context '{name}'"
    return Address(url, origin, tls if tls.is_dir() else None, verify)


def _version(address: Address) -> dict[str, Any]:
    """What an engine answers to /version, which has no version in its path, so that none can refuse
    it. A Podman, which says in "Libpod" what it is, takes long for that, so it is not asked."""
    client = _client(address, _text(OLDEST_API), ANSWER_SECONDS)
    try:
        told = client.get(f"{client.base_url}/_ping", timeout=client.timeout).headers
        if libpod := told.get("Libpod-Api-Version"):
            return {"Version": libpod, "ApiVersion": told["Api-Version"], "Libpod": libpod}
        found: dict[str, Any] = client.version(api_version=False)
        return found
    finally:
        client.close()


def spoken(said: Mapping[str, Any], place: str) -> str:
    """The version of the API to speak with an engine, from its answer to /version. Raises
    SetupError for an engine that is too old; `place` says which it is."""
    newest, oldest = _numbers(said["ApiVersion"]), _numbers(said.get("MinAPIVersion") or "1.0")
    if newest < OLDEST_API:
        raise SetupError(
            f"The engine at {place} is version {said['Version']}.",
            "Greenroom needs 20.10 or newer (Podman: 4.0): update it.",
        )
    return _text(max(min(newest, KNOWN_API), oldest))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _client(address: Address, version: str, seconds: int, libpod: str = "") -> Any:
    import docker  # noqa: PLC0415 - slow to import, and not needed for --help

    tls: Any = False
    if address.tls is not None:
        cert, key = address.tls / "cert.pem", address.tls / "key.pem"
        authority = address.tls / "ca.pem"
        tls = docker.tls.TLSConfig(
            client_cert=(str(cert), str(key)) if cert.exists() else None,
            ca_cert=str(authority) if authority.exists() else None,
            verify=address.verify,
        )
    made = podman.client(docker) if libpod else docker.APIClient
    client = made(base_url=address.url, tls=tls, timeout=seconds, version=version)
    # A bundle of authorities in the environment would replace the engine's own.
    client.trust_env = False
    if address.socket_path:
        _share_connections(client)
    return client


def _share_connections(client: Any) -> None:
    """Keep one set of idle connections for a socket: docker-py keeps one for each URL, and each
    container has URLs of its own."""
    adapter = client.get_adapter(client.base_url)
    shared = adapter.get_connection
    adapter.get_connection = lambda url, proxies=None: shared(client.base_url, proxies)


def explain(address: Address, error: BaseException) -> SetupError:
    """What a failed connection means for the user, and what to do."""
    cause = _os_error(error)
    place = f"{address.url} ({address.origin})"
    installed = shutil.which("dockerd") or shutil.which("docker")
    if "podman" in address.url and isinstance(cause, PermissionError | FileNotFoundError):
        why = "no such socket" if isinstance(cause, FileNotFoundError) else "permission denied"
        return SetupError(
            f"No Podman can be used at {place}: {why}.",
            "Start your own (systemctl --user start podman.socket), which listens at "
            f"DOCKER_HOST=unix:///run/user/{os.getuid()}/podman/podman.sock.",
        )
    if isinstance(cause, PermissionError):
        return SetupError(
            f"You may not use the Docker engine at {place}: permission denied.",
            "Join the docker group (sudo usermod -aG docker $USER), log in again, and try again.",
        )
    if address.socket_path and isinstance(cause, FileNotFoundError | ConnectionRefusedError):
        if address.origin != "the default":
            why = "no such socket" if isinstance(cause, FileNotFoundError) else "nothing answers"
            return SetupError(
                f"No Docker engine listens at {place}: {why}.",
                "Start the engine it belongs to, or choose another (docker context use default; "
                "unset DOCKER_HOST).",
            )
        if isinstance(cause, FileNotFoundError) and not installed:
            return SetupError("Docker is not installed on this machine.", INSTALL)
    if address.socket_path and isinstance(cause, FileNotFoundError | ConnectionRefusedError):
        return SetupError(
            f"The Docker engine is not running: nothing answers at {place}.",
            "Start it (sudo systemctl start docker, or Docker Desktop) and try again.",
        )
    answered = getattr(error, "response", None) is not None
    fault = "answers otherwise than a Docker engine does" if answered else "does not answer"
    return SetupError(
        f"The Docker engine at {place} {fault}: {_short(cause or error)}",
        "See that the machine is up and the engine runs; or choose another engine "
        "(docker context use default; unset DOCKER_HOST).",
    )


def _os_error(error: BaseException | None) -> OSError | None:
    """The system's own error inside what the client libraries made of it."""
    found = None
    waiting = [error]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, OSError) and item.errno is not None:
            found = item
        waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return found


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:200] + "..."
