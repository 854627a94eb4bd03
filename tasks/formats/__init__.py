"""Parsers of what test programs print or write; none raises, whatever bytes it is given."""
