import textwrap

from agent.models.python_source import PythonSource
from agent.models.suspicion import weigh

TEXT = textwrap.dedent(
    '''\
    LIMIT = 3  # of them


    class Box:
        size: int = 4

        def fill(self, thing: str, into=[], *, many: int = 2) -> int:
            """Puts it in."""
            if thing and (
                many
            ):
                into.append(thing)  # at the end
            return len(into)


    def unrelated():
        return 1
    '''
)
RAN = {9: 0.5, 10: 0.5, 12: 1.0, 13: 0.7}
SOURCE = PythonSource(TEXT)
WEIGHTS = weigh(SOURCE, RAN)


def weights_of(text: str) -> set[float]:
    start = TEXT.index(text)
    return set(WEIGHTS[start : start + len(text)])


def test_lines_that_failing_tests_ran_weigh_what_the_trace_says() -> None:
    assert weights_of("into.append(thing)") == {1.0}
    assert weights_of("return len(into)") == {0.7}


def test_a_statement_of_several_lines_is_one() -> None:
    assert weights_of("if thing and (\n") == {0.5}
    assert weights_of("    ):") == {0.5}


def test_defaults_weigh_half_of_their_function() -> None:
    assert weights_of("[]") == {0.5}
    assert weights_of("2)"[:1]) <= {0.5}


def test_values_set_at_import_weigh_a_little() -> None:
    assert weights_of("3") == {0.2}
    assert weights_of("4") == {0.2}


def test_values_that_a_suspicious_line_reads_weigh_half_of_it() -> None:
    text = textwrap.dedent(
        """\
        RATE, SPARE = 7, 8
        OTHER = 9


        class Till:
            step = 6

            def ring(self, price):
                price = price * RATE
                return price // self.step
        """
    )
    weights = weigh(PythonSource(text), {9: 0.8, 10: 1.0})
    found = {digit: weights[text.index(digit)] for digit in "7869"}
    assert found == {"7": 0.4, "8": 0.4, "6": 0.5, "9": 0.2}


def test_what_does_not_act_has_no_weight() -> None:
    for text in ("LIMIT", "# of them", "size", "fill", "thing: str", '"""Puts', "# at the end"):
        assert weights_of(text) == {0.0}, text
    assert weights_of("return 1") == {0.0}


def test_the_end_of_a_statement_counts_so_that_it_can_go_on() -> None:
    assert WEIGHTS[TEXT.index("return len(into)") + len("return len(into)")] == 0.7


def test_without_a_parse_the_lines_themselves_weigh() -> None:
    weights = weigh(PythonSource("def f(:\n  x\n"), {2: 0.4})
    assert weights[0] == 0.0
    assert weights[10] == 0.4
