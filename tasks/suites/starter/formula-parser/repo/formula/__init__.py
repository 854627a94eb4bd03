from formula.errors import FormulaError
from formula.evaluate import evaluate

__all__ = ["FormulaError", "evaluate"]
