"""A Docker engine of the tests' own: it may be killed, restarted and filled up."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker

from sandbox.engine import Engine
from sandbox.image import Image

# In memory: small enough to be filled, large enough for the sandbox image.
DATA_BYTES = 1 << 30
START_SECONDS = 60.0


def why_not() -> str:
    """Why this machine cannot have one; "" where it can."""
    if shutil.which("dockerd") is None:
        return "dockerd is not installed, so there can be no engine to kill"
    if os.geteuid() != 0:
        return "only root can start an engine of its own to kill"
    return ""


class PrivateEngine:
    """`folder` has to have a short path: it holds sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/sock"
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._data.mkdir()
        (folder / "config").write_text("{}")
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DATA_BYTES}", "none", str(self._data)]
        subprocess.run(mount, check=True)

    def start(self) -> None:
        """Start it, unless it runs; returns when it answers."""
        if self._process is not None:
            return
        log = self.folder / "log"
        options = {
            "config-file": "config",
            "data-root": "data",
            "exec-root": "exec",
            "pidfile": "pid",
        }
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [
                    # Without a bridge it would remove that of the machine's own engine.
                    *("unshare", "--net"),
                    "dockerd",
                    *(f"--{name}={self.folder / value}" for name, value in options.items()),
                    f"--host={self.url}",
                    "--bridge=none",
                    "--iptables=false",
                    "--ip-forward=false",
                ],
                stdout=stream,
                stderr=stream,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"dockerd did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.05)

    def terminate(self) -> None:
        """Stop it in order, as an update of its package would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its containerd at once; what runs in containers runs on."""
        self._end(signal.SIGKILL)
        pidfile = self.folder / "exec" / "containerd" / "containerd.pid"
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(pidfile.read_text()), signal.SIGKILL)
        # A new one would wait for the process that is named there.
        pidfile.unlink(missing_ok=True)

    def connect(self) -> Engine:
        """A connection as Greenroom makes it."""
        before = os.environ.get("DOCKER_HOST")
        os.environ["DOCKER_HOST"] = self.url
        try:
            return Engine.connect()
        finally:
            del os.environ["DOCKER_HOST"]
            if before is not None:
                os.environ["DOCKER_HOST"] = before

    def containers(self) -> list[str]:
        """The states of all containers. A killed engine may list after its start what is gone, as
        dead and without a name (seen in 20.10): that counts for nothing."""
        api = self.connect().api
        states = []
        for found in api.containers(all=True):
            with suppress(docker.errors.NotFound):
                states.append(str(api.inspect_container(found["Id"])["State"]["Status"]))
        return states

    def load(self, image: Image, source: Engine) -> None:
        """Copy an image from another engine, under its name."""
        for answer in self.connect().api.load_image(source.api.get_image(image.name)):
            assert "error" not in answer, answer

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No byte is left on its disk meanwhile."""
        rest = self._data / "rest"
        try:
            with rest.open("wb") as stream, suppress(OSError):
                while stream.write(bytes(1 << 20)):
                    stream.flush()
            yield
        finally:
            rest.unlink()

    def remove(self) -> None:
        """Stop it and leave nothing of it."""
        self.start()
        api = self.connect().api
        for container in api.containers(all=True):
            with suppress(docker.errors.NotFound):
                api.remove_container(container["Id"], force=True)
        self.terminate()
        subprocess.run(["umount", "--lazy", str(self._data)], check=True)
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        client = docker.APIClient(base_url=self.url, version="1.40", timeout=5)
        try:
            return bool(client.ping())
        except (OSError, docker.errors.DockerException):
            return False
        finally:
            client.close()

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None
