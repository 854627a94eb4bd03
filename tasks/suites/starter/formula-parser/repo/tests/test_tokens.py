from formula.tokens import END, Token, tokenize


def test_spaces_do_not_matter():
    assert tokenize("1+ x ") == tokenize(" 1 +x")


def test_tokens_have_kinds():
    assert tokenize("2.5*x") == [
        Token("number", "2.5"),
        Token("symbol", "*"),
        Token("name", "x"),
        END,
    ]


def test_nothing_is_just_the_end():
    assert tokenize("  ") == [END]
