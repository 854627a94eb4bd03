"""The limits of a task.toml as policies."""

from sandbox.policy import MIB, Policy
from tasks.suites.harbor.config import Config, Place
from tasks.system.work import LOGS

#: Where a task says nothing.
_CPUS, _MEMORY_MIB = 2.0, 2048
_PIDS = 2048
_SHM_BYTES = 64 * MIB
# For the supervisor and its own folder, which the task knows nothing of.
_OWN_BYTES = 256 * MIB
_LEAST_FOLDER = 64 * MIB
_FOLDER_INODES = 16_384
_COMMAND_SECONDS = 900.0


def work_policy(config: Config, network: tuple[str, ...]) -> Policy:
    """The limits of the container that is worked in."""
    seconds = config.agent_seconds or _COMMAND_SECONDS
    return _policy(config.place, network, 1, (), seconds)


def verifier_policy(
    config: Config,
    place: Place,
    network: tuple[str, ...],
    tests_bytes: int,
    *,
    bundled: bool = False,
) -> Policy:
    """The limits of the verifier's container: its logs are empty and in memory, and so is the
    folder of the tests, of so many bytes, unless they are `bundled` with the image."""
    emptied = LOGS if bundled else ("/tests", *LOGS)
    room = max(_LEAST_FOLDER, 2 * tests_bytes + 16 * MIB)
    return _policy(place, network, room, emptied, config.verifier_seconds)


def _policy(
    place: Place, network: tuple[str, ...], room: int, emptied: tuple[str, ...], seconds: float
) -> Policy:
    memory = (place.memory or _MEMORY_MIB) * MIB
    folders = len(emptied) * (room + _FOLDER_INODES * 1024)
    return Policy(
        preset="compat",
        workspace="image",
        memory_bytes=memory + folders + _OWN_BYTES,
        cpus=place.cpus or _CPUS,
        pids=_PIDS,
        workspace_bytes=room,
        workspace_inodes=_FOLDER_INODES,
        shm_bytes=_SHM_BYTES,
        command_timeout=seconds,
        network=network,
        emptied=emptied,
    )
