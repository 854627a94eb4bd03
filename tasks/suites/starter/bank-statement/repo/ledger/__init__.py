"""Reads the text statements of a bank and follows the balance."""

from ledger.balance import closing_balance, lowest_balance, running_balances
from ledger.statement import StatementError, parse_statement

__all__ = [
    "StatementError",
    "closing_balance",
    "lowest_balance",
    "parse_statement",
    "running_balances",
]
