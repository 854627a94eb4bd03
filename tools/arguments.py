"""A call's arguments: JSON text from a model, read and checked against the tool's schema.

A call that fits is passed on. One that misses by a form only (a number in quotes, the object
encoded twice) is repaired where exactly one reading fits the schema, and the repair is noted. For
everything else `BadArguments` says what was expected where, and what came.
"""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError

_MOST_PROBLEMS = 6
_DEEPEST = 32
_FENCE = re.compile(r"\A```[A-Za-z]*\s*\n(.*?)\n?```\Z", re.DOTALL)
_WRAPPERS = ("arguments", "parameters", "input", "args", "kwargs")
_TYPE_NAMES = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


class BadArguments(Exception):
    """Arguments that cannot be used; `str()` of it is written for the model."""


@dataclass(frozen=True)
class Arguments:
    """Arguments that fit the schema. `notes` says how they were repaired, one sentence each."""

    values: dict[str, Any]
    notes: tuple[str, ...] = ()


class ArgumentsCheck:
    """Checks the arguments of one tool.

    `parameters` is a flat draft 2020-12 schema of an object; ValueError when it is not one.
    `aliases` maps other names of a field to its own: read, but never shown.
    """

    def __init__(self, parameters: Mapping[str, Any], aliases: Mapping[str, str]) -> None:
        try:
            Draft202012Validator.check_schema(parameters)
        except SchemaError as error:
            raise ValueError(f"not a JSON Schema (draft 2020-12): {error.message}") from error
        if parameters.get("type") != "object":
            raise ValueError("the schema of a tool's arguments has to be of type object")
        self._validator = Draft202012Validator(parameters)
        self._fields: Mapping[str, Mapping[str, Any]] = parameters.get("properties", {})
        self._required: Sequence[str] = parameters.get("required", ())
        self._closed = parameters.get("additionalProperties") is False
        self._aliases = aliases
        unknown = sorted(set(aliases.values()) - set(self._fields))
        if unknown:
            raise ValueError(f"aliases of fields that the schema lacks: {', '.join(unknown)}")

    def check(self, raw: str) -> Arguments:
        """The arguments in the JSON text `raw`; BadArguments when no single reading fits."""
        value, notes = _read(raw)
        if isinstance(value, str):
            value, inner_notes = _read_inner(value)
            notes += [*inner_notes, "the arguments were JSON inside a JSON string"]
        if not isinstance(value, dict):
            raise BadArguments(f"The arguments have to be one JSON object; {came(value)} came.")
        values = self._unwrapped(value, notes)
        values = self._renamed(values, notes)
        values = {
            name: item
            for name, item in values.items()
            if item is not None or name in self._required or name not in self._fields
        }
        values = self._converted(values, notes)
        problems = list(self._validator.iter_errors(values))
        if problems:
            raise BadArguments(self._explained(problems))
        return Arguments(
            {name: self._exact(name, item) for name, item in values.items()}, tuple(notes)
        )

    def signature(self) -> str:
        """The fields as `path: string, start_line?: integer`."""
        return ", ".join(
            f"{name}{'' if name in self._required else '?'}: {_type_text(field)}"
            for name, field in self._fields.items()
        )

    def _unwrapped(self, values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """`{"arguments": {...}}` as its inner object, when only that fits the schema."""
        if len(values) != 1:
            return values
        name, inner = next(iter(values.items()))
        if name in self._fields or name not in _WRAPPERS or not isinstance(inner, dict):
            return values
        if not self._validator.is_valid(inner):
            return values
        notes.append(f'the arguments were inside another object, under "{name}"')
        return inner

    def _renamed(self, values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """Fields under another known name, or another spelling, under their own name."""
        spelled = {_plain(name): name for name in self._fields}
        renamed: dict[str, Any] = {}
        for name, item in values.items():
            known = name
            if name not in self._fields:
                known = self._aliases.get(name) or spelled.get(_plain(name), name)
            if known != name and (known in values or known in renamed):
                known = name
            if known != name:
                notes.append(f'"{name}" was read as "{known}"')
            renamed[known] = item
        return renamed

    def _converted(self, values: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """Values of a wrong type in the one form that fits the field, where there is one."""
        converted = dict(values)
        for name, item in values.items():
            field = self._fields.get(name)
            if field is None:
                continue
            own = self._validator.evolve(schema=field)
            if own.is_valid(item):
                continue
            fitting = [
                reading for reading in _readings(item, _types(field)) if own.is_valid(reading)
            ]
            if len(fitting) == 1:
                converted[name] = fitting[0]
                notes.append(f'"{name}" was read as {came(fitting[0])}')
        return converted

    def _exact(self, name: str, item: Any) -> Any:
        """An integer written as 3.0 as the integer that the handler expects."""
        whole = isinstance(item, float) and item.is_integer()
        if whole and "number" not in _types(self._fields.get(name, {})):
            return int(item)
        return item

    def _explained(self, problems: Sequence[ValidationError]) -> str:
        lines: list[str] = []
        for problem in problems:
            lines += [line for line in self._problem(problem) if line not in lines]
        shown = [f"- {line}" for line in lines[:_MOST_PROBLEMS]]
        if len(lines) > _MOST_PROBLEMS:
            shown.append(f"- and {len(lines) - _MOST_PROBLEMS} more")
        return "The arguments do not fit the tool:\n" + "\n".join(shown)

    def _problem(self, problem: ValidationError) -> list[str]:
        pointer = "".join(f"/{_escaped(part)}" for part in problem.absolute_path)
        wanted: Any = problem.validator_value
        item: Any = problem.instance
        match problem.validator:
            case "required":
                missing = [name for name in wanted if name not in item]
                return [self._missing(pointer, name, item) for name in missing]
            case "additionalProperties":
                return [self._unknown(pointer, name) for name in item if name not in self._fields]
            case "type":
                expected = " or ".join(wanted) if isinstance(wanted, list) else wanted
            case "enum":
                expected = "one of " + ", ".join(json.dumps(choice) for choice in wanted)
            case "minimum":
                expected = f"at least {wanted}"
            case "maximum":
                expected = f"at most {wanted}"
            case "minLength":
                expected = f"a string of at least {wanted} characters"
            case "minItems":
                expected = f"an array of at least {wanted} items"
            case _:
                return [f"{pointer or '/'}: {problem.message[:300]}"]
        return [f"{pointer or '/'}: expected {expected}; {came(item)} came"]

    def _missing(self, pointer: str, name: str, item: Mapping[str, Any]) -> str:
        strays = [key for key in item if key not in self._fields]
        near = difflib.get_close_matches(name, strays, n=1, cutoff=0.5)
        meant = f' (is it what you gave as "{near[0][:60]}"?)' if near else ""
        kind = _type_text(self._fields.get(name, {}))
        return f"{pointer}/{_escaped(name)}: required ({kind}), but missing{meant}"

    def _unknown(self, pointer: str, name: str) -> str:
        near = nearest(name, self._fields)
        meant = f'; the nearest is "{near[0]}"' if near else ""
        return f"{pointer}/{_escaped(name[:60])}: there is no such field{meant}"


def is_object(raw: str) -> bool:
    """Whether the JSON text `raw` can be read as one object, its form repaired where need be."""
    try:
        value, _ = _read(raw)
        if isinstance(value, str):
            value, _ = _read_inner(value)
    except BadArguments:
        return False
    return isinstance(value, dict)


def nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Up to three of the `known` names that look like `name`, the nearest first."""
    folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(name[:80].casefold(), list(folded), n=3, cutoff=0.5)
    return [folded[candidate] for candidate in close]


def came(value: Any) -> str:
    """What came, for an error: its JSON type and the beginning of its text."""
    if value is None:
        return "null"
    kind = next((name for known, name in _TYPE_NAMES if isinstance(value, known)), "value")
    text = json.dumps(value, ensure_ascii=False)
    return f"{kind} {text if len(text) <= 80 else text[:77] + '...'}"


def _read(raw: str) -> tuple[Any, list[str]]:
    """The JSON value in `raw`, and how its text had to be repaired."""
    text = raw.strip()
    if not text:
        return {}, []
    try:
        return _decoded(text, strict=True), []
    except json.JSONDecodeError as error:
        problem = error
    fenced = _FENCE.match(text)
    notes = ["the JSON was inside a code fence"] if fenced else []
    inner = fenced.group(1) if fenced else text
    try:
        return _decoded(inner, strict=True), notes
    except json.JSONDecodeError:
        try:
            value = _decoded(inner, strict=False)
        except json.JSONDecodeError:
            raise BadArguments(_invalid_json(text, problem)) from problem
    return value, [*notes, "line breaks inside strings were not escaped"]


def _read_inner(text: str) -> tuple[Any, list[str]]:
    try:
        return _read(text)
    except BadArguments as error:
        raise BadArguments(
            f"The arguments have to be one JSON object; {came(text)} came."
        ) from error


def _decoded(text: str, *, strict: bool) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, item in items:
            if name in found and found[name] != item:
                raise BadArguments(f'"{name[:60]}" is given twice, with different values.')
            found[name] = item
        return found

    def constant(name: str) -> Any:
        raise BadArguments(f"{name} is not a JSON value.")

    try:
        value = json.loads(text, strict=strict, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise BadArguments("The arguments are nested too deeply.") from error
    except ValueError as error:  # an integer of thousands of digits
        raise BadArguments(f"A number in the arguments cannot be read: {error}") from error
    _check_leaves(value)
    return value


def _check_leaves(value: Any) -> None:
    """Refuses what JSON can write and no handler can use: deep nesting, infinities, half
    characters."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if depth > _DEEPEST:
            raise BadArguments(f"The arguments are nested more than {_DEEPEST} levels deep.")
        if isinstance(item, dict):
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list):
            waiting += [(part, depth + 1) for part in item]
        elif isinstance(item, float) and not math.isfinite(item):
            raise BadArguments("A number in the arguments is too large.")
        elif isinstance(item, str):
            half = next((char for char in item if "\ud800" <= char <= "\udfff"), None)
            if half is not None:
                raise BadArguments(
                    f"A string in the arguments holds half of a surrogate pair, \\u{ord(half):04x}."
                )


def _invalid_json(text: str, error: json.JSONDecodeError) -> str:
    start, end = max(0, error.pos - 40), error.pos + 40
    near = f"{text[start : error.pos]}>>>HERE>>>{text[error.pos : end]}"
    message = (
        f"The arguments are not valid JSON: {error.msg} at line {error.lineno}, column "
        f"{error.colno} (character {error.pos} of {len(text)}), near: {near}"
    )
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        message += (
            "\nThe text ends before the object is closed: if it was cut off, make a smaller call."
        )
    elif text[error.pos] == "'":
        message += "\nJSON strings and names stand in double quotes."
    return message


def _readings(value: Any, wanted: Sequence[str]) -> list[Any]:
    """The forms that `value` may have been meant in, among the types `wanted`; no duplicates."""
    found: list[Any] = []
    if isinstance(value, str):
        text = value.strip()
        if "integer" in wanted and re.fullmatch(r"[+-]?[0-9]{1,15}", text):
            found.append(int(text))
        elif "number" in wanted and re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", text):
            found.append(float(text))
        if "boolean" in wanted and text.lower() in ("true", "false"):
            found.append(text.lower() == "true")
        if "array" in wanted:
            found.append(_list_in(text) if text.startswith("[") else [value])
        return found
    if isinstance(value, int) and not isinstance(value, bool) and "string" in wanted:
        found.append(str(value))
    if not isinstance(value, list) and "array" in wanted:
        found.append([value])
    return found


def _list_in(text: str) -> Any:
    try:
        return _decoded(text, strict=False)
    except (json.JSONDecodeError, BadArguments):
        return None  # fits no field, so it is no reading


def _types(field: Mapping[str, Any]) -> list[str]:
    kind = field.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _type_text(field: Mapping[str, Any]) -> str:
    kinds = " or ".join(_types(field)) or "any"
    if kinds == "array":
        kinds = f"array of {_type_text(field.get('items', {}))}s"
    return kinds


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
