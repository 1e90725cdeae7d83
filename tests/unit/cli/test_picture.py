import pytest

from firstseen.cli.cells import rendered, width
from firstseen.cli.picture import picture
from firstseen.status.report import Status
from support.told import alert, client, learning, rule, server, state, status

HOSTILE = "\x1b[2J\u202e漢字\x00"


def shown(told: Status, columns: int = 80, rows: int = 23) -> list[str]:
    lines = [rendered(line, columns, colour=False) for line in picture(told, columns, rows)]
    assert len(lines) <= rows
    assert max(map(width, lines)) <= columns
    assert all(line.isprintable() for line in lines)
    return lines


def line_with(text: str, lines: list[str]) -> str:
    found = [line for line in lines if text in line]
    assert len(found) == 1, "\n".join(lines)
    return found[0]


def busy() -> Status:
    return status(
        ready=False,
        reasons=[{"code": "downstream_unreachable", "text": f"no server for 12s {HOSTILE}"}],
        records__per_second=48_300.0,
        records__received=12_345_678,
        records__rejected=3,
        records_over_time={"step_seconds": 10, "values": list(range(360))},
        rules__running=[*(rule(n, matches=n, name=f"Rule {n} {HOSTILE}" * 9) for n in range(40)), learning(50, 3)],
        rules__learning=1,
        rules__errors=2,
        latest_alerts=[alert(n, reason=HOSTILE * 50, rule=HOSTILE, severity=HOSTILE) for n in range(50)],
        input__clients=[client(origin=f"192.0.2.{n}", tls=True) for n in range(9)],
        output__servers=[server(), server(address=HOSTILE, connections=0, trouble=HOSTILE)],
    )


@pytest.mark.parametrize("columns", [1, 20, 40, 79, 80, 119, 120, 160, 400])
@pytest.mark.parametrize("rows", [1, 2, 5, 10, 23, 29, 30, 49, 200])
def test_it_fits_whatever_there_is_and_is_no_command(columns: int, rows: int) -> None:
    for told in (busy(), status()):
        shown(told, columns, rows)


def test_80_by_24_has_every_part() -> None:
    lines = shown(busy())
    assert lines[0].startswith("firstseen 1.2.3 NOT READY up 1d 3h")
    assert lines[0].endswith("2026-05-24 09:12:33 UTC")
    assert lines[1].startswith('! "downstream_unreachable: no server for 12s ')
    assert "48,300" in line_with("records/s", lines)
    assert "more not shown" in line_with("LATEST ALERTS", lines)
    assert "41 run, 1 learning" in line_with("RULES", lines)
    assert line_with("192.0.2.0 TLS", lines).startswith("  from ")
    assert len(lines) >= 22  # an alert takes two


def test_an_agent_with_nothing_to_do() -> None:
    lines = shown(status())
    assert " ready " in lines[0]
    assert line_with("none since the start", lines)
    assert line_with("from nobody yet", lines)
    assert "33 terms in 32.0 KiB of 1.0 GiB" in line_with("state", lines)
    assert "not looked at yet" in line_with("state", shown(status(state=None)))


def test_an_alert_is_told_with_rule_term_and_reason() -> None:
    told = status(latest_alerts=[alert()])
    lines = shown(told)
    at = lines.index(line_with("09:12:33  high", lines))
    assert lines[at].split() == ["09:12:33", "high", "Rule", "1"]
    assert lines[at + 1].strip() == "ada not seen in the 10 days before"
    assert line_with("ada not seen", shown(told, 160)).split()[:5] == ["09:12:33", "high", "Rule", "1", "ada"]


def test_terms_that_the_reason_does_not_name_stand_before_it() -> None:
    counted = alert(reason="Rule 1: 20 events in 5 minutes")
    assert line_with("20 events", shown(status(latest_alerts=[counted]))).strip() == "ada: 20 events in 5 minutes"


def test_rules_tell_of_their_standing_and_what_matters_comes_first() -> None:
    tripped = {"max_signals": 100, "interval_seconds": 600.0, "tripped": True, "recovers": None}
    running = [
        rule(1, matches=2_345_678),
        learning(2, 3),
        rule(3, open=5, matches=7),
        rule(4, status="degraded", breaker=tripped),
    ]
    lines = shown(status(rules__running=running, rules__not_runnable=1_000, rules__skipped=1))
    assert "4 run, 1,001 do not" in line_with("RULES", lines)
    at = lines.index(line_with("RULES", lines))
    assert [line.split()[0] for line in lines[at + 1 : at + 5]] == ["degraded", "open", "learning", "open"]
    assert lines[at + 3].startswith("  learning 3d left")
    assert lines[at + 2].split()[-4:] == ["7", "5", "0", "0"]
    assert "2.3M" in lines[at + 4]


def test_sums_that_do_not_hold_and_reading_that_has_stopped_are_told_of() -> None:
    lines = shown(status(sums={"records": False, "chunks": True, "matches": False}, input__paused=True))
    assert line_with("the sums of records and matches do not add up", lines).startswith("! ")
    assert line_with("reading has stopped", lines).startswith("! ")


def test_what_is_wrong_with_the_state_is_told_once() -> None:
    why = {"code": "state_not_written", "text": "the disk is full"}
    lines = shown(status(reasons=[why], state=state(problems=["the disk is full", "the server is full"])))
    assert line_with("state: the server is full", lines).startswith("! ")
    assert sum("the disk is full" in line for line in lines) == 1


def test_a_server_that_is_away_is_told_of_with_its_trouble() -> None:
    lines = shown(status(output__servers=[server(connections=0, trouble="Connection refused"), server(standby=True)]))
    assert line_with("192.0.2.1:24224 AWAY", lines)
    assert line_with("Connection refused", lines)
    assert line_with("192.0.2.1:24224 standby", lines)


@pytest.mark.parametrize("columns", [40, 50, 71])
def test_where_it_is_narrow_numbers_go_and_names_stay(columns: int) -> None:
    told = status(
        rules__running=[rule(1, name="First GetCallerIdentity", open=3), learning(2, 3)],
        records_over_time={"step_seconds": 10, "values": [*[0] * 358, 5, 5]},
        latest_alerts=[alert()],
    )
    lines = shown(told, columns)
    assert line_with("records/s", lines).endswith("█")
    assert line_with("First GetCa", lines).startswith("  open      First GetCa")
    assert line_with("learning  ", lines).split()[0] == "learning"
    assert line_with("RULES", lines).split()[-2:] == ["alerts", "known"]
    assert line_with("  to   192.0.2", lines)
    assert line_with("PEERS", lines).split() == ["PEERS", "lag", "last"]


def test_the_standing_of_rules_takes_no_more_than_it_needs() -> None:
    lines = shown(status(rules__running=[rule(1), rule(2, status="shadow")]))
    assert line_with("Rule 1", lines).startswith("  open    Rule 1")


def test_where_it_is_low_an_alert_goes_before_all_that_is_below() -> None:
    lines = shown(status(latest_alerts=[alert(), alert(2)], rules__running=[rule(1)]), rows=8)
    assert line_with("ada not seen", lines)
    assert "1 more not shown" in line_with("LATEST ALERTS", lines)
    assert not [line for line in lines if line.startswith(("RULES", "PEERS"))]
