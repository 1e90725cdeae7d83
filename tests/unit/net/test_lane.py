from firstseen.net.lane import Backoff


def test_pauses_double_up_to_a_limit_and_vary() -> None:
    backoff = Backoff(lambda: 1.0, first_s=1, most_s=5)

    assert [backoff.pause_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.pause_s() == 1
    assert Backoff(lambda: 0.0, first_s=1, most_s=5).pause_s() == 0.5
