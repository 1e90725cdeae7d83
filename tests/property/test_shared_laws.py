"""The law of new_terms is written twice, in Python and for the server: both remember the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.model import Verdict
from firstseen.store.redis.hashes import MEMORY, memory_of
from firstseen.store.redis.link import REMEMBER
from support.redis import RedisServer

pytestmark = pytest.mark.redis

SIGHTINGS = st.lists(
    st.tuples(st.integers(-50, 50) | st.just(253_402_300_799_999), st.sampled_from("abc"), st.booleans()),
    min_size=1,
    max_size=8,
)
_numbers = count()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SIGHTINGS, min_size=1, max_size=3))
def test_both_remember_the_same(redis_server: RedisServer, batches: Sequence[Sequence[tuple[int, str, bool]]]) -> None:
    law = NewTermsLaw(10)
    link = redis_server.link()
    number = next(_numbers)
    key = b"law:%d" % number
    memory: Sighting | None = None
    for batch_number, batch in enumerate(batches):
        arguments: list[bytes | str | int] = [b"owner", b"%d/%d" % (number, batch_number), 0, 60_000, b"terms"]
        lost = memory is None and not any(alerts for *_, alerts in batch)
        for time, event, alerts in batch:
            if not lost:
                memory = law.remember(memory, Occurrence(time, event), Verdict.NEW if alerts else Verdict.KNOWN)
            arguments += [time, event, "alert" if alerts else "known"]
        status, *values = link.call(*REMEMBER.on(key, *arguments))
        assert status == (b"lost" if lost else b"ok")
        assert lost or memory_of([*values, None]) == memory
    assert memory_of(link.call("HMGET", key, *MEMORY)) == memory
    link.close()
