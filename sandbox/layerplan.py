"""What an ImageSpec asks for, as the layers that make it."""

import re
from typing import TYPE_CHECKING

from sandbox.errors import UsageError
from sandbox.install import SCRATCH, Install
from sandbox.layers import Layer, Step
from sandbox.profile import WORKSPACE
from sandbox.trees import Base

if TYPE_CHECKING:
    from sandbox.image import ImageSpec

_FIND_PIP = (
    "python3 -m pip --version || { command -v apt-get >/dev/null && apt-get update && "
    "apt-get install -y --no-install-recommends python3-pip; } || python3 -m ensurepip"
)

_INSTALL_ADVICE = (
    "If it cannot be installed like that, name an image that has what the tests need (--image)."
)


def layers_of(spec: "ImageSpec", checkout: Base | None) -> list[Layer]:
    """The layers of a spec, in their order. Raises UsageError for one that needs the checkout where
    there is none."""
    found = []
    if spec.variables:
        what = f"variables: {len(spec.variables)}"
        pairs = tuple((n, v) for n, _, v in (each.partition("=") for each in spec.variables))
        found.append(Layer("env", spec.variables, (), what=what, environment=pairs))
    if spec.apt:
        steps = (
            Step("apt-get update", ("apt-get", "update")),
            Step(
                "apt-get install " + " ".join(spec.apt),
                ("apt-get", "install", "-y", "--no-install-recommends", *spec.apt),
            ),
        )
        what = f"apt: {' '.join(spec.apt)}"
        found.append(Layer("apt", spec.apt, steps, what=what))
    found += [_install_layer(install) for install in spec.installs]
    if spec.pip:
        steps = (
            Step("looking for pip", ("/bin/sh", "-c", _FIND_PIP)),
            Step(
                "pip install " + " ".join(spec.pip),
                ("python3", "-m", "pip", "install", *spec.pip),
            ),
        )
        what = f"pip: {' '.join(map(_bare_name, spec.pip))}"
        found.append(Layer("pip", spec.pip, steps, guarded=True, what=what))
    if spec.create:
        if checkout is None:
            raise UsageError("Commands among the checkout's files need the checkout.")
        found.append(_commands("create", spec.create, (spec.create_inputs,), checkout))
    if spec.setup:
        found.append(_commands("setup", spec.setup))
    return found


_COMMAND_ADVICE = {
    "setup": "It stands in `setup` of the settings and runs as root in the image, without the "
    "checkout's files. In a terminal `greenroom image build` shows all that it prints.",
    "create": "It stands in devcontainer.json and runs as root among the checkout's files. In a "
    "terminal `greenroom image build` shows all that it prints.",
}


def _install_layer(install: Install) -> Layer:
    steps = tuple(
        Step(command, ("/bin/sh", "-euc", command), SCRATCH, _INSTALL_ADVICE)
        for command in install.commands
    )
    return Layer(
        install.kind,
        install.content(),
        steps,
        guarded=True,
        what=f"{install.kind}: {install.what}",
        files=install.files,
        environment=install.environment,
    )


def _commands(
    kind: str, lines: tuple[str, ...], inputs: tuple[str, ...] = (), files: Base | None = None
) -> Layer:
    before = f"cd {WORKSPACE}\n" if files else ""
    steps = tuple(
        Step(
            f"{kind} command {line!r}",
            ("bash", "-eo", "pipefail", "-c", before + line),
            advice=_COMMAND_ADVICE[kind],
        )
        for line in lines
    )
    what = f"{kind}: {len(lines)} command{'s' if len(lines) > 1 else ''}"
    return Layer(kind, (*lines, *inputs), steps, guarded=True, what=what, workspace=files)


def _bare_name(requirement: str) -> str:
    """A requirement's name: its address, where it has one, may hold a password."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
