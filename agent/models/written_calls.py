"""Tool calls as models write them in text: the forms that stand within a tag, told apart."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.conversation import ToolSpec

_DECODER = json.JSONDecoder(strict=False)
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*')
_MISTRAL = re.compile(r"\s*([\w.-]+)(?:\[CALL_ID\]\w+)?\[ARGS\]\s*")
_AGAIN = "[TOOL_CALLS]"
_TAGGED = re.compile(r"\s*<function=")
_FUNCTION = re.compile(r"<function=([^<>\s]{1,200})>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^<>\s]{1,200})>\n?")
_PARAMETER_END = "</parameter>"


@dataclass(frozen=True)
class WrittenCall:
    """A call as it stood in the text. `arguments` is JSON text, valid or not."""

    name: str
    arguments: str


def read_calls(content: str, tools: Mapping[str, ToolSpec]) -> list[WrittenCall]:
    """The calls in `content`: JSON objects alone, in a list or one after the other, or one of the
    forms with marks. Empty where it cannot be read; never raises."""
    # Amid JSON such a tag is a part of some text, a file that is written, say.
    if _TAGGED.match(content):
        return [_function(match[1], match[2], tools) for match in _FUNCTION.finditer(content)]
    if match := _MISTRAL.match(content):
        return _marked(content, match)
    values = _json_values(content)
    if values is None:
        return _broken(content)
    entries = [e for value in values for e in (value if isinstance(value, list) else [value])]
    calls = [_call(entry) for entry in entries]
    read = [call for call in calls if call is not None]
    return read if len(read) == len(calls) else []


def is_whole(content: str) -> bool:
    """Whether a call that nothing closed is complete all the same."""
    match = _MISTRAL.match(content)
    return bool(_json_values(content[match.end() :] if match else content))


def _function(name: str, body: str, tools: Mapping[str, ToolSpec]) -> WrittenCall:
    """A call whose arguments stand in tags of their own; the tool's schema tells which of them are
    texts."""
    properties = tools[name].parameters.get("properties") if name in tools else None
    values: dict[str, Any] = {}
    for name_given, text in _parameters(body):
        schema = properties.get(name_given) if isinstance(properties, dict) else None
        kind = schema.get("type") if isinstance(schema, dict) else None
        values[name_given] = text if kind == "string" else _value(text)
    return WrittenCall(name, _json_text(values) or "{}")


def _parameters(body: str) -> Iterator[tuple[str, str]]:
    """Names and texts of parameters that are closed."""
    match = _PARAMETER.search(body)
    while match and (end := body.find(_PARAMETER_END, match.end())) >= 0:
        yield match[1], body[match.end() : end].removesuffix("\n")
        match = _PARAMETER.search(body, end)


def _marked(content: str, match: re.Match[str] | None) -> list[WrittenCall]:
    """Calls written as `name[ARGS]{...}`."""
    calls = []
    while match:
        following = content.find(_AGAIN, _end_of_value(content, match.end()))
        end = following if following >= 0 else len(content)
        calls.append(WrittenCall(match[1], content[match.end() : end].strip()))
        match = _MISTRAL.match(content, end + len(_AGAIN)) if following >= 0 else None
    return calls


def _end_of_value(content: str, place: int) -> int:
    """Where the JSON value at `place` ends; `place` itself where there is none: its texts may hold
    what begins another call."""
    try:
        return _DECODER.raw_decode(content, place)[1]
    except (ValueError, RecursionError):
        return place


def _json_values(content: str) -> list[Any] | None:
    """The JSON values that `content` is made of, None where it holds anything else."""
    values: list[Any] = []
    place = 0
    while place < len(content):
        if content[place] in " \t\r\n,;":
            place += 1
            continue
        try:
            value, place = _DECODER.raw_decode(content, place)
        except (ValueError, RecursionError):
            return None
        values.append(value)
    return values


def _call(entry: Any) -> WrittenCall | None:
    """The call that a JSON object is; an object may hold it under `function`."""
    if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
        entry = entry["function"]
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"]:
        return None
    arguments = entry.get("arguments", entry.get("parameters", {}))
    text = arguments if isinstance(arguments, str) else _json_text(arguments)
    return None if text is None else WrittenCall(entry["name"], text)


def _broken(content: str) -> list[WrittenCall]:
    """A call whose JSON is not valid, its arguments as they stand: what is wrong with them is told
    where all arguments are checked."""
    name, arguments = _NAME.search(content), _ARGUMENTS.search(content)
    if name is None or arguments is None or arguments.start() < name.end():
        return []
    return [WrittenCall(name[1], content[arguments.end() :].strip().removesuffix("}").rstrip())]


def _value(text: str) -> Any:
    """What stands in a tag: JSON where it is some, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _json_text(value: Any) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:  # nested as deep as reading just bears, and writing does not
        return None
