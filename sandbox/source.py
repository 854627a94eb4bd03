"""The supervisor as it is sent into a container: its modules, and what makes them importable."""

import marshal
from functools import cache
from importlib.resources import files
from importlib.util import MAGIC_NUMBER

from sandbox import protocol

# In the order of their imports; the container has no folder to import them from.
MODULES = (
    "sandbox.protocol",
    "sandbox.supervisor.light",
    "sandbox.supervisor.processes",
    "sandbox.supervisor.controls",
    "sandbox.supervisor.paths",
    "sandbox.supervisor.files",
    "sandbox.supervisor.shim",
    "sandbox.supervisor.tree",
    "sandbox.supervisor.records",
    "sandbox.supervisor.pristine",
    "sandbox.supervisor.commands",
    "sandbox.supervisor.background",
    "sandbox.supervisor.terminal",
    "sandbox.supervisor.stream",
    "sandbox.supervisor.running",
    "sandbox.supervisor.accounts",
    "sandbox.supervisor.egress",
    "sandbox.supervisor.main",
)
# The container's command reads a length and that many bytes from its standard input: the modules,
# as text, and as code for whoever runs the same Python as the host, since compiling takes a while.
# Nothing is collected before all is loaded, which makes next to no garbage.
BOOTSTRAP = f"""import gc, marshal, os, sys
import _frozen_importlib_external as importing
gc.disable()
def take(n):
    data = b""
    while len(data) < n:
        more = os.read(0, n - len(data))
        if not more: raise SystemExit(0)
        data += more
    return data
magic, modules = marshal.loads(take(int(take({protocol.LENGTH_DIGITS}))))
for name, text, code in modules:
    module = sys.modules[name] = type(sys)(name)
    module.__package__, _, last = name.rpartition(".")
    if module.__package__: setattr(sys.modules[module.__package__], last, module)
    if not text: module.__path__ = []
    elif magic == importing.MAGIC_NUMBER: exec(marshal.loads(code), module.__dict__)
    else: exec(compile(text, name, "exec"), module.__dict__)
sys.modules["sandbox.supervisor.main"].main()
"""
COMMAND = ("python3", "-I", "-S", "-X", "utf8", "-c", BOOTSTRAP)
# Of marshal, for texts and bytes: every Python from 3.7 on reads it.
FORMAT = 2


@cache
def supervisor_source() -> bytes:
    """What is written to the container's standard input first: length and modules."""
    package = files("sandbox")
    modules = [("sandbox", "", b""), ("sandbox.supervisor", "", b"")]
    for name in MODULES:
        relative = name.partition(".")[2].replace(".", "/") + ".py"
        text = package.joinpath(relative).read_text("utf-8")
        modules.append((name, text, compiled(name, text)))
    data = marshal.dumps((MAGIC_NUMBER, modules), FORMAT)
    return str(len(data)).zfill(protocol.LENGTH_DIGITS).encode("ascii") + data


def compiled(name: str, text: str) -> bytes:
    """A module's code, as this Python has it."""
    return marshal.dumps(compile(text, name, "exec", dont_inherit=True))
