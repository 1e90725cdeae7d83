from firstseen.status.view.parts import badge, folded, section
from support.told import Reading


def test_a_section_is_named_by_its_heading() -> None:
    made = Reading(section("alerts", "Alerts", "text"))

    (part,) = made.all("section")
    (heading,) = made.all("h2")
    assert (part["id"], part["aria-labelledby"], "data-part" in part) == ("alerts", heading["id"], True)
    assert made.texts == ["Alerts", "text"]


def test_what_is_folded_has_a_name_to_be_found_again_by() -> None:
    made = Reading(folded("more", "5 more", "text"))

    assert made.all("details") == [{"id": "more"}]
    assert made.all("summary") == [{"id": "more-summary"}]


def test_a_badge() -> None:
    assert str(badge("high", "severity")) == '<span class="badge severity high">high</span>'
