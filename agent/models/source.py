"""Where a model's tokens come from: this process, or a server that takes and gives token ids."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.models.base import Retrying
from agent.models.grammar import Grammar


@dataclass(frozen=True)
class Request:
    """A prompt and how to go on from it. None leaves a choice to the model's own configuration;
    a temperature of 0 takes the likeliest token each time.

    The last `begun` of the tokens belong to the turn itself, which goes on. `grammar` is what the
    turn is held to, where the source can do that."""

    ids: Sequence[int]
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    begun: int = 0
    grammar: Grammar | None = None


@dataclass(frozen=True)
class Reused:
    """So many tokens of the request's prompt were in a cache, and not computed again."""

    tokens: int


class TokenSource(Protocol):
    """Computes tokens. Several streams may be open at once; a source may let one wait."""

    def stream(self, request: Request) -> AsyncGenerator[int | Reused | Retrying, None]:
        """The model's tokens, one that stops it included. Closing it stops the computation.

        `Reused` comes once it is known, before or after tokens; `Retrying` where the tokens given
        so far were lost, and the stream begins anew. Raises ModelError, shown to the user.
        """

    async def close(self) -> None:
        """Frees what the source holds. Safe to call twice."""
