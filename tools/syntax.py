"""Notices, in the sandbox, that an edit broke a Python file, so that the model hears of it at
once."""

from tools.tool import ToolContext

_SECONDS = 10.0
_SAID = "broken: "
_CHECK = """
import sys
try:
    compile(sys.stdin.buffer.read(), sys.argv[1], "exec", dont_inherit=True)
except (SyntaxError, ValueError) as error:
    line = getattr(error, "lineno", None)
    print("broken: " + (f"line {line}: " if line else "") + str(getattr(error, "msg", error)))
"""


async def syntax_note(context: ToolContext, path: str, before: bytes | None, after: bytes) -> str:
    """A sentence when `after` is no Python that the sandbox's interpreter can read and `before`
    (None: a new file) was; else empty. Only for files named `*.py`."""
    if not path.endswith(".py") or not context.limits.check_syntax:
        return ""
    problem = await _problem(context, path, after)
    if not problem or (before is not None and await _problem(context, path, before)):
        return ""
    return f"Warning: {path} is not valid Python now: {problem}."


async def _problem(context: ToolContext, path: str, content: bytes) -> str:
    """What the interpreter says against a file; empty when nothing, or when it cannot tell."""
    command = ["python3", "-I", "-S", "-W", "ignore", "-c", _CHECK, path]
    result = await context.box.run(command, stdin=content, timeout=_SECONDS)
    said = result.output.text.strip()
    return said.removeprefix(_SAID)[:300] if result.ok and said.startswith(_SAID) else ""
