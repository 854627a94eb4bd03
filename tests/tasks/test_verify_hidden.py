"""Hidden tests of programs that report in text of their own."""

import pytest

from tests.tasks.judging import Judge

pytestmark = pytest.mark.docker

COMMAND = "for test in t/*.sh; do [ -e $test ] || exit 0; sh $test; done"
TAP = 'echo 1..1; if [ "$(cat answer)" = 42 ]; then echo ok 1 - answers; else false; fi'


async def test_a_command_that_passed_without_any_test_is_no_test_that_is_missing(
    judge: Judge,
) -> None:
    verdict = await judge(
        {"answer": "41\n"},
        {"answer": "42\n"},
        hidden={"t/answers.sh": TAP},
        test_command=COMMAND,
        framework="unknown",
        expected=("answers",),
    )
    assert (verdict.status, verdict.grade) == ("solved", "proved"), verdict.reasons
