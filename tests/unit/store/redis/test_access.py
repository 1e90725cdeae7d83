from __future__ import annotations

from firstseen.store.redis.access import Access


def test_it_prints_no_password() -> None:
    access = Access(username="ada", password=b"s3cret", sentinel_username="eve", sentinel_password=b"s3cret too")
    assert "s3cret" not in repr(access)
    assert "ada" in repr(access)


def test_by_default_nobody_asks_for_anything_and_everybody_is_verified() -> None:
    access = Access()
    assert (access.password, access.sentinel_password, access.ca, access.verify) == (None, None, None, True)
