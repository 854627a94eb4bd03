"""What is wrong with an answer that ended, in words meant for the model that gave it."""

from collections.abc import Mapping

from agent.models.assembly import Assembly
from agent.models.base import AssistantMessage, MalformedKind, TurnDone, Usage

#: Each kind in words, as the view says it.
KINDS: Mapping[MalformedKind, str] = {
    "channel": "a message of no known channel",
    "tool": "a call of no known tool",
    "arguments": "arguments that are no JSON object",
    "both": "an answer and a call at once",
    "several": "several calls at once",
    "empty": "an empty answer",
    "neither": "neither an answer nor a call",
    "unparsed": "a call that the server could not read",
    "cut": "an answer that was cut off",
}


def kind_of(done: TurnDone) -> MalformedKind | None:
    """What is wrong with a turn that has a problem, as far as its end tells; None for a sound
    one."""
    if done.problem and done.finish in ("length", "cut"):
        return "cut"
    if done.kind or not done.problem:
        return done.kind
    return "neither" if done.message.text.strip() or done.message.reasoning.strip() else "empty"


def problem_of(
    assembly: Assembly, message: AssistantMessage, usage: Usage, *, limited: bool
) -> str:
    """Empty for a sound turn: a finished text, or whole calls. `limited`: output was cut off."""
    if assembly.nameless_calls:
        return "Your tool call named no tool. Write the call again, with the tool's name."
    if limited and assembly.cut_calls:
        return (
            f"Your call of {assembly.cut_calls[0]} was cut off at the limit of output tokens."
            " Make a smaller call, or several."
        )
    if message.calls:
        return ""
    if assembly.problem:
        return assembly.problem
    if assembly.server_finish in _LOST:
        return _LOST[assembly.server_finish]
    return problem_without_calls(message, usage, limited=limited)


def problem_without_calls(message: AssistantMessage, usage: Usage, *, limited: bool) -> str:
    """Empty for a sound answer that calls no tool. `limited`: output was cut off."""
    if message.text.strip():
        return _UNFINISHED if limited else ""
    return _empty(message, usage, limited=limited)


def given_up(why: str) -> str:
    """For a turn that was given up amid its reasoning."""
    return f"Your reasoning was cut short ({why}). Think less, and call one tool now."


_UNFINISHED = (
    "Your answer was cut off at the limit of output tokens. Be brief, and call one tool at a time."
)
_UNREAD = "Your tool call could not be read. Write it again, its arguments as one JSON object."
#: What it means that a server gave this reason for an end without any call.
_LOST = {
    "tool_calls": _UNREAD,
    "function_call": _UNREAD,
    "content_filter": "Your answer was stopped by the server's content filter. Go on otherwise.",
}


def _empty(message: AssistantMessage, usage: Usage, *, limited: bool) -> str:
    if limited:
        return (
            "You reached the limit of output tokens before you answered or called a tool."
            " Think less, and call one tool now."
        )
    if message.reasoning.strip():
        return "You thought, but neither answered nor called a tool. Call one tool now, or answer."
    tokens = f" ({usage.output_tokens} tokens were lost)" if usage.output_tokens else ""
    return f"Your answer was empty{tokens}. Call one tool now, or answer."


def cut_short(seconds: float) -> str:
    """The problem of an answer that took longer than allowed."""
    return f"Your answer was cut off after {seconds:.0f} s. Be brief, and call one tool at a time."


def unreadable_call(reason: str) -> str:
    """The problem of an answer that the server failed on."""
    return (
        f"Your tool call was not valid: {reason}. Write it again, its arguments as one JSON object."
    )
