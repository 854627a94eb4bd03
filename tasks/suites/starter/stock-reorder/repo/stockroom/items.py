"""What the warehouse sells."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """An article; suppliers deliver it in whole packs only."""

    sku: str
    name: str
    reorder_level: int
    target_level: int
    pack_size: int = 1

    def __post_init__(self):
        if self.pack_size < 1:
            raise ValueError(f"{self.sku}: a pack holds at least one piece")
        if self.target_level < self.reorder_level:
            raise ValueError(f"{self.sku}: the target lies below the reorder level")
