"""The step that makes what a base's tests need and its tree does not hold: build products."""

from dataclasses import dataclass
from functools import cached_property

from sandbox.ignore import IgnoreRules
from sandbox.patch import Patch


@dataclass(frozen=True)
class Rebuild:
    """A command that is run on the base, and again when a patch changes one of its inputs.

    `inputs` are gitignore patterns; None means that every patch does. `timeout` in seconds. An
    `optional` step was only guessed: that it fails is reported and not fatal. With `prepared` the
    base holds what the step makes of it, so it is run for patches only.
    """

    command: str
    inputs: tuple[str, ...] | None = None
    timeout: float = 300.0
    optional: bool = False
    prepared: bool = False

    def needed_for(self, patch: Patch) -> bool:
        """Whether a patch changes an input."""
        if self.inputs is None:
            return bool(patch.paths)
        return any(self._rules.ignores(path) for path in patch.paths)

    @cached_property
    def _rules(self) -> IgnoreRules:
        return IgnoreRules((("", self.inputs or ()),))
