"""The pieces on the shelves, by article number."""


class OutOfStock(Exception):
    """More pieces were asked for than there are."""


class Stock:
    def __init__(self, counts=None):
        self._counts = dict(counts or {})

    def on_hand(self, sku):
        """The number of pieces; zero for an article never received."""
        return self._counts.get(sku, 0)

    def receive(self, sku, pieces):
        if pieces <= 0:
            raise ValueError("a delivery has at least one piece")
        self._counts[sku] = self.on_hand(sku) + pieces

    def issue(self, sku, pieces):
        """Take pieces off the shelf; all of them or none."""
        if pieces > self.on_hand(sku):
            raise OutOfStock(f"{sku}: {pieces} asked, {self.on_hand(sku)} on hand")
        self._counts[sku] -= pieces
