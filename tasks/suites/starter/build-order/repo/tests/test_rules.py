import pytest

from buildtool import RuleError, parse_rules
from buildtool.rules import sources


def test_rules_are_parsed():
    rules = parse_rules(["app: parser printer", "", "parser: text  # the slow one"])
    assert rules == {"app": ("parser", "printer"), "parser": ("text",)}


def test_a_target_may_need_nothing():
    assert parse_rules(["clean:"]) == {"clean": ()}


def test_a_line_without_colon_is_refused():
    with pytest.raises(RuleError, match="line 2"):
        parse_rules(["app: parser", "parser text"])


def test_a_target_has_one_rule():
    with pytest.raises(RuleError, match="app has two rules"):
        parse_rules(["app: a", "app: b"])


def test_sources_have_no_rule():
    assert sources({"app": ("parser", "icon"), "parser": ("text",)}) == ["icon", "text"]
