from __future__ import annotations

import builtins
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from firstseen import config
from firstseen.detect.law import Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.errors import StoreError
from firstseen.states import (
    DEFAULT_MAP_SIZE,
    OnDisk,
    Place,
    Shared,
    configured,
    edit,
    named,
    open_state,
    read,
    read_if_there,
    require,
)
from firstseen.stateurl import StateUrl
from firstseen.store.base import Claim, Entry, History, RuleState, SharedStore, Solitude, Wanted
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis.access import Access
from firstseen.store.redis.link import Link
from firstseen.store.redis.owner import Owner
from firstseen.store.redis.store import RedisStore
from support.logged import events
from support.redis import RedisServer, free_port, new_prefix

RULE = RuleState(b"rule one", "id-1", "A rule", 1_000)
ENTRY = Entry(RULE.key, ("ada",), Sighting(1, 2, 3, "e1", "e2"))
LAW = NewTermsLaw(1_000)
LONG_S = 60
URL = StateUrl("redis://ada:secret@127.0.0.1:1/2")


@pytest.fixture(params=["disk", pytest.param("shared", marks=pytest.mark.redis)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        return OnDisk(tmp_path / "state", 1 << 20)
    server: RedisServer = request.getfixturevalue("redis_server")
    return Shared(server.url, new_prefix().decode())


def nobody(_: StoreError | None) -> None:
    raise AssertionError("there is no trouble")


def settings(folder: Path, state: str) -> config.Config:
    file = folder / "firstseen.toml"
    file.write_text(f"[state]\n{state}\n")
    return config.load(file)


def test_the_place_of_the_configuration(tmp_path: Path) -> None:
    assert configured(settings(tmp_path, 'path = "there"\nmap_size = "2MiB"')) == OnDisk(tmp_path / "there", 2 << 20)


def test_the_shared_place_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    for file in ("ca", "crt", "key"):
        (tmp_path / file).touch()
    given = 'url = "rediss://h/1"\nprefix = "p:"\nusername = "ada"\npassword_file = "secret"\n'
    tls = 'tls = {ca = "ca", cert = "crt", key = "key", verify = false}'

    found = configured(settings(tmp_path, given + tls))

    files = [tmp_path / name for name in ("ca", "crt", "key")]
    assert found == Shared(StateUrl("rediss://h/1"), "p:", Access("ada", b"from a file", *files, verify=False))
    assert "from a file" not in repr(found)


@pytest.mark.parametrize(
    ("text", "prefix", "expected"),
    [
        ("there", None, OnDisk(Path("there"))),
        ("redis:there", None, OnDisk(Path("redis:there"))),
        ("redis+cluster://a,b", None, Shared(StateUrl("redis+cluster://a,b"), "firstseen:")),
        ("redis://h", "p:", Shared(StateUrl("redis://h"), "p:")),
    ],
)
def test_places_are_named(text: str, prefix: str | None, expected: Place) -> None:
    assert named(text, prefix) == expected


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("ftp://h", None), ("redis://h", ""), ("redis://h", "a\n"), ("redis://h", 65 * "a"), ("d", "p")],
)
def test_what_names_no_place(text: str, prefix: str | None) -> None:
    with pytest.raises(ValueError, match=r"expected|a prefix is"):
        named(text, prefix)


def test_places_print_no_password() -> None:
    assert str(OnDisk(Path("/there"))) == "/there"
    assert str(Shared(URL, "p:")) == "redis://ada:********@127.0.0.1:1/2 (p:)"
    assert "secret" not in repr(Shared(URL, "p:", Access("ada", b"secret")))


def test_what_is_written_is_read(place: Place) -> None:
    with closing(edit(place)) as editor:
        assert editor.register([RULE], 5) == [5]
        editor.absorb([], [ENTRY])
        assert editor.fold({}, {b"file": b"7"}) == 0
        assert editor.mark(b"file") == b"7"

    with closing(read(place)) as reader:
        assert list(reader.rules()) == [History(RULE, 5)]
        assert list(reader.entries()) == [ENTRY]

    with closing(edit(place)) as editor:
        editor.forget(RULE.key, [("ada",)])
        editor.forget_history(RULE.key)
        assert (list(editor.entries()), list(editor.rules())) == ([], [])


