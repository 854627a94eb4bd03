"""gpt-oss at a server that takes and gives token ids: harmony without the server's own parser.

What a server makes of harmony in chat completions loses calls and reasoning now and then; here it
only computes. Retries, time limits and errors are those of the chat client.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from agent.models.base import ModelError, ModelInfo, Retrying, Unanswered
from agent.models.dialect import Dialect
from agent.models.failures import Refused, Transient, UnknownModel
from agent.models.harmony import HarmonyDialect
from agent.models.pace import Pace
from agent.models.raw_wire import WIRES, Piece, RawWire
from agent.models.retries import persist
from agent.models.settings import ModelSettings
from agent.models.source import Request, Reused, TokenSource
from agent.models.stream import Stalled
from agent.models.token_model import TokenModel
from agent.models.transport import Transport


class RawModel(TokenModel):
    """The gpt-oss that `info` describes, at the server of `transport`. The transport is shared, and
    stays open when the model is closed."""

    def __init__(self, info: ModelInfo, transport: Transport, settings: ModelSettings) -> None:
        super().__init__(replace(info, protocol="raw"), settings)
        self._transport = transport

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Asks nothing: `info` is complete."""
        await self._ready()

    async def _open(self) -> tuple[TokenSource, Dialect]:
        dialect = HarmonyDialect()
        wire = WIRES[self.info.server]

        def make_wire() -> RawWire:
            return wire(self.info.name, dialect)

        return RawSource(self._transport, self._settings, make_wire, dialect.stop_ids), dialect


class RawSource:
    """Tokens from a server. Each stream has a wire of its own."""

    def __init__(
        self,
        transport: Transport,
        settings: ModelSettings,
        wire: Callable[[], RawWire],
        stop_ids: frozenset[int],
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._wire = wire
        self._stop_ids = stop_ids

    async def close(self) -> None:
        """Nothing is held between streams."""

    async def stream(self, request: Request) -> AsyncGenerator[int | Reused | Retrying, None]:
        """The server's tokens. Closing it closes the connection, which ends the computation."""
        tries = 0

        def failed(_: Transient) -> None:
            nonlocal tries
            tries += 1

        answers = persist(self._settings, lambda: self._attempt(request), failed)
        try:
            async with aclosing(answers) as items:
                async for item in items:
                    yield item
        except Transient as failure:
            raise Unanswered(
                f"{self._transport.server} gives no answer, asked {tries} times: {failure.reason}",
                "See the server's own log.",
            ) from None

    async def _attempt(self, request: Request) -> AsyncGenerator[int | Reused, None]:
        progress = _Progress(request.max_tokens, self._stop_ids)
        pace = Pace(self._settings, progress)
        wire = self._wire()
        server = self._transport.server
        try:
            async with self._transport.stream(self._address(wire), wire.body(request), pace) as got:
                async with aclosing(got.chunks()) as chunks:
                    async for chunk in chunks:
                        piece = wire.read(chunk)
                        for token in progress.take(piece):
                            yield token
                        pace.mark(token=progress.taken > 0)
                        if piece.reused:
                            yield Reused(piece.reused)
                        if progress.over or pace.over:
                            break
                if not (progress.finished or pace.over or got.announced_end):
                    raise Transient("the connection closed before the answer's end", "connection")
        except Stalled:
            pace.stalled(server)
        except UnknownModel as problem:
            raise ModelError(
                f"{server} does not know the model any more ({problem})",
                self._transport.profile.get_model.format(model=wire.name),
            ) from None
        except Refused as refused:
            raise ModelError(
                f"{server} refuses the request: {refused}",
                'Leave out the option that it names, or set protocol = "chat".',
            ) from None

    def _address(self, wire: RawWire) -> str:
        endpoint = self._transport.endpoint
        if wire.path.startswith("/"):
            return f"{endpoint.root}{wire.path}{endpoint.query}"
        return wire.path


class _Progress:
    """How far a stream has come. `over`: the model's turn ended, or the request's limit is reached,
    and the server goes on all the same."""

    def __init__(self, limit: int, stop_ids: frozenset[int]) -> None:
        self._limit = limit
        self._stop_ids = stop_ids
        self.taken = 0
        self.finished = False
        self.complete = False
        self.over = False

    def take(self, piece: Piece) -> list[int]:
        """The tokens of the piece that belong to the turn."""
        tokens = []
        for token in piece.tokens:
            if self.finished:
                self.over = True
                break
            tokens.append(token)
            self.taken += 1
            self.finished = token in self._stop_ids or self.taken >= self._limit
        self.finished = self.finished or piece.ended
        self.complete = self.finished and (self.complete or piece.counted)
        return tokens
