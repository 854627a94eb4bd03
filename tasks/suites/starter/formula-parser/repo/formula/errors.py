class FormulaError(ValueError):
    """A formula that cannot be read or computed."""
