"""What a task's attempts say of k attempts: that one of them solves it, or that all do."""

from math import comb


def pass_at(k: int, attempts: int, solved: int) -> float:
    """The chance that at least one of k attempts solves the task: 1 - C(n-c, k) / C(n, k).

    The unbiased estimator of M. Chen et al., "Evaluating large language models trained on code"
    (2021), section 2.1. Raises ValueError for fewer attempts than k.
    """
    _check(k, attempts, solved)
    return 1 - comb(attempts - solved, k) / comb(attempts, k)


def pass_all(k: int, attempts: int, solved: int) -> float:
    """The chance that each of k attempts solves the task, pass^k: C(c, k) / C(n, k).

    S. Yao et al., "tau-bench" (2024), section 4. Raises ValueError for fewer attempts than k.
    """
    _check(k, attempts, solved)
    return comb(solved, k) / comb(attempts, k)


def _check(k: int, attempts: int, solved: int) -> None:
    if not 1 <= k <= attempts or not 0 <= solved <= attempts:
        raise ValueError(f"{k} of {attempts} attempts, {solved} solved")
