"""Names resolved on the host, in threads of their own: a name server that does not answer holds up
no other work of this process."""

import asyncio
import socket
import threading
from ipaddress import ip_address

from sandbox.addresses import Address, plain
from sandbox.egress.record import Denied

AT_ONCE = 8
SECONDS = 20.0
#: An answer is used again for so long: package managers open many connections to one host at once,
#: and name servers drop what comes too fast.
KEPT_SECONDS = 30.0
MOST_KEPT = 256


class _Name:
    def __init__(self) -> None:
        self.asking = asyncio.Lock()
        self.addresses: tuple[Address, ...] = ()
        self.until = 0.0


class Resolver:
    """Resolves names for one sandbox, a few at a time."""

    def __init__(self) -> None:
        self._threads = asyncio.Semaphore(AT_ONCE)
        self._known: dict[str, _Name] = {}

    async def addresses(self, name: str) -> tuple[Address, ...]:
        """All addresses of a name, in the order to try them. Raises Denied."""
        known = self._known.setdefault(name, _Name())
        if len(self._known) > MOST_KEPT:
            del self._known[next(iter(self._known))]
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(SECONDS), known.asking:
                if now() >= known.until:
                    known.addresses = await self._look_up(name)
                    known.until = now() + KEPT_SECONDS
                return known.addresses
        except TimeoutError:
            raise Denied("failed", 504, f"the name {name} took too long to resolve") from None
        except OSError as error:
            why = f"the name {name} does not resolve: {error.strerror or error}"
            raise Denied("failed", 502, why) from error

    async def _look_up(self, name: str) -> tuple[Address, ...]:
        await self._threads.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[Address, ...]] = loop.create_future()

        def tell(found: tuple[Address, ...], error: OSError | None) -> None:
            self._threads.release()
            if answer.done():
                return  # nobody waits any more
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def work() -> None:
            found: tuple[Address, ...] = ()
            error = None
            try:
                found = _addresses(name)
            except OSError as problem:
                error = problem
            try:
                loop.call_soon_threadsafe(tell, found, error)
            except RuntimeError:
                return  # the loop has ended

        threading.Thread(target=work, name=f"resolve {name}", daemon=True).start()
        return await answer


def _addresses(name: str) -> tuple[Address, ...]:
    # As bytes: nothing is done to the name any more.
    lines = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    found = [plain(ip_address(str(line[4][0]).partition("%")[0])) for line in lines]
    return tuple(dict.fromkeys(found))
