"""The text that is printed on an invoice."""

from billing.invoice import Invoice
from billing.money import show

WIDTH = 40


def _row(label: str, value: str) -> str:
    return label + value.rjust(WIDTH - len(label))


def statement(invoice: Invoice) -> str:
    """The invoice as plain text, one line an entry; a discount of zero is not mentioned."""
    rows = [f"Invoice {invoice.number}"]
    for line in invoice.lines:
        rows.append(_row(f"{line.quantity} x {line.text}", show(line.amount)))
    rows.append("-" * WIDTH)
    rows.append(_row("Subtotal", show(invoice.subtotal)))
    if invoice.discount:
        rows.append(_row(f"Discount {invoice.discount_rate}%", show(-invoice.discount)))
    rows.append(_row(f"Tax {invoice.tax_rate}%", show(invoice.tax)))
    rows.append(_row("Total", show(invoice.total)))
    return "\n".join(rows)
