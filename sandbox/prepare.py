"""A fresh container made into a prepared base: accounts, files, a throwaway git, the rebuild."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import chain
from typing import Any

from sandbox.delta import BaseIndex
from sandbox.errors import UsageError
from sandbox.history import History
from sandbox.identity import USER
from sandbox.policy import MIB, Policy
from sandbox.profile import HOME
from sandbox.rebuild import Rebuild
from sandbox.results import CommandResult
from sandbox.trees import Base, Entry
from sandbox.upload import base_records, file_records
from sandbox.wire import Wire

LEASE_SECONDS = 60.0
PAGE = 4096  # what a file in memory is rounded up to
MAX_PRODUCTS = 64 * MIB
ENVIRONMENT = {
    "HOME": HOME,
    "USER": USER,
    "LOGNAME": USER,
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "CI": "1",
    "PIP_NO_INDEX": "1",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
}


def check_fits(entries: Mapping[str, Entry], policy: Policy) -> None:
    """Raise UsageError for a base that is larger than the workspace may be."""
    size = sum(-(-entry.size // PAGE) * PAGE for entry in entries.values())
    if size > policy.workspace_bytes:
        raise UsageError(
            f"The repository takes {size / MIB:,.0f} MiB in the sandbox, but its workspace has "
            f"{policy.workspace_bytes / MIB:,.0f} MiB.",
            "Raise the workspace limit (and the memory limit with it), or exclude large files.",
        )
    if len(entries) >= policy.workspace_inodes:
        raise UsageError(
            f"The repository has {len(entries):,} files, but the sandbox's workspace takes "
            f"{policy.workspace_inodes:,}.",
            "Raise the limit of files in the workspace, or exclude folders.",
        )


async def load_base(
    wire: Wire,
    uid: int,
    base: Base,
    entries: Mapping[str, Entry],
    support: Mapping[str, bytes],
    history: History | None,
    opening: Mapping[str, Any],
) -> dict[str, Any]:
    """Send the accounts, the support files, the base, and its git repository. `opening` is what
    else the first request holds; its reply is returned."""
    moment = int(time.time()) * 10**9
    accounts = {
        "passwd": f"{USER}:x:{uid}:{uid}:{USER}:{HOME}:/bin/bash\n",
        "group": f"{USER}:x:{uid}:\n",
    }
    reply = await wire.ask(
        {
            **opening,
            "op": "init",
            "uid": uid,
            "env": ENVIRONMENT,
            "home": HOME,
            "lease": LEASE_SECONDS,
            "accounts": accounts,
        }
    )
    private = {**support, **(history.private if history else {})}
    if private:
        request = {"op": "support", "moment_ns": moment}
        await wire.send(request, file_records(private))
    records = chain(
        base_records(base, entries.values()), file_records(history.workspace if history else {})
    )
    await wire.send({"op": "load", "moment_ns": moment}, _in_thread(records))
    await wire.ask({"op": "remember"})
    return reply


async def rebuild_first(wire: Wire, rebuild: Rebuild, index: BaseIndex) -> CommandResult:
    """Run the rebuild step on the base. Raises UsageError when it fails and is not optional."""
    result = await rebuild_again(wire, rebuild, index)
    if not result.ok and not rebuild.optional:
        ended = f"status {result.exit_code}" if result.exit_code is not None else result.reason
        raise UsageError(
            f"The rebuild step `{rebuild.command}` fails on the unchanged repository ({ended}):\n"
            f"{result.output.text.strip()[-2000:]}",
            "Correct it in the settings, or see what the image lacks.",
        )
    return result


async def rebuild_again(wire: Wire, rebuild: Rebuild, index: BaseIndex) -> CommandResult:
    """Run the rebuild step; what it makes counts as prepared, not as a change."""
    await wire.ask({"op": "before_rebuild"})
    result = await wire.run(["bash", "-c", rebuild.command], seconds=rebuild.timeout)
    made = await wire.report({"op": "after_rebuild"}, lambda found: map(str, found), MAX_PRODUCTS)
    # Most products are ignored anyway; of the others, a later touch must not look like a change.
    names = [path for path in made if not index.skips(path)]
    if names:
        await wire.collect({"op": "identify"}, 0, names=json.dumps(names).encode("ascii"))
    return result


async def _in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What a blocking iterator gives."""
    while True:
        chunk = await asyncio.to_thread(next, chunks, None)
        if chunk is None:
            return
        yield chunk
