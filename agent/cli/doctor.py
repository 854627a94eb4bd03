"""`greenroom doctor`: the engine, the image, and each control of a sandbox tried here."""

import argparse
from dataclasses import asdict

from agent import settings
from agent.cli.command import add_settings, flags
from agent.cli.console import Console
from agent.cli.examined import examine as examine_model
from agent.cli.process import run
from agent.cli.text import count, one_line, size, table
from agent.doctor import Machine, examine, own_versions
from agent.keys import KEYS
from sandbox.engine import Engine
from sandbox.selfcheck import Control

DESCRIPTION = """\
Say which Docker engine is used, make the sandbox image where it is not here yet, and try in a real
sandbox, one by one, what must not be possible in it. No checkout is read, no model is run.
Exits with 0 when every control holds, and with 3 when one does not or there is no engine.

With --model NAME the model is looked at instead: its server is asked some twenty small things, and
what is missing or costs something is said with what to do. Weights are not loaded for it. Exits
with 0 when the model is fit for work, and with 3 when it is not.\
"""


#: What says which model is examined, and how it is asked or held.
_MODEL = (
    "model",
    "base_url",
    "api_key_variable",
    "context_window",
    "model_timeout",
    "tool_calls",
    "precision",
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--isolation",
        choices=KEYS["isolation"].choices,
        help="what to try the controls in (default: the settings')",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_settings(parser, _MODEL)


def main(options: argparse.Namespace, console: Console) -> int:
    if options.setting_model:
        return examine_model(settings.load(None, flags(options)), console)
    console.note(f"greenroom  {own_versions()}")
    found = run(
        examine(
            options.isolation,
            lambda text: console.note(text, "dim"),
            lambda engine: _print_engine(engine, console),
        )
    )
    if options.json:
        console.document(_document(found))
    else:
        _print(found, console)
    return 3 if found.lacking else 0


def _print_engine(engine: Engine, console: Console) -> None:
    address, can = engine.address, engine.abilities
    ids = ", user ids mapped" if can.maps_uids else ""
    console.note(f"engine     {engine.name} at {address.url} ({address.origin})")
    console.note(
        f"machine    {can.machine}, {count(can.cpus, 'core')}, {size(can.memory_bytes)}; "
        f"control groups v{can.cgroup}{ids}"
    )
    if engine.lack:
        console.say(engine.lack.partition(" (")[0], "yellow")

    known = f"registered as {can.gvisor}" if can.gvisor else "not registered"
    console.note(f'gVisor     {known} (for the setting isolation = "gvisor")')


def _print(found: Machine, console: Console) -> None:
    console.note(f"image      {found.image.name}\n")
    rows = [("control", "", "what was tried")]
    rows += [(c.name, _state(c), c.tried) for c in found.controls]
    styles = {"holds": "", "other": "yellow", "FAILS": "red"}
    for row, line in zip(rows, table(rows).splitlines(), strict=True):
        console.note(line, styles.get(row[1], "bold"))
    console.note("")
    for control in found.controls:
        if control.instead:
            console.say(f"{control.name}: {control.instead}", "yellow")
    for control in found.lacking:
        console.say(f"{control.name} does not hold: {one_line(control.seen, 200)}", "red")
        console.say(f"  {control.advice}")
    if not found.lacking:
        held = [control for control in found.controls if control.holds]
        whole = "all " if len(held) == len(found.controls) else ""
        console.say(f"{whole}{count(len(held), 'control')} hold", "green")


def _state(control: Control) -> str:
    """Whether it holds, or something else stands for it."""
    return "holds" if control.holds else "other" if control.instead else "FAILS"


def _document(found: Machine) -> dict[str, object]:
    engine = found.engine
    return {
        "schema": "greenroom.doctor/1",
        "greenroom": own_versions(),
        "engine": {
            "version": engine.version,
            "api_version": engine.api_version,
            "address": engine.address.url,
            "origin": engine.address.origin,
            **asdict(engine.abilities),
        },
        "image": {"id": found.image.reference, "name": found.image.name},
        "holds": not found.lacking,
        "controls": [asdict(control) for control in found.controls],
    }
