"""A fresh container made into a prepared base: accounts, files, a throwaway git, the rebuild."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

from sandbox import certificates
from sandbox.allowlist import Allowlist
from sandbox.channel import Request
from sandbox.controls import opening
from sandbox.delta import BaseIndex
from sandbox.egress.record import NetworkRequest
from sandbox.errors import PatchError, UsageError
from sandbox.history import LARGEST, History, history_bytes, history_of
from sandbox.identity import USER
from sandbox.lifecycle import Container, to_its_end
from sandbox.policy import MIB, Policy
from sandbox.products import Rebuilt, rebuilt
from sandbox.profile import HOME, PRIVATE, PROXY_PORT, WORKSPACE
from sandbox.rebuild import Rebuild
from sandbox.recipe import Recipe
from sandbox.results import FileProblem
from sandbox.threads import in_thread
from sandbox.trees import Base
from sandbox.upload import base_records, file_records
from sandbox.wire import Wire

if TYPE_CHECKING:
    from sandbox.egress.wayout import WayOut

LEASE_SECONDS = 60.0
# Read by every login shell after the distribution's own PATH, before root's own profile.
ROOT_PROFILE = "/etc/profile.d/zz-greenroom.sh"
MAX_PRODUCTS = 64 * MIB
ENVIRONMENT = {
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "CI": "1",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
}
NO_WAY_OUT = {"PIP_NO_INDEX": "1"}
CERTIFICATES = "certificates.pem"
PROXY = f"http://127.0.0.1:{PROXY_PORT}"
_LOOPBACK = "localhost,127.0.0.1,::1"
# Under both spellings: programs disagree on which one they read.
WAY_OUT = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), PROXY),
    **dict.fromkeys(("NO_PROXY", "no_proxy"), _LOOPBACK),
}


def environment(way_out: bool, ca_bundle: bytes | None) -> dict[str, str]:
    """The variables that each command finds; with `ca_bundle`, that is among the support files."""
    if not way_out:
        return {**ENVIRONMENT, **NO_WAY_OUT}
    trusted = certificates.naming(f"{PRIVATE}/{CERTIFICATES}") if ca_bundle else {}
    return {**ENVIRONMENT, **WAY_OUT, **trusted}


def init_request(
    uid: int, policy: Policy, environment: Mapping[str, str], workspace: str = WORKSPACE
) -> dict[str, Any]:
    """What the supervisor is told first: whose commands it runs, where, and with which variables.
    Of an image whose files count nothing is changed, and nothing at home comes before it.
    """
    name, home = ("root", "/root") if policy.as_root else (USER, HOME)
    accounts = {
        "passwd": f"{name}:x:{uid}:{uid}:{name}:{home}:/bin/bash\n",
        "group": f"{name}:x:{uid}:\n",
    }
    return {
        "op": "init",
        "uid": uid,
        "env": {"HOME": home, "USER": name, "LOGNAME": name, **environment},
        "workspace": workspace,
        "owned": not policy.in_image,
        "home": "" if policy.in_image else home,
        "profile": ""
        if policy.in_image
        else ROOT_PROFILE
        if policy.as_root
        else f"{home}/.profile",
        "lease": LEASE_SECONDS,
        "accounts": {} if policy.as_root else accounts,
        # gVisor gives orphans to PID 1 only; whether it still does is looked at inside.
        "look_for_reaper": policy.isolation == "gvisor",
    }


def check_fits(base: Base, policy: Policy) -> None:
    """Raise UsageError for a base that is larger than the workspace may be."""
    size = base.memory_bytes
    if size > policy.workspace_bytes:
        raise UsageError(
            f"The repository takes {size / MIB:,.0f} MiB in the sandbox, but its workspace has "
            f"{policy.workspace_bytes / MIB:,.0f} MiB.",
            "Raise the workspace limit (and the memory limit with it), or exclude large files.",
        )
    if len(base.entries) >= policy.workspace_inodes:
        raise UsageError(
            f"The repository has {len(base.entries):,} files, but the sandbox's workspace takes "
            f"{policy.workspace_inodes:,}.",
            "Raise the limit of files in the workspace, or exclude folders.",
        )


def this_second() -> int:
    """The time that files which are sent get, in nanoseconds."""
    return int(time.time()) * 10**9


async def fresh(
    container: Container, wire: Wire, recipe: Recipe, index: BaseIndex
) -> tuple[dict[str, Any], int]:
    """Start the container and fill it: what the supervisor saw of its controls, and the size of
    its private folder in bytes."""
    policy = recipe.policy
    entries = await in_thread(lambda: index.entries)
    if policy.in_memory:
        check_fits(recipe.base, policy)
    private = policy.private_bytes(recipe.resettable)
    needed = history_bytes(entries.values())
    git = None
    spare = policy.spare_bytes(resettable=recipe.resettable)
    room = min(LARGEST, spare) if policy.in_memory else LARGEST
    if not policy.in_image and needed <= room:
        private += needed
        git = asyncio.ensure_future(in_thread(history_of, recipe.base, PRIVATE))
    try:
        await container.start(recipe.image.reference, private_bytes=private)
    finally:
        history = await to_its_end(git) if git else None
    # All at once: a reply takes a while to come, and nothing of this waits for one.
    requests = await _send_base(container, wire, recipe, history)
    replies = [await wire.settle(pending) for pending in requests]
    return replies[0], private


async def _send_base(
    container: Container, wire: Wire, recipe: Recipe, history: History | None
) -> list[Request]:
    """Send the accounts, the support files, the base, and its git repository: the requests."""
    moment = this_second()
    policy, uid = recipe.policy, container.uid
    variables = {**environment(bool(policy.network), recipe.ca_bundle), **dict(recipe.variables)}
    asked = opening(uid, policy, container.abilities)
    init = init_request(uid, policy, variables, recipe.folder)
    requests = [await wire.push({**asked, **init})]
    private = {**recipe.support, **(history.private if history else {})}
    if policy.network and recipe.ca_bundle:
        private[CERTIFICATES] = recipe.ca_bundle
    if private:
        request = {"op": "support", "root": PRIVATE, "moment_ns": moment}
        requests.append(await wire.push(request, file_records(private)))
    if policy.in_image:
        return [*requests, await wire.push({"op": "remember", "walk": False})]
    records = chain(
        base_records(recipe.base),
        file_records(history.workspace if history else {}),
    )
    requests.append(await wire.push({"op": "load", "moment_ns": moment}, as_it_is_read(records)))
    requests.append(await wire.push({"op": "remember", "walk": True}))
    return requests


async def open_way_out(
    container: Container,
    wire: Wire,
    policy: Policy,
    on_request: Callable[[NetworkRequest], None],
    environment: Mapping[str, str] = os.environ,
) -> "WayOut":
    """Let the inside reach what the policy's network lists, by the proxies in `environment`."""
    # Not needed by most.
    from sandbox.egress.wayout import MOST_CONNECTIONS, WayOut  # noqa: PLC0415

    way_out = WayOut(
        Allowlist.parse(policy.network),
        container.channel,
        total_bytes=policy.network_bytes,
        on_request=on_request,
        environment=environment,
    )
    container.channel.carry(way_out)
    await wire.ask({"op": "way_out", "port": PROXY_PORT, "limit": MOST_CONNECTIONS})
    return way_out


