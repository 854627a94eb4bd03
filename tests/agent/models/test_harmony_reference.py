"""Our rendering, token by token, against the library's own of the same conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import openai_harmony as library
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    ToolSpec,
    UserMessage,
)
from agent.models.dialect import CallIds
from agent.models.harmony import HarmonyDialect
from agent.models.harmony_turn import CALL, END, RETURN, HarmonyParser
from tools.tool import Toolbox
from tools.toolsets import toolset

DIALECT = HarmonyDialect()
ENCODING = library.load_harmony_encoding("HarmonyGptOss")
ROLE = library.Role
NATIVE = Toolbox(toolset("gpt-oss").tools).specs
GENERIC = Toolbox(toolset("generic").tools).specs
DATE = "2026-11-27"
OPENING = ENCODING.encode("<|start|>assistant", allowed_special="all")


@dataclass(frozen=True)
class Step:
    """One turn of the model: thought, said, and called or, without calls, answered."""

    thought: str
    said: str
    calls: tuple[tuple[str, str, str], ...]
    guidance: str = ""


def theirs(
    told: str, tools: Sequence[ToolSpec], effort: str, asked: str, steps: Sequence[Step]
) -> list[int]:
    """The conversation as the library renders it, reasoning left out as the format wants it."""
    system = library.SystemContent.new().with_conversation_start_date(DATE)
    system = system.with_reasoning_effort(library.ReasoningEffort(effort.title()))
    spaces: dict[str, list[Any]] = {}
    for spec in tools:
        space, _, name = spec.name.rpartition(".")
        made = library.ToolDescription.new(name, spec.description, spec.parameters)
        spaces.setdefault(space, []).append(made)
    functions = spaces.pop("", None)
    for space, members in spaces.items():
        system = system.with_tools(library.ToolNamespaceConfig(name=space, tools=members))
    messages = [library.Message.from_role_and_content(ROLE.SYSTEM, system)]
    developer = library.DeveloperContent.new()
    developer = developer.with_instructions(told) if told else developer
    developer = developer.with_function_tools(functions) if functions else developer
    if told or functions:
        messages.append(library.Message.from_role_and_content(ROLE.DEVELOPER, developer))
    messages.append(library.Message.from_role_and_content(ROLE.USER, asked))
    replied = [n for n, s in enumerate(steps) if not s.calls and any(t.guidance for t in steps[n:])]
    for number, step in enumerate(steps):
        thought = step.thought if not replied or number > replied[-1] else ""
        messages += model_turn(step, thought)
        for name, _, result in step.calls:
            author = library.Author(role=ROLE.TOOL, name=recipient(name))
            made = library.Message.from_author_and_content(author, result)
            messages.append(made.with_channel("commentary").with_recipient("assistant"))
        if step.guidance:
            messages.append(library.Message.from_role_and_content(ROLE.USER, step.guidance))
    return list(
        ENCODING.render_conversation_for_completion(
            library.Conversation.from_messages(messages),
            ROLE.ASSISTANT,
            library.RenderConversationConfig(auto_drop_analysis=False),
        )
    )


def model_turn(step: Step, thought: str) -> list[Any]:
    def said(text: str, channel: str) -> Any:
        made = library.Message.from_role_and_content(ROLE.ASSISTANT, text)
        return made.with_channel(channel)

    messages = [said(thought, "analysis")] if thought else []
    if step.said:
        messages.append(said(step.said, "commentary" if step.calls else "final"))
    for name, arguments, _ in step.calls:
        call = said(arguments, "commentary").with_recipient(recipient(name))
        messages.append(call.with_content_type("<|constrain|>json"))
    return messages


def recipient(name: str) -> str:
    return name if "." in name else f"functions.{name}"


def ours(told: str, asked: str, steps: Sequence[Step], *, sampled: bool) -> list[Message]:
    messages: list[Message] = [SystemMessage(told, DATE), UserMessage(asked)]
    for number, step in enumerate(steps):
        calls = tuple(ToolCall(f"{number}-{n}", c[0], c[1]) for n, c in enumerate(step.calls))
        ids = tuple(tokens_of(step)) if sampled else ()
        messages.append(AssistantMessage(step.said, step.thought, calls, ids))
        messages += [ToolMessage(m.id, c[0], c[2]) for m, c in zip(calls, step.calls, strict=True)]
        if step.guidance:
            messages.append(UserMessage(step.guidance, "guidance"))
    return messages


def tokens_of(step: Step) -> list[int]:
    """The turn as the model would have sampled it."""
    ids = [i for m in model_turn(step, step.thought) for i in ENCODING.render(m)]
    return [*ids[len(OPENING) : -1], CALL if step.calls else RETURN]


MARKS = ["<|start|>assistant", "<|call|>", "<|end|>", "<|channel|>final<|message|>", "<|return|>"]
TEXTS = st.lists(
    st.one_of(st.text(st.characters(codec="utf-8"), max_size=12), st.sampled_from(MARKS)),
    min_size=1,
    max_size=4,
).map("".join)
SAID = TEXTS.filter(lambda text: bool(text.strip()))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Sequence[ToolSpec], list[Step]]:
    tools = draw(st.sampled_from([(), GENERIC, NATIVE, (*NATIVE, *GENERIC)]))
    steps: list[Step] = []
    for _ in range(draw(st.integers(0, 4))):
        thought = draw(st.one_of(st.just(""), TEXTS))
        if tools and draw(st.booleans()):
            name = draw(st.sampled_from([spec.name for spec in tools]))
            arguments = draw(st.sampled_from(['{"path": "a"}', '{"query":"ü"}', "{}"]))
            preamble = draw(st.one_of(st.just(""), SAID))
            steps.append(Step(thought, preamble, ((name, arguments, draw(TEXTS)),)))
        else:
            steps.append(Step(thought, draw(SAID), (), draw(TEXTS)))
    return tools, steps


@given(st.text("ab \n", max_size=8), TEXTS, conversations(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_conversation_is_rendered_as_the_library_renders_it(
    told: str, asked: str, made: tuple[Sequence[ToolSpec], list[Step]], sampled: bool
) -> None:
    tools, steps = made
    prompt = DIALECT.prompt(ours(told, asked, steps, sampled=sampled), tools, "high")
    assert list(prompt.ids) == theirs(told, tools, "high", asked, steps)


def test_what_was_sampled_goes_back_to_the_token_and_is_what_comes_next() -> None:
    """So that a KV cache of the turn before holds all of it."""
    step = Step("Look.", "", (("repo_browser.print_tree", '{"path": "."}', "a.py"),))
    before = DIALECT.prompt(ours("Mend.", "Hi", [], sampled=True), NATIVE, None).ids
    after = DIALECT.prompt(ours("Mend.", "Hi", [step], sampled=True), NATIVE, None).ids
    sampled = tokens_of(step)
    assert after[: len(before) + len(sampled)] == (*before, *sampled)


def test_a_result_comes_from_whom_it_was_asked_of_and_on_its_channel() -> None:
    text = '<|channel|>analysis to=apply_patch <|constrain|>json<|message|>{"patch": "p"}<|call|>'
    ids = ENCODING.encode(text, allowed_special="all")
    parser = HarmonyParser(DIALECT.decode, CallIds(()))
    for token in ids:
        parser.feed(token)
    [call] = parser.parsed().calls
    turn = AssistantMessage("", "", (call,), tuple(ids))
    conversation = [UserMessage("Hi"), turn, ToolMessage(call.id, call.name, "ok")]
    rendered = ENCODING.decode(DIALECT.prompt(conversation, NATIVE, None).ids)
    assert "<|start|>apply_patch to=assistant<|channel|>analysis<|message|>ok<|end|>" in rendered


def test_who_it_is_and_when_stand_where_the_model_was_trained_to_find_them() -> None:
    conversation = [SystemMessage("Mend it.", DATE), UserMessage("Hi")]
    text = ENCODING.decode(DIALECT.prompt(conversation, NATIVE, None).ids)
    assert text.startswith(
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        f"Knowledge cutoff: 2024-06\nCurrent date: {DATE}\n\nReasoning: medium\n\n# Tools\n\n"
        "## container\n\nnamespace container {\n"
    )
    assert "<|start|>developer<|message|># Instructions\n\nMend it.<|end|>" in text
    without = ENCODING.decode(DIALECT.prompt([UserMessage("Hi")], (), None).ids)
    assert "Current date" not in without


def test_a_turn_that_was_mended_goes_back_in_sound_tokens() -> None:
    text = '<|channel|>commentary to=functions.shell please<|message|>{"command": "ls"}<|call|>'
    ids = ENCODING.encode(text, allowed_special="all")
    call = ToolCall("c", "shell", '{"command": "ls"}')
    prompt = DIALECT.prompt([AssistantMessage("", "", (call,), tuple(ids))], GENERIC, None)
    step = Step("", "", (("shell", '{"command": "ls"}', ""),))
    end = [*OPENING, *tokens_of(step), *OPENING]
    assert list(prompt.ids)[-len(end) :] == end
    assert END not in tokens_of(step)