def test_nothing_is_there_yet(place: Place) -> None:
    with pytest.raises(StoreError) as caught:
        read(place)
    assert str(caught.value) == f"{place} holds no state yet"
    assert read_if_there(place) is None


def test_a_folder_may_hold_something_else(tmp_path: Path) -> None:
    (tmp_path / "agent").write_text("the name of one that shares its state")

    assert read_if_there(OnDisk(tmp_path)) is None


def test_a_state_may_be_there(place: Place) -> None:
    with closing(edit(place)):
        pass
    reader = read_if_there(place)
    assert reader is not None
    reader.close()


@pytest.mark.redis
@pytest.mark.parametrize("opened", [read, read_if_there, edit])
def test_a_state_of_another_version_is_left_alone(
    redis_server: RedisServer, opened: Callable[[Place], Any], tmp_path: Path
) -> None:
    prefix = new_prefix()
    redis_server.call("SET", prefix + b"schema", b"99")

    for use in (
        lambda: opened(Shared(redis_server.url, prefix.decode())),
        lambda: open_state(agent(tmp_path / "a", redis_server, prefix), nobody),
    ):
        with pytest.raises(StoreError, match="has schema b'99', this version of firstseen works with 1"):
            use()


@pytest.mark.parametrize("opened", [read, read_if_there, edit])
def test_a_server_that_is_not_there(opened: Callable[[Place], Any]) -> None:
    with pytest.raises(StoreError, match=r"at redis://127\.0\.0\.1:\d+ cannot be reached"):
        opened(Shared(StateUrl(f"redis://127.0.0.1:{free_port()}")))


def test_a_map_is_as_large_as_it_is_said_to_be_or_as_it_is(tmp_path: Path) -> None:
    def size(place: OnDisk) -> int:
        with closing(edit(place)) as editor:
            return editor.stats().map_size

    assert size(OnDisk(tmp_path / "new")) == DEFAULT_MAP_SIZE
    assert size(OnDisk(tmp_path / "state", 1 << 20)) == 1 << 20
    assert size(OnDisk(tmp_path / "state")) == 1 << 20
    assert size(OnDisk(tmp_path / "state", 1 << 19)) == 1 << 19


def agent(folder: Path, server: RedisServer | None = None, prefix: bytes = b"", *more: str) -> config.Config:
    """The configuration of an agent whose directory this is."""
    lines = ["[state]", f'path = "{folder}"', *more]
    if server is not None:
        lines += [f'url = "{server.url}"', f'prefix = "{prefix.decode()}"']
    file = folder.with_suffix(".toml")
    file.write_text("\n".join(lines))
    return config.load(file)


def test_an_agent_owns_a_state_on_disk(tmp_path: Path) -> None:
    opened = open_state(agent(tmp_path / "a"), nobody)
    with closing(opened.store):
        assert opened == (opened.on_disk, None, opened.on_disk, opened.on_disk, Solitude)
        assert isinstance(opened.on_disk, LmdbStore)
        with pytest.raises(StoreError, match="is in use by process"):
            edit(OnDisk(tmp_path / "a", 1 << 20))


@pytest.mark.redis
def test_agents_join_a_shared_state(tmp_path: Path, redis_server: RedisServer) -> None:
    prefix = new_prefix()
    one = open_state(agent(tmp_path / "a", redis_server, prefix), nobody)
    other = open_state(agent(tmp_path / "b", redis_server, prefix), nobody)
    with closing(one.store), closing(other.store):
        assert one == (one.shared, one.shared, None, None, Solitude)
        with pytest.raises(StoreError, match="is in use by process"):
            open_state(agent(tmp_path / "a", redis_server, prefix), nobody)
        one.store.register([RULE], 5)
        with closing(read(Shared(redis_server.url, prefix.decode()))) as reader:
            assert list(reader.rules()) == [History(RULE, 5)]


