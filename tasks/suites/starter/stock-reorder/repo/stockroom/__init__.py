"""Stock keeping for a small warehouse."""

from stockroom.items import Item
from stockroom.reorder import Order, packs_to_order, reorder_list
from stockroom.stock import OutOfStock, Stock

__all__ = ["Item", "Order", "OutOfStock", "Stock", "packs_to_order", "reorder_list"]
