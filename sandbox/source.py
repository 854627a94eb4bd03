"""The supervisor as one text: its modules, and the lines that make them importable."""

from functools import cache
from importlib.resources import files

from sandbox import protocol

# In the order of their imports; the container has no folder to import them from.
MODULES = (
    "sandbox.protocol",
    "sandbox.supervisor.processes",
    "sandbox.supervisor.controls",
    "sandbox.supervisor.paths",
    "sandbox.supervisor.files",
    "sandbox.supervisor.shim",
    "sandbox.supervisor.tree",
    "sandbox.supervisor.records",
    "sandbox.supervisor.pristine",
    "sandbox.supervisor.commands",
    "sandbox.supervisor.terminal",
    "sandbox.supervisor.stream",
    "sandbox.supervisor.accounts",
    "sandbox.supervisor.main",
)
# The container's command reads the length and then the text from its standard input.
BOOTSTRAP = f"""import os
def take(n):
    data = b""
    while len(data) < n:
        more = os.read(0, n - len(data))
        if not more: raise SystemExit(0)
        data += more
    return data
exec(compile(take(int(take({protocol.LENGTH_DIGITS}))), "greenroom", "exec"))
"""
COMMAND = ("python3", "-I", "-S", "-X", "utf8", "-c", BOOTSTRAP)
LOADER = """
import sys, types
def load(name, text):
    module = types.ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    sys.modules[name] = module
    parent = module.__package__
    if parent:
        setattr(sys.modules[parent], name.rpartition(".")[2], module)
    if text is None: module.__path__ = []
    else: exec(compile(text, name, "exec"), module.__dict__)
"""


@cache
def supervisor_source() -> bytes:
    """What is written to the container's standard input first: length and text."""
    package = files("sandbox")
    lines = [LOADER, "load('sandbox', None)", "load('sandbox.supervisor', None)"]
    for name in MODULES:
        relative = name.partition(".")[2].replace(".", "/") + ".py"
        lines.append(f"load({name!r}, {package.joinpath(relative).read_text('utf-8')!r})")
    lines.append("sys.modules['sandbox.supervisor.main'].main()")
    text = "\n".join(lines).encode("utf-8")
    return str(len(text)).zfill(protocol.LENGTH_DIGITS).encode("ascii") + text
