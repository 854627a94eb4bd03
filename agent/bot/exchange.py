"""What the clients of both forges share: names in paths, the end of a long text, and a request that
got no answer."""

from typing import TYPE_CHECKING
from urllib.parse import quote

from agent.bot.calls import Trouble

if TYPE_CHECKING:
    import requests

#: Of a text no more than this is read.
_MOST_READ = 256 << 20
_BLOCK = 1 << 16


def quoted(part: str | int) -> str:
    """A name as one part of a path: a project, a ref, a file, an account."""
    return quote(str(part), safe="")


def tail(answer: "requests.Response", most: int) -> bytes:
    """The last `most` bytes of a streamed answer, which is closed then."""
    end, size = b"", 0
    with answer:
        for block in answer.iter_content(_BLOCK):
            end, size = (end + block)[-most:], size + len(block)
            if size > _MOST_READ:
                break
    return end


def unanswered(problem: Exception) -> Trouble | None:
    """What went wrong where no answer came, None for any other problem."""
    import requests  # noqa: PLC0415 - it comes with either client

    if isinstance(problem, requests.Timeout):
        return Trouble(0, "no answer in time")
    if isinstance(problem, requests.RequestException):
        return Trouble(0, "no connection, or one that ended early")
    return None
