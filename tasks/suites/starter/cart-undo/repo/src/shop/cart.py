"""The cart: how many pieces of which product."""

from shop.history import History


class Cart:
    def __init__(self, products):
        self._products = products
        self._pieces = {}
        self._history = History()

    def pieces(self, code):
        return self._pieces.get(code, 0)

    def total(self):
        """The price of everything, in cents."""
        return sum(self._products[code].cents * count for code, count in self._pieces.items())

    def add(self, code, count=1):
        """Put more pieces into the cart; UnknownProduct when there is no such product."""
        product = self._products[code]
        if count < 1:
            raise ValueError(f"{product.name}: cannot add {count}")
        self._save()
        self._pieces[code] = self.pieces(code) + count

    def remove(self, code):
        """Take all pieces of a product out; nothing happens when there are none."""
        if code in self._pieces:
            self._save()
            del self._pieces[code]

    def empty(self):
        self._save()
        self._pieces = {}

    def undo(self):
        """Take back the last change; NothingToUndo when there was none."""
        self._pieces = self._history.back()

    def _save(self):
        self._history.remember(self._pieces)
