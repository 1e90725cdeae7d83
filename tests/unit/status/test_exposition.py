import math

from firstseen.metrics import Histogram
from firstseen.status.exposition import CONTENT_TYPE, Described, Sample, exposition


def test_numbers_with_and_without_labels() -> None:
    families = [
        Described("a_total", "counter", "What it is.", (), [Sample(3)]),
        Described("b", "gauge", "Else.", ("x", "y"), [Sample(0.25, ("1", "2")), Sample(True, ("3", "4"))]),
        Described("none", "gauge", "Nothing to tell.", (), []),
        Described("c", "gauge", "Without end.", ("way",), [Sample(math.inf, ("up",)), Sample(-math.inf, ("down",))]),
    ]

    assert exposition(families).decode() == (
        "# HELP a_total What it is.\n# TYPE a_total counter\na_total 3\n"
        '# HELP b Else.\n# TYPE b gauge\nb{x="1",y="2"} 0.25\nb{x="3",y="4"} 1\n'
        '# HELP c Without end.\n# TYPE c gauge\nc{way="up"} +Inf\nc{way="down"} -Inf\n'
    )


def test_a_histogram_counts_upwards() -> None:
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)

    assert exposition([Described("d_seconds", "histogram", "How long.", (), [Sample(histogram)])]).decode() == (
        "# HELP d_seconds How long.\n# TYPE d_seconds histogram\n"
        'd_seconds_bucket{le="0.1"} 2\nd_seconds_bucket{le="1.0"} 3\nd_seconds_bucket{le="+Inf"} 4\n'
        "d_seconds_sum 7.65\nd_seconds_count 4\n"
    )


def test_nothing_in_a_label_or_in_help_ends_it() -> None:
    odd = 'a"} 1\n\\ \udc80'

    lines = exposition([Described("a", "gauge", "x\ny\\", ("name",), [Sample(1, (odd,))])]).decode().split("\n")

    assert lines == ["# HELP a x\\ny\\\\", "# TYPE a gauge", 'a{name="a\\"} 1\\n\\\\ ?"} 1', ""]


def test_the_version_of_the_format_is_said() -> None:
    assert "version=0.0.4" in CONTENT_TYPE
