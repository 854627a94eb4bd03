"""Models behind OpenAI's chat interface over HTTP: OpenAI, vLLM, llama.cpp, Ollama and others.

A turn is one streamed request. What breaks before or within it (the connection, a busy or failing
server, a call that the server itself could not parse) is asked again, with growing pauses, and said
with `Retrying`; what cannot be cured is a `ModelError` that tells what to do. Limits of output and
time hold on our side too, so that a server that never stops costs no more than allowed.
"""

import difflib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from agent.conversation import AssistantMessage, Conversation, ToolSpec
from agent.models import failures, malformed, ollama, probe
from agent.models.assembly import Assembly
from agent.models.base import (
    Event,
    MalformedKind,
    Model,
    ModelError,
    ModelInfo,
    Price,
    Retrying,
    Sampling,
    ServerLoad,
    TurnDone,
    Unanswered,
    Usage,
)
from agent.models.failures import NoModel, NoTools, Refused, Transient, UnknownModel
from agent.models.metrics import TELLING, load_of
from agent.models.pace import Pace
from agent.models.retries import persist
from agent.models.secret import Secret
from agent.models.servers import PROFILES, Endpoint, Profile
from agent.models.settings import ModelSettings
from agent.models.stream import Stalled
from agent.models.transport import Transport
from agent.models.turn import Memory, Turn
from agent.models.wire import Dialect, request_body

#: An answer ends when it has this many characters for each token it may have: no tokenizer packs
#: more into a token for long, so a server that keeps its own limit is never cut.
_CHARACTERS_A_TOKEN = 8
#: How many times a request is put otherwise before the server's refusal stands.
_REWORDINGS = 4
_SHOWN_MODELS = 8
#: No server of one model is helped by more requests at a time.
SERVED_AT_ONCE = 256
LOAD_SECONDS = 5.0  # in which a server has to tell how full it is
Finish = Literal["stop", "calls", "length", "cut"]


