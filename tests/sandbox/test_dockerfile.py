import pytest
from docker.errors import APIError
from hypothesis import given
from hypothesis import strategies as st

from sandbox.archives import END_OF_ARCHIVE, member
from sandbox.dockerfile import arguments, instructions, stages, with_lines
from sandbox.engine import Engine
from sandbox.patch import FILE

TEXT = """\
# syntax=docker/dockerfile:1
ARG VERSION=12
from --platform=linux/amd64 debian:$VERSION AS build
RUN apt-get update && \\
    # a comment within
    apt-get install -y gcc \\

    make
ARG http_proxy TOKEN=x
FROM \\
    scratch
COPY --from=build /x /x
"""
LINE = st.sampled_from(
    [
        "FROM a",
        "from b AS c",
        "RUN x \\",
        "  y",
        "# FROM no",
        "",
        "FROM \\",
        "ARG A=1",
        "\\",
        " ",
        "é",
    ]
)


def test_instructions_are_joined_and_comments_left_out() -> None:
    assert [(each.word, each.rest) for each in instructions(TEXT)] == [
        ("ARG", "VERSION=12"),
        ("FROM", "--platform=linux/amd64 debian:$VERSION AS build"),
        ("RUN", "apt-get update && apt-get install -y gcc make"),
        ("ARG", "http_proxy TOKEN=x"),
        ("FROM", "scratch"),
        ("COPY", "--from=build /x /x"),
    ]


def test_stages_know_their_base() -> None:
    assert [stage.base for stage in stages(TEXT)] == ["debian:$VERSION", "scratch"]
    assert [each.word for each in stages(TEXT)[0].instructions] == ["RUN", "ARG"]


def test_arguments_are_named_without_their_values() -> None:
    assert arguments(TEXT) == {"VERSION", "http_proxy", "TOKEN"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_another_mark_may_say_that_a_line_goes_on(end: str) -> None:
    text = end.join(["# escape=`", "FROM x", "RUN a `", "  b", "RUN c \\", ""])
    assert [each.rest for each in instructions(text)] == ["x", "a b", "c \\"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\ufeffFROM x\nLABEL a=1\n", ["FROM", "LABEL"]),
        ("\ufeff# escape=`\nFROM x\nLABEL a=1 `\n b=2\n", ["FROM", "LABEL"]),
        ("FROM x\nLABEL a=1\\\\\nLABEL b=2\n", ["FROM", "LABEL", "LABEL"]),
        ("FROM x\nLABEL a=1\\\u00a0\nLABEL b=2\n", ["FROM", "LABEL", "LABEL"]),
        ("FROM x\nLABEL a=1\\\x0b\nLABEL b=2\n", ["FROM", "LABEL", "LABEL"]),
        ("FROM x\nLABEL a=1 \\ \t\n b=2\n", ["FROM", "LABEL"]),
        ("FROM x\nLABEL a=1 \\\r\n b=2\r\n", ["FROM", "LABEL"]),
        ("FROM x\nLABEL a=1 \\\n\u00a0# c\n b=2\n", ["FROM", "LABEL"]),
        ("FROM x\nLABEL a=1 \\\n c=\x1c#\nLABEL b=2\n", ["FROM", "LABEL", "LABEL"]),
    ],
)
def test_odd_lines_are_read_as_the_engine_reads_them(text: str, words: list[str]) -> None:
    assert [each.word for each in instructions(text)] == words


@pytest.mark.docker
@pytest.mark.parametrize("start", ["", "\ufeff", "# syntax=x\n", "# escape=`\n", "#escape = `\r\n"])
@pytest.mark.parametrize(
    "end", ["\\", "\\\\", "\\ \t", "\\\xa0", "\\\x0b", "`", "``", "\\\r", "\x1c"]
)
def test_the_engine_reads_it_so_too(engine: Engine, start: str, end: str) -> None:
    text = f"{start}FROM scratch\nLABEL two=2{end}\n LABEL three=3\n"
    archive = member("Dockerfile", FILE, text.encode()) + END_OF_ARCHIVE
    try:
        said = list(
            engine.api.build(fileobj=iter([archive]), custom_context=True, decode=True, rm=True)
        )
    except APIError:  # it takes both lines for one, in which the second word is no label
        made = []
    else:
        made = [each["aux"]["ID"] for each in said if "aux" in each]
    for ident in made:
        engine.api.remove_image(ident)
    assert len(list(instructions(text))) == 2 + len(made)


def test_lines_are_added_after_each_from() -> None:
    changed = with_lines(TEXT, lambda stage: [f"LABEL of={stage.base}"])
    assert [(each.word, each.rest) for each in instructions(changed)][1:3] == [
        ("FROM", "--platform=linux/amd64 debian:$VERSION AS build"),
        ("LABEL", "of=debian:$VERSION"),
    ]
    assert "    scratch\nLABEL of=scratch\nCOPY" in changed


@given(st.lists(LINE).map(lambda lines: "\n".join([*lines, "RUN end"])))
def test_what_is_added_changes_nothing_else(text: str) -> None:
    marks = ["LABEL added=1"]
    changed = with_lines(text, lambda _stage: marks)
    words = [(each.word, each.rest) for each in instructions(text)]
    after = [(each.word, each.rest) for each in instructions(changed)]
    assert [pair for pair in after if pair != ("LABEL", "added=1")] == words
    assert len(after) - len(words) == sum(word == "FROM" for word, _ in words)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    ends = [each.end for each in instructions(text)]
    assert ends == sorted(ends)
    assert all(0 < end <= text.count("\n") + 1 for end in ends)
