"""What to order, and how much of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    sku: str
    packs: int
    pieces: int


def packs_to_order(item, on_hand):
    """Whole packs that bring the stock to the target level or just above it."""
    missing = item.target_level - on_hand
    if missing <= 0:
        return 0
    return -(-missing // item.pack_size)


def reorder_list(items, stock):
    """One order for each item whose stock is down to its reorder level, by article number."""
    orders = []
    for item in sorted(items, key=lambda item: item.sku):
        on_hand = stock.on_hand(item.sku)
        if on_hand >= item.reorder_level:
            packs = packs_to_order(item, on_hand)
            orders.append(Order(item.sku, packs, packs * item.pack_size))
    return orders