class OpenAIModel(Model):
    """The model `name` of the server at `endpoint`.

    `facts` are what the server said of itself when the model was prepared; `dialect` what it takes,
    as far as that is known.
    """

    def __init__(
        self,
        profile: Profile,
        name: str,
        endpoint: Endpoint,
        secret: Secret,
        settings: ModelSettings,
    ) -> None:
        self._profile = profile
        self._name = name
        self._settings = settings
        self._secret = secret
        self.transport = Transport(profile, endpoint, secret, settings)
        own_limit = endpoint.base.startswith(("https://api.openai.com/",)) or (
            ".openai.azure.com/" in endpoint.base
        )
        self.dialect = Dialect(
            reasoning=profile.reasoning,
            limit="max_completion_tokens" if own_limit else "max_tokens",
            strict_tools=profile.strict_tools,
            written_tools=settings.written_tools,
        )
        #: Set where Ollama is asked by its own interface, with this context.
        self._ollama_window: int | None = None
        self.output_bound = settings.output_bound
        self.most_at_once = SERVED_AT_ONCE
        self.facts = probe.Facts()
        self._prepared = False
        self._memory = Memory()
        # Ollama, which may listen at any address, passes models of this name on to its own service.
        passed_on = profile.name in {"ollama", "openai"} and name.endswith("cloud")
        local = endpoint.loopback and not passed_on
        self.info = ModelInfo(
            name=name,
            backend=profile.name,
            protocol="chat",
            address=endpoint.base,
            local=local,
            context_window=settings.context_window,
            price=settings.price or (Price(0.0, 0.0) if local else None),
        )

    async def prepare(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Asks the server what it is. Raises ModelError when nothing answers at its address, or
        when it is known already that a turn could not be had."""
        facts = self.facts = await probe.ask(self.transport, self._name)
        self._prepared = True
        if facts.server and self._profile.name == "openai":
            self._take_for(PROFILES[facts.server])
        window = self._settings.context_window or facts.context_window
        if facts.server == "ollama" and facts.server_version:
            asked = self._settings.context_window
            window = await ollama.settle_window(self.transport, self._name, facts, asked, say)
            self._ollama_window = window
        self.info = replace(
            self.info,
            server=facts.server or self._profile.name,
            server_version=facts.server_version,
            quantisation=facts.quantisation,
            context_window=window,
        )
        self._check_name(say)

    def _check_name(self, say: Callable[[str], None]) -> None:
        """Raises NoModel where the server has what it lists and no other."""
        listed, names = self.facts.models, self._profile.names
        if not listed or names == "any" or self.listed:
            return
        if names == "listed":
            raise self._no_model(listed)
        say(f"{self._name} is not among the models that {self.transport.server} lists")

    @property
    def listed(self) -> bool:
        """Whether the server lists the model, in its own spelling or without its usual tag."""
        known = {name.lower() for name in self.facts.models}
        return not known.isdisjoint((self._name.lower(), f"{self._name.lower()}:latest"))

    def _take_for(self, profile: Profile) -> None:
        """Uses the server as what it turned out to be."""
        self._profile = self.transport.profile = profile
        self.dialect.reasoning = profile.reasoning
        self.dialect.strict_tools = profile.strict_tools

    async def load(self) -> ServerLoad | None:
        if self.info.server not in TELLING:
            return None
        return await load_of(self.transport, LOAD_SECONDS)

    async def close(self) -> None:
        await self.transport.close()

    async def generate(
        self, conversation: Conversation, tools: Sequence[ToolSpec], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        if not self._prepared:
            await self.prepare()
        turn = Turn(conversation, tools, sampling)
        self._check_window(turn)
        answers = persist(self._settings, lambda: self._answer(turn), turn.abandon)
        try:
            async with aclosing(answers) as events:
                async for event in events:
                    yield event
        except Transient as failure:
            yield self._given_up(turn, failure)

    async def _answer(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """One attempt, the request reworded where the server refuses one of our optional fields."""
        for _ in range(_REWORDINGS):
            try:
                async with aclosing(self._attempt(turn)) as events:
                    async for event in events:
                        yield event
                return
            except UnknownModel as problem:
                raise await self._unknown_model(str(problem)) from None
            except NoTools as problem:
                if self.dialect.written_tools or not turn.tools:
                    raise
                said = problem.message
                self.dialect.written_tools = True
                yield Retrying(f"{said}; calls are written as text instead", 0.0, 1)
            except Refused as refused:
                said = str(refused)
                if not self.dialect.learn(said):
                    break
        raise ModelError(
            f"{self.transport.server} refuses the request: {said}",
            "Leave out the option that it names, or check the model's settings at the server.",
        )

    async def _attempt(self, turn: Turn) -> AsyncGenerator[Event, None]:
        assembly = Assembly(turn.tools, turn.call_ids, self._secret)
        turn.assembly = assembly
        pace = Pace(self._settings, assembly)
        path, body, native = self._request(turn)
        cut = came = False
        try:
            async with self.transport.stream(path, body, pace) as stream:
                async with aclosing(stream.chunks()) as chunks:
                    async for chunk in chunks:
                        came = True
                        for event in assembly.take(ollama.as_chunk(chunk) if native else chunk):
                            yield event
                        pace.mark(token=assembly.characters > 0)
                        cut = pace.over or self._too_long(turn, assembly)
                        if cut or assembly.called:
                            break
                ended = stream.announced_end or assembly.finished or assembly.called
                if not (cut or ended):
                    turn.whole = turn.whole or not came
                    raise Transient("the connection closed before the answer's end", "connection")
        except Stalled:
            cut = pace.stalled(self.transport.server)
        for event in assembly.close():
            yield event
        yield self._done(turn, assembly, pace, cut)

    def _request(self, turn: Turn) -> tuple[str, bytes, bool]:
        """Where a turn is asked for, with which body, and whether by Ollama's own interface."""
        asked = self._name, turn.conversation, turn.tools, turn.sampling, self.dialect
        if self._ollama_window is None:
            body = request_body(*asked, streamed=not turn.whole)
            return "chat/completions", body, False
        address = f"{self.transport.endpoint.root}/api/chat"
        return address, ollama.request_body(*asked, self._ollama_window), True

    def _too_long(self, turn: Turn, assembly: Assembly) -> bool:
        limit = turn.sampling.max_output_tokens or self._settings.output_bound
        return assembly.characters > limit * _CHARACTERS_A_TOKEN

    def _done(self, turn: Turn, assembly: Assembly, pace: Pace, cut: bool) -> TurnDone:
        """The finished turn. Raises ContextOverflow where the window swallowed the answer."""
        message = assembly.message()
        usage = replace(
            assembly.usage(lambda: turn.prompt_estimate), abandoned_tokens=turn.abandoned
        )
        window = self.info.context_window
        empty = not message.text and not message.calls
        if window and empty and usage.input_tokens + usage.output_tokens >= window:
            raise failures.overflow(self.transport.server, f"an empty answer at {window} tokens")
        if assembly.reasoning_field and self._profile.reasoning is None:
            self.dialect.reasoning = assembly.reasoning_field
        if not usage.estimated:
            self._memory = Memory(turn.conversation, usage.input_tokens)
        finish: Finish = "length" if cut else assembly.finish()
        problem = malformed.problem_of(assembly, message, usage, limited=finish == "length")
        if cut and pace.over:
            finish, problem = "cut", malformed.cut_short(pace.seconds)
        timings = {"seconds": pace.seconds, **assembly.timings}
        if pace.first_token_seconds is not None:
            timings["first_token_seconds"] = pace.first_token_seconds
        kind: MalformedKind | None = "tool" if assembly.nameless_calls else None
        return TurnDone(message, usage, finish, problem, timings, kind=kind)

    def _check_window(self, turn: Turn) -> None:
        """Raises ContextOverflow where the server would cut the prompt without a word."""
        window = self.info.context_window
        if not self._profile.truncates or window is None:
            return
        expected = self._memory.expect(turn)
        if expected >= window:
            raise failures.overflow(
                self.transport.server, f"about {expected} tokens, window {window}"
            )

    def _given_up(self, turn: Turn, failure: Transient) -> TurnDone:
        """The end of all retries: a malformed turn where the model is to blame, else an error."""
        if failure.kind == "unparsed":
            usage = Usage(estimated=True, abandoned_tokens=turn.abandoned)
            problem = malformed.unreadable_call(failure.reason)
            return TurnDone(AssistantMessage(), usage, problem=problem, kind="unparsed")
        raise Unanswered(
            f"{self.transport.server} gives no answer, asked {turn.attempts} times:"
            f" {failure.reason}",
            "See the server's own log.",
        ) from None

    async def _unknown_model(self, said: str) -> ModelError:
        """What the server has instead of the model that it does not know."""
        server = self.transport.server
        try:
            names = [
                str(entry["id"]) for entry in await probe.list_models(self.transport, probe.QUICK)
            ]
        except (ModelError, Transient, Refused, UnknownModel, Stalled):
            names = []
        if not names:
            return NoModel(
                f"{server} knows no model {self._name!r} ({said})",
                f"{self._profile.get_model.format(model=self._name)} The address given with"
                " --base-url usually ends in /v1.",
            )
        return self._no_model(names, f" ({said})")

    def _no_model(self, names: Sequence[str], said: str = "") -> NoModel:
        near = difflib.get_close_matches(self._name, names, n=len(names), cutoff=0.4)
        shown = [*near, *(name for name in names if name not in near)]
        more = f" and {len(shown) - _SHOWN_MODELS} more" if len(shown) > _SHOWN_MODELS else ""
        return NoModel(
            f"{self.transport.server} has no model {self._name!r}{said}",
            f"It has: {', '.join(shown[:_SHOWN_MODELS])}{more}."
            f" {self._profile.get_model.format(model=self._name)}",
        )