@pytest.mark.redis
def test_an_agent_keeps_a_copy_to_go_on_with(
    tmp_path: Path, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    opened = open_state(agent(tmp_path / "a", redis_server, new_prefix(), 'when_away = "local"'), nobody)
    with closing(opened.store):
        assert opened.shared is opened.store is opened.pruning
        assert isinstance(opened.on_disk, LmdbStore)
        assert opened.solitude() == Solitude()
    away = agent(tmp_path / "b", None, b"", f'url = "redis://127.0.0.1:{free_port()}"', 'when_away = "local"')
    opened = open_state(away, nobody)
    with closing(opened.store) as store:
        store.register([RULE], 5)
        assert list(store.rules()) == [History(RULE, 5)]
        assert opened.solitude().alone
        (told,) = events(caplog, "state_away")
        assert told["reason"] == str(opened.solitude().reason)
    assert "cannot be reached" in told["reason"]


def test_the_package_redis_is_told_of_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    bring = builtins.__import__

    def lacking(name: str, *more: Any) -> Any:
        if name == "firstseen.store.redis.link":
            raise ImportError(name)
        return bring(name, *more)

    place = Shared(URL)
    require(place)
    require(OnDisk(Path("there")))
    monkeypatch.setattr(builtins, "__import__", lacking)

    for opened in (require, read, edit):
        with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/2 needs the package redis: pip install"):
            opened(place)  # type: ignore[operator]


def test_the_package_redis_is_imported_where_a_state_is_shared_and_not_before() -> None:
    asked = "import sys, firstseen.states, firstseen.daemon; print('redis' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, check=True).stdout == b"False\n"


@pytest.mark.redis
def test_a_copy_that_falls_behind_is_told_of(
    tmp_path: Path, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    small = agent(tmp_path / "a", redis_server, new_prefix(), 'when_away = "local"', 'map_size = "1MiB"')
    opened = open_state(small, nobody)
    assert opened.shared is not None
    assert opened.on_disk is not None
    with closing(opened.store):
        wanted = [Wanted(RULE, (f"{number}{'x' * 1_000}",), Occurrence(1, "e1"), LAW) for number in range(1_000)]
        opened.store.confirm(claims(opened.shared, wanted)).result(LONG_S)
        (told,) = logged(caplog, "state_not_copied")
        assert "is full" in told["reason"]
        opened.on_disk.resize(1 << 24).result(LONG_S)
        assert logged(caplog, "state_copied_again")


def claims(store: SharedStore, wanted: Sequence[Wanted]) -> Sequence[Claim]:
    reservation = store.reservation()
    for each in wanted:
        reservation.add(each)
    reservation.ask().result(LONG_S)
    made = [store.claim(*each) for each in wanted]
    reservation.end()
    return made


def logged(caplog: pytest.LogCaptureFixture, name: str) -> list[dict[str, Any]]:
    """The events of this name, once there is one."""
    deadline = time.monotonic() + LONG_S
    while not (told := events(caplog, name)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return told


@pytest.mark.redis
@pytest.mark.parametrize("when_away", ["wait", "local"])
def test_what_was_opened_is_closed_where_the_rest_cannot_be(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, when_away: str
) -> None:
    def broken(_: RedisStore) -> None:
        raise RuntimeError("a mistake")

    settings = agent(tmp_path / "a", redis_server, new_prefix(), f'when_away = "{when_away}"')
    with monkeypatch.context() as patch:
        patch.setattr(RedisStore, "begin", broken)
        with pytest.raises(RuntimeError, match="a mistake"):
            open_state(settings, nobody)

    open_state(settings, nobody).store.close()


@pytest.mark.redis
@pytest.mark.parametrize("when_away", ["wait", "local"])
def test_the_link_is_closed_where_another_agent_has_the_name(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, when_away: str
) -> None:
    closed: list[Link] = []

    def close(link: Link) -> None:
        closed.append(link)

    monkeypatch.setattr(Link, "close", close)
    owner = Owner.take(tmp_path / "a")

    with pytest.raises(StoreError, match="is in use by process"):
        open_state(agent(tmp_path / "a", redis_server, new_prefix(), f'when_away = "{when_away}"'), nobody)

    assert len(closed) == 1
    owner.release()
