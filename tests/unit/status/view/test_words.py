import pytest

from firstseen.status.view.words import ago, clock, length, moment, number, percent, rate, several, size


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (number(1_234_567), "1,234,567"),
        *((several(1, "rule"), "1 rule"), (several(0, "rule"), "0 rules")),
        (several(2, "match", "matches"), "2 matches"),
        *((rate(0), "0"), (rate(0.04), "< 0.1"), (rate(0.44), "0.4"), (rate(12.6), "13"), (rate(48_300.2), "48,300")),
        *((size(0), "0 B"), (size(1_023), "1023 B"), (size(20_992), "20.5 KiB"), (size(1 << 30), "1.0 GiB")),
        (size(5 << 50), "5120.0 TiB"),
        *((percent(0), "0 %"), (percent(0.00003), "< 0.01 %"), (percent(0.0005), "0.05 %"), (percent(0.123), "12 %")),
        (percent(1), "100 %"),
        *((length(None), "–"), (length(0.57), "570ms"), (length(12.9), "12s"), (length(273_600), "3d 4h")),
        *((length(0.0), "0s"), (length(-0.5), "-500ms"), (length(-90), "-1m 30s")),
        *((ago(None), "–"), (ago(0.9), "just now"), (ago(75), "1m 15s ago")),
        *((moment("2026-05-24T09:12:33.000Z"), "2026-05-24 09:12:33"), (moment(None), "–")),
        *((clock("2026-05-24T09:12:33.000Z"), "09:12:33"), (clock(None), "–")),
    ],
)
def test_words(said: str, expected: str) -> None:
    assert said == expected
