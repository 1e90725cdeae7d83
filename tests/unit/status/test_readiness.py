import pytest
from msgspec.structs import replace

from firstseen.status.readiness import CODES, UNREACHABLE_S, Signs, reasons

GOOD = Signs(
    stage="running",
    problem=None,
    damage=None,
    unreachable_s=None,
    reached=True,
    lag_s=1.0,
    patience_s=70.0,
    rule_problems=(),
    rules=3,
)


def test_all_is_well() -> None:
    assert reasons(GOOD) == ()
    assert reasons(replace(GOOD, unreachable_s=UNREACHABLE_S - 1)) == ()


@pytest.mark.parametrize(
    ("signs", "code", "text"),
    [
        (replace(GOOD, stage="starting"), "starting", "it does not listen yet"),
        (replace(GOOD, stage="stopping"), "stopping", "it was told to stop, and settles what it has"),
        (replace(GOOD, problem="the state is full"), "state_not_written", "the state is full"),
        (
            replace(GOOD, damage="a page is broken; stop"),
            "state_damaged",
            "a page is broken; stop; until then chunks that need it are refused, and their senders keep them; "
            "all others go on",
        ),
        (
            replace(GOOD, unreachable_s=0.0, reached=False),
            "downstream_unreachable",
            "no server downstream was reached yet",
        ),
        (
            replace(GOOD, unreachable_s=75.0),
            "downstream_unreachable",
            "no server downstream can be reached for 1m 15s",
        ),
        (replace(GOOD, lag_s=71.0), "downstream_stuck", "what is sent downstream is on its way for 1m 11s"),
        (
            replace(GOOD, unreachable_s=1.0, lag_s=500.0),
            "downstream_stuck",
            "what is sent downstream is on its way for 8m 20s",
        ),
        (replace(GOOD, rule_problems=["a.toml:1: x"]), "rules_not_loaded", "all is as it was before: a.toml:1: x"),
        (
            replace(GOOD, rule_problems=["x", "y", "z"]),
            "rules_not_loaded",
            "all is as it was before: x (and 2 more)",
        ),
        (replace(GOOD, rules=0), "no_rules", "no rule runs: `firstseen rules list` says why"),
    ],
)
def test_what_stands_in_the_way(signs: Signs, code: str, text: str) -> None:
    (reason,) = reasons(signs)

    assert (reason.code, reason.text) == (code, text)
    assert code in CODES


def test_all_of_it_at_once() -> None:
    signs = replace(GOOD, stage="stopping", problem="x", unreachable_s=99.0, rule_problems=["y"], rules=0)

    assert [reason.code for reason in reasons(signs)] == [
        *("stopping", "state_not_written", "downstream_unreachable", "rules_not_loaded", "no_rules"),
    ]
