"""What a sandbox is opened with; two of one recipe cannot be told apart when they open."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.policy import MIB, Policy
from sandbox.profile import WORKSPACE
from sandbox.rebuild import Rebuild
from sandbox.trees import Base

if TYPE_CHECKING:
    from sandbox.image import Image  # images are built in sandboxes too

# What an idle sandbox takes beside its files: the supervisor, shims, the engine's own.
IDLE_BYTES = 64 * MIB


@dataclass(frozen=True)
class Recipe:
    """The image, the base in /workspace, and how it is prepared; see `Sandbox.open`. Where the
    policy has commands work in the image, `folder` of it is the workspace, and no base is put
    there; `variables` are those that every command finds besides the image's.
    """

    image: "Image"
    base: Base
    policy: Policy
    rebuild: Rebuild | None = None
    support: Mapping[str, bytes] = field(default_factory=dict)
    resettable: bool = False
    ca_bundle: bytes | None = None
    folder: str = WORKSPACE
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> Hashable:
        """Equal for equal recipes."""
        base = self.base
        return (
            self.image.reference,
            base.store.folder,
            base.tree,
            base.ignore,
            self.policy,
            self.rebuild,
            frozenset(self.support.items()),
            self.resettable,
            self.ca_bundle,
            self.folder,
            self.variables,
        )

    def idle_bytes(self) -> int:
        """About how much memory a sandbox takes that was opened and not used. Blocks."""
        return IDLE_BYTES + self.base.memory_bytes * (2 if self.resettable else 1)
