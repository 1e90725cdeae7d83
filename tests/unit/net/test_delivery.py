from firstseen.forward.outgoing import Frame
from firstseen.net.delivery import Delivery, Parcel

FRAME = Frame("t", (b"\x92",), 1, None)


def delivery(frames: int, told: list[str]) -> Delivery:
    return Delivery([FRAME] * frames, lambda: told.append("delivered"), told.append)


def test_a_delivery_is_over_with_the_last_of_its_frames() -> None:
    told: list[str] = []
    made = delivery(2, told)
    made.one_delivered()
    assert (told, made.over) == ([], False)
    made.one_delivered()
    assert (told, made.over) == (["delivered"], True)


def test_a_delivery_that_is_refused_is_told_so_once_and_never_delivered() -> None:
    told: list[str] = []
    made = delivery(1, told)
    made.refuse("why")
    made.refuse("again")
    made.one_delivered()
    assert told == ["why"]


def test_without_a_source_a_delivery_is_its_own() -> None:
    made = delivery(1, [])
    assert made.source is made
    assert Parcel(FRAME, made, 0, 0.0).strikes == 0


def test_a_parcel_knows_which_servers_had_it() -> None:
    parcel = Parcel(FRAME, delivery(1, []), 7, 0.0)
    parcel.failed_at("one")
    parcel.failed_at("one")
    parcel.failed_at("two")
    parcel.trials["one"].strikes += 1
    assert [parcel.failures_at(each) for each in ("one", "two", "three")] == [2, 1, 0]
    assert {trial.seen for trial in parcel.trials.values()} == {7}
    assert parcel.strikes == 1
