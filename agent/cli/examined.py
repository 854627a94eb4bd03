"""`greenroom doctor --model`: what was found on a model, as a table and as a document."""

from dataclasses import asdict, replace

from agent.choice import announce, model_settings
from agent.cli.console import Console
from agent.cli.process import run
from agent.cli.text import count, one_line, table
from agent.models.doctor.findings import Examination, Finding
from agent.models.registry import is_weights, open_model
from agent.settings import Settings
from sandbox.errors import UsageError

_WORDS = {"good": "good", "note": "costs", "bad": "BAD", "untold": "-"}
_STYLES = {"good": "", "note": "yellow", "bad": "red", "untold": "dim"}


def examine(found: Settings, console: Console) -> int:
    """Examines the model of the settings and prints what was found; 3 where something is bad."""
    made = run(examined(found, console))
    if console.json:
        console.document({"schema": "greenroom.model/1", "usable": made.usable, **asdict(made)})
    else:
        _print(made, console)
    return 0 if made.usable else 3


async def examined(found: Settings, console: Console) -> Examination:
    """What is found on the model of the settings. Raises GreenroomError."""
    name = str(found["model"])
    # One more try is enough to tell a broken server from a broken connection.
    settings = replace(model_settings(found, retries=1), protocol="chat")
    if name == "embedded" or is_weights(name):
        from agent.models.doctor.local import (  # noqa: PLC0415 - a server needs none of it
            examine_embedded,
            examine_weights,
        )

        return examine_embedded() if name == "embedded" else examine_weights(name, settings)
    model = open_model(name, settings)
    from agent.models.doctor.server import examine_server  # noqa: PLC0415 - weights need none of it
    from agent.models.openai import OpenAIModel  # noqa: PLC0415

    if not isinstance(model, OpenAIModel):
        raise UsageError(
            f"there is nothing to examine in {name}", "Name a server's model, or weights."
        )

    def say(text: str, *, always: bool = False) -> None:
        (console.warn if always else console.note)(text)

    announce(model.info, say)
    try:
        return await examine_server(model, lambda text: console.note(text, "dim"))
    finally:
        await model.close()


def _print(made: Examination, console: Console) -> None:
    where = f" at {made.address}" if made.address else ""
    console.note(f"{made.name}{where}\n")
    rows = [("", "", "found")]
    rows += [(f.name, _WORDS[f.state], one_line(f.found, 100)) for f in made.findings]
    styles = ["bold", *(_STYLES[finding.state] for finding in made.findings)]
    for style, line in zip(styles, table(rows).splitlines(), strict=True):
        console.note(line, style)
    console.note("")
    for finding in made.findings:
        if finding.state in {"note", "bad"} or finding.advice:
            _print_advice(finding, console)
    bad = [finding.name for finding in made.findings if finding.state == "bad"]
    sent = f"; {count(made.requests, 'request')} made" if made.requests else ""
    if bad:
        console.say(f"not fit for work: {', '.join(bad)}{sent}", "red")
    else:
        console.say(f"fit for work{sent}", "green")


def _print_advice(finding: Finding, console: Console) -> None:
    console.say(f"{finding.name}: {one_line(finding.found, 300)}", _STYLES[finding.state])
    if finding.costs:
        console.say(f"  costs: {finding.costs}")
    if finding.advice:
        console.say(f"  do:    {finding.advice}")
