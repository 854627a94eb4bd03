"""What can be bought, with prices in cents."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    code: str
    name: str
    cents: int


class UnknownProduct(LookupError):
    """No product has this code."""


class Products:
    def __init__(self, *products):
        self._products = {product.code: product for product in products}

    def __getitem__(self, code):
        if code not in self._products:
            raise UnknownProduct(code)
        return self._products[code]
