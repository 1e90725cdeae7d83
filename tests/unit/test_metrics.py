import dataclasses

from firstseen.metrics import Counts


def test_a_total_is_raised_by_its_name() -> None:
    counts = Counts(matches=1)

    counts.add("matches")
    counts.add("matches", 3)

    assert counts.matches == 5


def test_every_total_is_told_by_its_name() -> None:
    counts = Counts(records_in=3)

    assert counts.as_dict()["records_in"] == 3
    assert list(counts.as_dict()) == [field.name for field in dataclasses.fields(Counts)]
