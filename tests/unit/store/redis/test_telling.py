from firstseen.errors import StoreError
from firstseen.store.redis.telling import Telling


def test_each_reason_is_told_once_and_its_end() -> None:
    told: list[str] = []
    telling = Telling(lambda reason: told.append(str(reason)))

    for reason in (None, "away", "away", "full", "away", None, None, "away"):
        telling.now(None if reason is None else StoreError(reason))

    assert told == ["away", "full", "away", "None", "away"]
    assert str(telling.reason) == "away"
