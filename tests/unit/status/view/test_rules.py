from firstseen.status.view.rules import MOST_LISTED, MOST_ROWS, rules
from support.told import Reading, learning, rule, status


def reading(**changes: object) -> Reading:
    return Reading(rules(status(**changes)))


def test_numbers() -> None:
    busy = rule(1, matches=1_500, open=3, shadow=1, degraded=2, learning=4, suppressed=1_490)

    assert "Rule 1 | new_terms, medium | open | 1,500 | 3 | 7 | 1,490" in reading(rules__running=[busy]).text


def test_what_needs_somebody_comes_first() -> None:
    breaker = {"max_signals": 5, "interval_seconds": 600.0, "tripped": True, "recovers": "2026-05-24T10:20:00.000Z"}
    listed = [
        *(rule(1, name="b"), rule(2, name="a"), rule(3, name="busy", matches=9), rule(4, name="alerting", open=1)),
        rule(5, name="flooding", status="degraded", breaker=breaker),
    ]

    said = reading(rules__running=listed)

    assert [text for text in said.texts if text in ("a", "b", "busy", "alerting", "flooding")] == [
        *("flooding", "alerting", "busy", "a", "b"),
    ]
    assert "degraded | more than 5 in 10m; over at 10:20:00" in said.text


def test_learning_and_shadow_say_until_when() -> None:
    for_good = rule(2, status="shadow", shadow_until="ever")
    for_now = rule(3, status="shadow", shadow_until="2027-01-01T00:00:00.000Z")

    said = reading(rules__running=[learning(1, 2), for_good, for_now])

    assert "learning | 2d left" in said.text
    assert "25 % of learning is over." in [picture["aria-label"] for picture in said.all("svg")]
    assert "shadow | until further notice" in said.text
    assert "shadow | until 2027-01-01 00:00:00" in said.text


def test_many_that_have_nothing_to_say_fold_away() -> None:
    quiet = [rule(number) for number in range(MOST_ROWS + 1)]

    assert reading(rules__running=quiet[:-1]).all("details") == []
    said = reading(rules__running=[rule(99, matches=1), learning(98, 1), *quiet])
    assert [each["id"] for each in said.all("details")] == ["quiet"]
    assert f"{MOST_ROWS + 1} rules without a match since the start" in said.texts
    assert said.texts.index("Rule 98") < said.texts.index("Rules without a match")


def test_those_that_do_not_run_say_why() -> None:
    idle = [{"id": "x", "name": "", "status": "not_runnable", "reason": "it is <EQL>"}]

    said = reading(rules__not_running=idle, rules__not_runnable=1)

    assert "1 rule that does not run" in said.texts
    assert "x | not runnable | it is <EQL>" in said.text


def test_a_page_has_room_for_so_many() -> None:
    busy = [rule(number, matches=1) for number in range(MOST_LISTED + 5)]
    quiet = [rule(1_000 + number) for number in range(MOST_LISTED + 7)]
    idle = [{"id": f"x{number}", "name": "", "status": "skipped", "reason": "r"} for number in range(MOST_LISTED + 9)]

    said = reading(rules__running=[*busy, *quiet], rules__not_running=idle, rules__skipped=2_000)

    assert len(said.all("tr")) == 3 * (MOST_LISTED + 1)
    assert [text for text in said.texts if text.startswith("and ")] == [
        *("and 5 more, which /status has", "and 7 more, which /status has"),
        f"and {2_000 - MOST_LISTED:,} more, which firstseen rules list has",
    ]
    assert "2,000 rules that do not run" in said.texts


def test_none_at_all() -> None:
    assert "No rule runs." in reading(rules__running=[]).texts


def test_what_went_wrong_is_said() -> None:
    said = reading(rules__flagged=2, rules__errors=1)

    costs = "2 at a cost that rules list names; 1 event on which a rule failed."
    assert f"1 rule, loaded 2026-05-23 06:00:00; {costs}" in said.texts
