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


class Resolver:
    """Resolves names for one sandbox, a few at a time."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)

    async def addresses(self, name: str) -> list[Address]:
        """All addresses of a name, in the order to try them. Raises Denied."""
        try:
            async with asyncio.timeout(SECONDS):
                found = await self._look_up(name)
        except TimeoutError:
            raise Denied("failed", 504, f"the name {name} took too long to resolve") from None
        except OSError as error:
            why = f"the name {name} does not resolve: {error.strerror or error}"
            raise Denied("failed", 502, why) from error
        return list(dict.fromkeys(found))

    async def _look_up(self, name: str) -> list[Address]:
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Address]] = loop.create_future()

        def tell(found: list[Address], error: OSError | None) -> None:
            self._places.release()
            if answer.done():
                return
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def work() -> None:
            found: list[Address] = []
            error = None
            try:
                # As bytes: nothing is done to the name any more.
                lines = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
                found = [plain(ip_address(str(line[4][0]).partition("%")[0])) for line in lines]
            except OSError as problem:
                error = problem
            try:
                loop.call_soon_threadsafe(tell, found, error)
            except RuntimeError:
                return  # the loop has ended, and nobody waits any more

        threading.Thread(target=work, name=f"resolve {name}", daemon=True).start()
        return await answer
