from firstseen.metrics import BOUNDS_S, Counts, Durations, Histogram


def test_a_total_is_raised_by_its_name() -> None:
    counts = Counts(matches=1)

    counts.add("matches")
    counts.add("matches", 3)

    assert counts.matches == 5


def test_a_connection_may_be_closed_for_what_cannot_be_read() -> None:
    counts = Counts()

    counts.refused(False)
    counts.refused(True)

    assert (counts.connections_refused, counts.decode_errors) == (2, 1)


def test_every_total_is_told_by_its_name() -> None:
    counts = Counts(records_in=3)

    assert counts.as_dict()["records_in"] == 3
    assert list(counts.as_dict()) == list(Counts.__struct_fields__)


def test_a_histogram_counts_each_value_under_the_first_bound_that_holds_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        histogram.observe(value)

    assert (histogram.counts, histogram.count, histogram.total) == ([2, 2, 1], 5, 104.0)


def test_durations_are_counted_apart() -> None:
    durations, others = Durations(), Durations()
    durations.commit.observe(0.1)

    assert (durations.commit.count, durations.chunk.count, others.commit.count) == (1, 0, 0)
    assert sorted(BOUNDS_S) == list(BOUNDS_S)
