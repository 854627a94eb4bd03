"""Invoices: lines, discounts, tax and what the customer pays."""
