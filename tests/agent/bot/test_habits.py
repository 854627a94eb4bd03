from agent.bot.habits import TEMPLATES, filled, signed_off, template

PARTS = {"wrong": "It broke.", "change": "It works.", "proof": "Tests ran.", "rest": "Costs."}


def test_a_template_is_found_in_each_of_its_places() -> None:
    for place in TEMPLATES:
        assert template({place: b"## What\n"}.get) == "## What\n"
    assert template({}.get) == ""


def test_each_part_stands_below_its_heading_and_the_rest_at_the_end() -> None:
    text = filled("# Motivation\n\n## Description\n\n## How was this tested?\n", PARTS)
    assert text.split("\n\n") == [
        *("# Motivation", "It broke.", "## Description", "It works."),
        *("## How was this tested?", "Tests ran.", "Costs."),
    ]


def test_a_templates_boxes_stay_open_and_its_advice_goes() -> None:
    text = filled("<!-- say\nwhat you did -->\n## Summary\n- [ ] I read the rules\n", PARTS)
    assert "say" not in text.split("##")[0]
    assert "- [ ] I read the rules" in text


def test_a_comment_that_never_ends_hides_nothing_of_ours() -> None:
    text = filled("## Summary\n<!-- say what you did\n## Tests\n", PARTS)
    assert "<!--" not in text
    assert all(part in text for part in PARTS.values())


def test_nothing_is_lost_in_a_template_without_headings() -> None:
    text = filled("Thank you!", PARTS)
    assert text.startswith("Thank you!")
    assert all(part in text for part in PARTS.values())


def test_a_part_is_filled_in_once() -> None:
    assert filled("## Tests\n## Testing\n", PARTS).count("Tests ran.") == 1


def test_most_commits_decide_on_the_sign_off() -> None:
    signed = "Mend it\n\nSigned-off-by: Ada <ada@example.org>\n"
    assert signed_off([signed, signed, "Mend it"])
    assert not signed_off([signed, "Mend it", "Mend it"])
    assert not signed_off([])
    assert not signed_off(["It is Signed-off-by: Ada <ada@example.org>"])
