"""What the runs with wrong expectations said."""

from dataclasses import dataclass

from tasks.task import Twins


@dataclass(frozen=True)
class Answer:
    """`forged` are sentences, each on a test whose twin passed. `bare` are tests on which the
    verdict rests and that no twin speaks for. `broke` is why a run of twins broke off on the patch,
    where it does not on the base. `bound` are tests that pass only as long as their file is exactly
    what it was. `odd` are sentences on what honest code has no reason for.
    """

    twins: Twins
    forged: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    broke: str = ""
    bound: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
