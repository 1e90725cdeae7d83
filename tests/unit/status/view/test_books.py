from firstseen.status.view.books import books
from support.told import Reading, state, status


def reading(**changes: object) -> Reading:
    return Reading(books(status(**changes)))


def test_the_state() -> None:
    said = reading().text

    assert "Terms remembered | 33 | Used | 32.0 KiB of 1.0 GiB | File | 64.0 KiB" in said
    assert "Remembers since | 2026-05-20 00:00:00 | Forgotten, being over | 7" in said


def test_a_state_without_a_bound_and_none_yet() -> None:
    assert "Used | 32.0 KiB of no bound" in reading(state=state(bound_bytes=None, since=None)).text
    assert "It was not looked at yet." in reading(state=None).texts


def test_the_sums() -> None:
    said = reading(
        records__received=9,
        records__delivered=7,
        records__in_flight=2,
        chunks__received=3,
        chunks__repeated=1,
        chunks__delivered=2,
        matches__total=6,
        matches__open=1,
        matches__learning=2,
        matches__suppressed=3,
    ).text

    assert "Records | 9 | 7 delivered + 0 rejected + 2 on their way | yes" in said
    assert "Chunks | 3 | 2 delivered + 0 rejected + 0 quarantined + 1 repeated + 0 on their way | yes" in said
    assert "Matches | 6 | 1 for people + 2 not for people + 3 known | yes" in said


def test_a_sum_that_does_not_add_up() -> None:
    assert reading(sums__chunks=False).texts.count("no") == 1