async def rebuild_first(wire: Wire, rebuild: Rebuild, index: BaseIndex) -> Rebuilt:
    """Run the rebuild step on the base. Raises UsageError when it fails and is not optional."""
    first = await rebuild_again(wire, rebuild, index)
    result = first.result
    if not result.ok and not rebuild.optional:
        ended = f"status {result.exit_code}" if result.exit_code is not None else result.reason
        if result.reason == "timeout":
            ended = f"no end within {rebuild.timeout:g} s"
        said = result.output.text.strip()[-2000:]
        told = f":\n{said}" if said else "."
        raise UsageError(
            f"The rebuild step `{rebuild.command}` fails on the unchanged repository "
            f"({ended}){told}",
            "Correct it in the settings, or see what the image lacks.",
        )
    return first


async def rebuild_again(wire: Wire, rebuild: Rebuild, index: BaseIndex) -> Rebuilt:
    """Run the rebuild step; what it makes counts as prepared, not as a change. Raises PatchError
    when that is too much to be listed."""
    try:
        await wire.ask({"op": "before_rebuild"})
        result = await wire.run(["bash", "-c", rebuild.command], seconds=rebuild.timeout)
        request = {"op": "after_rebuild"}
        done = await wire.report(request, lambda found: rebuilt(result, found), MAX_PRODUCTS)
    except (OSError, FileProblem) as problem:
        raise PatchError(f"What the rebuild step made cannot be listed: {problem}") from problem
    # Most products are ignored anyway; of the others, a later touch must not look like a change.
    names = [path for path in done.made if not index.skips(path)]
    if names:
        await wire.collect({"op": "identify"}, 0, names=json.dumps(names).encode("ascii"))
    return done


async def as_it_is_read(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What a blocking iterator gives."""
    while True:
        chunk = await in_thread(next, chunks, None)
        if chunk is None:
            return
        yield chunk
