from __future__ import annotations

from concurrent.futures import Future

import pytest

from firstseen.store.redis.joined import joined


@pytest.mark.parametrize("first", [0, 1])
def test_it_ends_when_both_have(first: int) -> None:
    parts: list[Future[None]] = [Future(), Future()]
    both = joined(*parts)
    parts[first].set_result(None)
    assert not both.done()
    parts[1 - first].set_result(None)
    assert both.result(0) is None


@pytest.mark.parametrize("failing", [0, 1])
def test_it_fails_if_one_does_and_not_before_the_other_has_ended(failing: int) -> None:
    parts: list[Future[None]] = [Future(), Future()]
    both = joined(*parts)
    parts[failing].set_exception(ValueError("no room"))
    assert not both.done()
    parts[1 - failing].set_result(None)
    with pytest.raises(ValueError, match="no room"):
        both.result(0)
