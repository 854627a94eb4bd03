"""Which tool a call means whose name was mangled on the way, and which arguments."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agent.conversation import ToolSpec, object_in

#: What stands in the place of a name when a server took a header of harmony for one.
_NO_NAMES = frozenset({"", "assistant", "analysis", "commentary", "final", "json", "functions"})


def tool_name(name: str, tools: Mapping[str, ToolSpec]) -> str:
    """The tool meant: without a namespace or the control tokens that leaked into the name."""
    if name in tools:
        return name
    cut = name.partition("<|")[0].strip().removeprefix("functions.")
    return cut if cut in tools else name


def meant_tool(name: str, arguments: str, tools: Mapping[str, ToolSpec]) -> str:
    """As `tool_name`; where only marks are left of the name, the one tool whose schema the
    arguments fit. `name` itself where no tool is certain."""
    found = tool_name(name, tools)
    if found in tools or name.partition("<|")[0].strip() not in _NO_NAMES:
        return found
    return tool_fitted_by(arguments, tools.values()) or name


def tool_fitted_by(arguments: str, tools: Iterable[ToolSpec]) -> str:
    """The one tool whose schema the arguments fit; empty where none does, or several."""
    values = object_in(arguments)
    if not values:
        return ""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import, seldom needed

    fitting = [
        spec.name
        for spec in tools
        if _names_fields(spec.parameters, values)
        and Draft202012Validator(spec.parameters).is_valid(values)
    ]
    return fitting[0] if len(fitting) == 1 else ""


def _names_fields(schema: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether the values are fields that the schema knows: an open schema fits everything."""
    fields = schema.get("properties")
    return isinstance(fields, dict) and values.keys() <= fields.keys()


def plain_arguments(arguments: str) -> str:
    """The JSON object that was escaped once too often (a text that holds one); else as it is."""
    try:
        inner = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return inner if isinstance(inner, str) and object_in(inner) is not None else arguments
