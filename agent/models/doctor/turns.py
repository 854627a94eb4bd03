"""How turns come: in pieces, counted, from a prefix that is known, and left when they are cut."""

import uuid

from agent.conversation import UserMessage
from agent.models.base import ReasoningDelta, Sampling, TextDelta
from agent.models.doctor import beside
from agent.models.doctor.findings import Finding
from agent.models.doctor.look import HELLO, LOG, ONE_TOKEN, SMALL, SYSTEM, Look

#: Seconds below which the time for a prompt says more of the machine's moods than of its cache.
_TELLING = 1.0


async def streaming(look: Look) -> Finding:
    done = await look.turn(HELLO, [], SMALL)
    look.usage = not done.usage.estimated
    look.first_token_seconds = done.timings.get("first_token_seconds", 0.0)
    look.pace = done.usage.output_tokens / max(0.001, done.timings["seconds"])
    pieces = sum(isinstance(event, TextDelta | ReasoningDelta) for event in look.events)
    if not done.message.text and not done.message.reasoning:
        lost = done.problem or "nothing came"
        return Finding("streaming", "bad", lost, "turns are lost and asked for again", LOG)
    found = f"{pieces} pieces, the first after {look.first_token_seconds:.2f} s"
    if pieces > 1:
        return Finding("streaming", "good", found)
    return Finding(
        "streaming",
        "note",
        "the answer comes in one piece",
        "nothing is seen while the model writes, and runaway reasoning cannot be cut",
        "Switch off what gathers the stream: a proxy, or a server that does not stream tool calls.",
    )


async def usage(look: Look) -> Finding:
    if look.usage:
        return Finding("token counts", "good", "counted by the server, in the stream")
    return Finding(
        "token counts",
        "note",
        "the server counts nothing in a stream",
        "budgets go by estimates, one token for four characters",
        "None of ours: the server would have to know stream_options.include_usage.",
    )


async def prefix(look: Look) -> Finding:
    """Two prompts that differ at their end only; the first is like none before."""
    start = f"{uuid.uuid4()} " + "The quick brown fox jumps over the lazy dog. " * 60
    hits = await beside.prefix_hits(look.model.transport)
    turns = []
    for end in ("One.", "Two."):
        turns.append(await look.turn((SYSTEM, UserMessage(start + end)), [], ONE_TOKEN))
    second = turns[1]
    now = await beside.prefix_hits(look.model.transport)
    if second.usage.cached_tokens:
        share = second.usage.cached_tokens / max(1, second.usage.input_tokens)
        return Finding("prefix cache", "good", f"{share:.0%} of a prompt that came before")
    if hits is not None and now is not None and now > hits:
        return Finding("prefix cache", "good", "its metrics count hits")
    took = [turn.timings.get("prompt_seconds", turn.timings["seconds"]) for turn in turns]
    times = f"{took[0]:.2f} s for a prompt, {took[1]:.2f} s for one that begins alike"
    if max(took) < _TELLING:
        quick = f"{took[0]:.2f} s, then {took[1]:.2f} s"
        untold = f"the server does not count it, and is too quick to tell by time ({quick})"
        return Finding("prefix cache", "untold", untold)
    if took[1] < 0.4 * took[0]:
        return Finding("prefix cache", "good", times)
    return Finding(
        "prefix cache",
        "note",
        f"not seen: {times}",
        "each turn may pay for the whole conversation again",
        "Check that it is on at the server (vLLM and SGLang: by default).",
    )


async def abort(look: Look) -> Finding:
    """Leaves an answer after its first piece; a server that goes on writes while the next waits."""
    story = (SYSTEM, UserMessage("Count from 1 to 300, one number a line."))
    stream = look.model.generate(story, [], Sampling(max_output_tokens=900))
    async for _event in stream:
        break
    await stream.aclose()
    done = await look.turn(HELLO, [], ONE_TOKEN)
    waited = done.timings["seconds"]
    if waited <= 3 * look.first_token_seconds + 1:
        return Finding("abort", "good", f"after one the next answer came in {waited:.2f} s")
    return Finding(
        "abort",
        "note",
        f"after one the next answer took {waited:.1f} s",
        "reasoning that is cut is still computed to its end, and delays what follows",
    )
