from firstseen.status.view.chart import HEIGHT, WIDTH, area, bar, bars, legend
from support.told import Reading


def shapes(markup: object, kind: str) -> list[dict[str, str | None]]:
    return [each for each in Reading(markup).all("rect") if each["class"] == kind]


def test_bars_stand_on_the_ground_in_two_parts() -> None:
    made = bars("Alerts: 3", [0, 2, 1], [0, 2, 0], 1, ["a", "b", "c"])

    (before,) = shapes(made, "before")
    first, second = shapes(made, "main")
    (other,) = shapes(made, "other")
    assert before["width"] == "160"
    assert (first["y"], first["height"], second["height"]) == ("50", "50", "25")
    assert (other["y"], other["height"], other["x"]) == ("0", "50", first["x"])
    assert Reading(made).texts == ["b", "c"]
    (picture,) = Reading(made).all("svg")
    assert (picture["role"], picture["aria-label"]) == ("img", "Alerts: 3")


def test_what_happened_once_is_seen_beside_what_happened_often() -> None:
    small, large = shapes(bars("", [1, 100_000], [0, 0], 0, ["", ""]), "main")

    assert (small["height"], large["height"]) == ("3", "100")


def test_nothing_happened() -> None:
    assert Reading(bars("", [0, 0], [0, 0], 0, ["", ""])).all("rect") == []


def test_an_area_stays_inside_of_its_picture() -> None:
    under, line = Reading(area("x", [0.0, 5.0, 10.0])).all("path")

    assert line["d"] == f"M0,{HEIGHT - 1} L240,51 L480,3"
    assert under["d"] == f"{line['d']} L{WIDTH},{HEIGHT} L0,{HEIGHT} Z"
    assert Reading(area("x", [])).all("path")
    assert "nan" not in str(area("x", [0.0, 0.0]))


def test_a_bar_is_never_more_than_full() -> None:
    widths = [shapes(bar("x", share), "full")[0]["width"] for share in (-1.0, 0.25, 7.0)]

    assert widths == ["0", "120", "480"]
    assert Reading(bar("half", 0.5, "learning")).all("svg")[0]["class"] == "bar learning"


def test_a_legend() -> None:
    assert Reading(legend(("main", "for people"), ("other", "others"))).texts == ["for people", "others"]
