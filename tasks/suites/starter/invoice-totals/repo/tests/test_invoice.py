from decimal import Decimal

import pytest

from billing.invoice import Invoice
from billing.statement import statement


@pytest.fixture
def invoice():
    bill = Invoice("2024-17")
    bill.add("Chair", 4, "45.00")
    bill.add("Table", 1, "120.00")
    return bill


def test_the_subtotal_adds_up_the_lines(invoice):
    assert invoice.subtotal == Decimal("300.00")


def test_an_empty_invoice_costs_nothing():
    assert Invoice("2024-18").total == Decimal("0.00")


def test_tax_comes_on_top(invoice):
    assert invoice.tax == Decimal("60.00")
    assert invoice.total == Decimal("360.00")


def test_the_discount_is_a_share_of_the_subtotal(invoice):
    invoice.discount_rate = Decimal(10)
    assert invoice.discount == Decimal("30.00")


def test_tax_is_due_on_the_discounted_amount(invoice):
    invoice.discount_rate = Decimal(10)
    assert invoice.tax == Decimal("54.00")


def test_a_customer_with_a_discount_pays_less(invoice):
    invoice.discount_rate = Decimal(50)
    assert invoice.total == Decimal("180.00")


def test_a_quantity_of_zero_is_refused(invoice):
    with pytest.raises(ValueError, match="Lamp"):
        invoice.add("Lamp", 0, "10.00")


def test_the_statement_lists_every_line(invoice):
    text = statement(invoice)
    assert "4 x Chair" in text
    assert text.splitlines()[-1].endswith("360.00 EUR")


def test_a_statement_without_discount_does_not_mention_it(invoice):
    assert "Discount" not in statement(invoice)
