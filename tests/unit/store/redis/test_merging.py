from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstseen.detect.keys import state_key
from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw, Window
from firstseen.detect.threshold import Bucket, ThresholdLaw
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.stateurl import StateUrl
from firstseen.store.base import Entry, History, Memory, RuleState, Wanted
from firstseen.store.merge import merged, together
from firstseen.store.redis import merging
from firstseen.store.redis.access import Access
from firstseen.store.redis.link import Link
from firstseen.store.redis.merging import Merging, _fold, _folded, new_token
from firstseen.store.sweep import kept_ms
from property.test_codec import buckets
from support.redis import Fleet, RedisServer, claim_all, free_port, new_prefix

pytestmark = pytest.mark.redis

RULE, OTHER = RuleState(b"rule one", "id-1", "A rule", 1_000), RuleState(b"rule two", "id-2", "Another")
LAW = NewTermsLaw(10)
TIMEOUT_S = 60

# Few different values: that is where two things are the same in one part and not in another.
few = st.integers(0, 3)
words = st.sampled_from(["", "a", "b", "B", "ab", "\u00e9", "\ud800", "\ue000", "\U0001f600"])
seen = st.builds(Sighting, few, few, few, words, words)
terms = st.sampled_from([("x",), ("y",), ("x", 1)])
sighted = st.builds(Entry, st.just(RULE.key), terms, seen)
entries = st.one_of(
    sighted,
    st.builds(Entry, st.just(OTHER.key), terms, st.builds(Window, few, few, words, few)),
    st.builds(Entry, st.just(b"8 bytes."), terms, buckets()),
)
states = st.lists(entries, max_size=5)
founds = st.lists(sighted, max_size=4)


def open_state(server: RedisServer, prefix: bytes | None = None) -> Merging:
    state = Merging(server.link(), new_prefix() if prefix is None else prefix)
    state.begin()
    return state


@pytest.fixture
def state(redis_server: RedisServer) -> Iterator[Merging]:
    with closing(open_state(redis_server)) as made:
        yield made


def sighting(term: str, time_ms: int = 100, count: int = 1) -> Entry:
    return Entry(RULE.key, (term,), Sighting(time_ms, time_ms, count, "e", "e"))


def by_key(*entries: Entry) -> dict[bytes, Entry]:
    return {state_key(entry.rule_key, entry.terms): entry for entry in entries}


def remembered(entries: Sequence[Entry], how: Callable[[Memory, Memory], Memory]) -> dict[bytes, Memory]:
    """What is known by all of these, one after the other."""
    known: dict[bytes, Memory] = {}
    for entry in entries:
        key = state_key(entry.rule_key, entry.terms)
        known[key] = how(known[key], entry.memory) if key in known else entry.memory
    return known


def held(state: Merging) -> dict[bytes, Memory]:
    return {state_key(entry.rule_key, entry.terms): entry.memory for entry in state.entries()}


@settings(max_examples=30)
@given(states, states)
def test_states_become_one_in_any_order_and_as_often_as_one_likes(
    redis_server: RedisServer, here: list[Entry], there: list[Entry]
) -> None:
    """It is what `merged` says, which has that property."""
    for order in ([here, there], [there, here], [here, there, here], [here + there]):
        with closing(open_state(redis_server)) as state:
            for each in order:
                state.absorb([], each)
            assert held(state) == remembered(here + there, merged)


@settings(max_examples=60)
@given(st.lists(founds, max_size=3))
def test_sightings_add_up_as_they_do_here(redis_server: RedisServer, reports: list[list[Entry]]) -> None:
    """The script and `together` are one law."""
    everything: list[Entry] = []
    with closing(open_state(redis_server)) as state:
        for report in reports:
            before, memories = remembered(everything, together), remembered(report, together)
            found = {key: entry._replace(memory=memories[key]) for key, entry in by_key(*report).items()}
            assert state.fold(found, {}) == len(found.keys() - before.keys())
            everything += report
        assert held(state) == remembered(everything, together)


def test_what_does_not_fit_is_told_of(state: Merging) -> None:
    state.absorb([], [sighting("ada")])
    window = sighting("ada")._replace(memory=Window(1, 2, "e", 3))
    key = state_key(RULE.key, ("ada",)).hex()

    for more in ([window], [window, sighting("ada")]):
        with pytest.raises(StoreError, match=f"does not fit what is remembered under {key}: one rule's memories are"):
            state.absorb([], more)


def test_histories_begin_when_the_earlier_did(state: Merging) -> None:
    later = History(RuleState(RULE.key, "id-1", "Renamed", 2_000), 9)

    for history in (History(RULE, 5), later, History(OTHER, 7)):
        state.absorb([history], [])

    assert list(state.rules()) == [History(later.rule, 5), History(OTHER, 7)]
    assert state.register([RULE], 20) == [5]
    assert next(state.rules()) == History(RULE, 5), "what it is called says who has loaded it last"


def test_a_history_that_is_entered_meanwhile_is_merged_as_well(state: Merging, monkeypatch: pytest.MonkeyPatch) -> None:
    call = state._link.call

    def meddling(*command: Any) -> Any:
        answer = call(*command)
        if command[0] == "HGET":
            monkeypatch.undo()
            with closing(Merging(state._link, state._prefix)) as other:
                other.absorb([History(RULE, 3)], [])
        return answer

    monkeypatch.setattr(state._link, "call", meddling)
    state.absorb([History(RULE, 5)], [])

    assert list(state.rules()) == [History(RULE, 3)]


def test_a_term_that_is_written_meanwhile_is_merged_as_well(state: Merging, monkeypatch: pytest.MonkeyPatch) -> None:
    go = state._link.together

    def meddling(commands: Any) -> Any:
        answers = go(commands)
        monkeypatch.undo()
        with closing(Merging(state._link, state._prefix)) as other:
            other.absorb([], [sighting("ada", 50), sighting("bob", 500)])
        return answers

    monkeypatch.setattr(state._link, "together", meddling)
    state.absorb([], [sighting("ada", 100), sighting("bob", 100), sighting("cyd", 100)])

    assert {entry.terms[0]: entry.memory[:2] for entry in state.entries()} == {
        "ada": (50, 100),
        "bob": (100, 500),
        "cyd": (100, 100),
    }


def test_terms_are_kept_as_long_as_their_rule_says_and_else_for_ever(redis_server: RedisServer, state: Merging) -> None:
    state.absorb([History(RULE, 5), History(OTHER, 5)], [])
    other = sighting("ada")._replace(rule_key=OTHER.key)

    for write in (lambda: state.absorb([], [sighting("ada"), other]), lambda: state.fold(by_key(sighting("x")), {})):
        write()
    left = {entry: redis_server.call("PTTL", state._terms + key) for key, entry in by_key(*state.entries()).items()}

    assert left.pop(other) == -1
    assert len(left) == 2
    for milliseconds in left.values():
        assert isinstance(milliseconds, int)
        assert kept_ms(1_000) - 60_000 < milliseconds <= kept_ms(1_000)


def test_what_is_kept_for_longer_is_not_cut_short_by_what_is_imported_or_found(
    redis_server: RedisServer, state: Merging
) -> None:
    long, short = (History(RuleState(RULE.key, "rule", "Rule", days * 86_400_000), 5) for days in (100, 10))
    state.begin_histories([long])
    state.absorb([], [sighting("ada")])
    (key,) = by_key(sighting("ada"))
    before = redis_server.call("PTTL", state._terms + key)
    state.begin_histories([short])

    state.fold({key: sighting("ada")}, {})
    state.absorb([], [sighting("ada")])

    after = redis_server.call("PTTL", state._terms + key)
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert before - 60_000 < after <= before


@pytest.mark.parametrize(
    ("memory", "law"),
    [
        (Sighting(1, 2, 3, "e", "e"), NewTermsLaw(10)),
        (Window(1, 2, "e", 3), SuppressionLaw(10)),
        (Bucket(1, 2, 3, "e", 5, None, None, None, ()), ThresholdLaw(1, 0, 10, 5)),
    ],
)
def test_what_is_kept_for_ever_outlasts_the_leases_on_it(
    redis_server: RedisServer, tmp_path: Path, memory: Memory, law: Law[Any]
) -> None:
    fleet = Fleet(redis_server, tmp_path)
    one, other = fleet.agent("a"), fleet.agent("b")
    wanted = [Wanted(OTHER, ("x",), Occurrence(1_000, "late"), law)]
    try:
        one.absorb([], [Entry(OTHER.key, ("x",), memory)])
        claims = claim_all(one, wanted)
        waiting = other.reservation()
        waiting.add(wanted[0])
        ready = waiting.ask()
        key = one._terms + state_key(OTHER.key, ("x",))
        wait_for(lambda: bool(redis_server.call("HEXISTS", key, "q")))
        left = redis_server.call("PTTL", key)
        one.release(claims)
        ready.result(TIMEOUT_S)
        waiting.end()
        kept = one.get(OTHER.key, ("x",))
    finally:
        fleet.close()

    assert [claim.verdict for claim in claims] == [Verdict.NEW]
    assert (left, kept) == (-1, memory)


def test_what_was_found_is_kept_with_its_marks(state: Merging) -> None:
    assert state.fold(by_key(sighting("x"), sighting("y")), {b"file": b"1"}) == 2
    assert state.fold(by_key(sighting("y", 200), sighting("z", 200)), {b"file": b"2", b"more": b""}) == 1
    assert state.fold({}, {}) == 0

    assert state.get(RULE.key, ("y",)) == Sighting(100, 200, 2, "e", "e")
    assert (state.mark(b"file"), state.mark(b"more"), state.mark(b"other")) == (b"2", b"", None)


@pytest.mark.parametrize("marks", [[], [(b"mark:file", b"1")]])
def test_what_was_found_is_not_counted_again_where_the_answer_was_lost(
    state: Merging, marks: list[tuple[bytes, bytes]]
) -> None:
    found = [(state._terms + key, _folded(entry, None)) for key, entry in by_key(sighting("x")).items()]
    command = _fold(new_token(), found, [(state._prefix + name, value) for name, value in marks])

    assert [state._link.call(*command) for _ in range(2)] == [1, 0]
    if marks:  # what others write in between changes nothing about that
        state.fold(by_key(sighting("x")), {})
        assert state._link.call(*command) == 0

    assert state.get(RULE.key, ("x",)) == Sighting(100, 100, 1 + len(marks), "e", "e")


def test_a_server_writes_so_much_at_once_and_no_more(state: Merging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "FOLDED_AT_ONCE", 2)
    call, said = state._link.call, []
    monkeypatch.setattr(state._link, "call", lambda *command: (said.append(command), call(*command))[1])

    assert state.fold(by_key(*[sighting(term) for term in "vwxyz"]), {b"file": b"1"}) == 5

    assert [command[2] for command in said if command[0] == "EVALSHA"] == [2, 2, 2]
    assert len(held(state)) == 5
    assert state.mark(b"file") == b"1"


def test_the_servers_of_a_cluster_each_write_what_is_theirs(tmp_path: Path) -> None:
    """With the marks behind it: what is read again is counted again."""
    everything = [sighting(f"{number}") for number in range(50)]
    with RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        server.call("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        wait_for(lambda: "cluster_state:ok" in str(server.call("CLUSTER", "INFO")))
        link = Link(StateUrl(f"redis+cluster://127.0.0.1:{server.port}"), Access())
        with closing(Merging(link, b"p:")) as state:
            state.begin()
            state.absorb([History(RULE, 5)], everything[:10])
            new = state.fold(by_key(*everything), {b"file": b"1", b"more": b"2"})
            state.forget(RULE.key, [("0",), ("49",)])
            left = list(state.entries())

            assert (new, state.mark(b"file"), state.mark(b"more")) == (40, b"1", b"2")
            assert sorted(entry.memory[2] for entry in left) == [1] * 39 + [2] * 9
            assert (list(state.rules()), state.stats().entries) == ([History(RULE, 5)], 48)


def wait_for(true: Callable[[], bool]) -> None:
    """A server can only be asked again and again."""
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_finds_no_room_is_not_written_in_part(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server, closing(open_state(server)) as state:
        server.call("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreError, match=r"it is full: give it a larger maxmemory"):
            state.fold(by_key(*[sighting(f"{number}") for number in range(100)]), {b"file": b"1"})
        server.call("CONFIG", "SET", "maxmemory", "0")

        assert (held(state), state.mark(b"file")) == ({}, None)


@pytest.mark.crash
@pytest.mark.parametrize("part", [0.25, 0.5, 1.0])
def test_a_server_that_is_killed_has_all_of_it_or_nothing(tmp_path: Path, part: float) -> None:
    """Wherever in that time it happens: what was found and how far that was read are there together."""
    found = by_key(*[sighting(f"{number}") for number in range(5_000)])
    with RedisServer(tmp_path) as server, closing(open_state(server)) as state:
        started = time.monotonic()
        state.fold(found, {b"file": b"1"})
        takes_s = time.monotonic() - started
        thread = threading.Thread(target=_quietly, args=(lambda: state.fold(found, {b"file": b"2"}),))
        thread.start()
        time.sleep(part * takes_s)
        server.kill()
        thread.join()
        server.start()
        counts = {memory[2] for memory in held(state).values()}

        assert counts == ({2} if state.mark(b"file") == b"2" else {1})


def _quietly(do: Callable[[], object]) -> None:
    try:
        do()
    except StoreError:
        return


def test_agents_and_past_logs_write_the_same_terms_and_nothing_is_lost(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    """Each event of either counts once."""
    fleet = Fleet(redis_server, tmp_path)
    agents = [fleet.agent(name) for name in ("a", "b")]
    names, rounds = "vwxyz", 40

    def claim(number: int) -> None:
        for turn in range(rounds):
            events = [Occurrence(1_000 + turn, f"{number}-{turn}-{term}") for term in names]
            wanted = [
                Wanted(RULE, (term,), event, NewTermsLaw(10_000)) for term, event in zip(names, events, strict=True)
            ]
            agents[number].confirm(claim_all(agents[number], wanted)).result(TIMEOUT_S)

    def fill() -> None:
        with closing(open_state(redis_server, fleet.prefix)) as state:
            for turn in range(rounds):
                state.fold(by_key(*[sighting(term, 500 - turn) for term in names]), {b"file": b"%d" % turn})

    def bring() -> None:
        with closing(open_state(redis_server, fleet.prefix)) as state:
            for turn in range(rounds):
                state.absorb([], [sighting(term, 5_000 + turn, count=0) for term in names])

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(len(agents))]
    threads += [threading.Thread(target=each) for each in (fill, bring)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)
        found = {entry.terms[0]: entry.memory for entry in agents[0].entries()}
    finally:
        fleet.close()

    assert {term: memory[:3] for term, memory in found.items()} == dict.fromkeys(
        names, (500 - rounds + 1, 5000 + rounds - 1, 3 * rounds)
    )


def test_agents_count_while_old_counts_are_brought(redis_server: RedisServer, tmp_path: Path) -> None:
    """What is brought is older, so what comes of it is what the agents counted."""
    fleet = Fleet(redis_server, tmp_path)
    agents, rounds = [fleet.agent(name) for name in ("a", "b")], 60
    law = ThresholdLaw(events=100, distinct=0, lookback_ms=100_000, interval_ms=1_000)
    verdicts: list[Verdict] = []

    def claim(number: int) -> None:
        for turn in range(rounds):
            wanted = Wanted(RULE, ("x",), Occurrence(50_000 + turn, f"{number}-{turn}"), law)
            claims = claim_all(agents[number], [wanted])
            agents[number].confirm(claims).result(TIMEOUT_S)
            verdicts.extend(each.verdict for each in claims)

    def bring() -> None:
        old = Bucket(1, 2, 7, "old", 3, None, None, None, ())
        with closing(open_state(redis_server, fleet.prefix)) as state:
            for _ in range(rounds):
                state.absorb([], [Entry(RULE.key, ("x",), old)])

    first = claim_all(agents[0], [Wanted(RULE, ("x",), Occurrence(49_999, "first"), law)])
    agents[0].confirm(first).result(TIMEOUT_S)  # before anything is brought
    threads = [threading.Thread(target=claim, args=(number,)) for number in range(len(agents))]
    threads.append(threading.Thread(target=bring))
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)
        bucket = agents[0].get(RULE.key, ("x",))
    finally:
        fleet.close()

    assert isinstance(bucket, Bucket)
    assert bucket.events == 1 + 2 * rounds
    assert verdicts.count(Verdict.NEW) == 1


def test_an_open_window_that_is_brought_keeps_the_next_event_quiet(redis_server: RedisServer, tmp_path: Path) -> None:
    fleet = Fleet(redis_server, tmp_path)
    agent, law = fleet.agent(), SuppressionLaw(1_000)

    def event(number: int, time_ms: int) -> Verdict:
        (claim,) = claim_all(agent, [Wanted(RULE, ("x",), Occurrence(time_ms, f"e{number}"), law)])
        agent.confirm([claim]).result(TIMEOUT_S)
        return claim.verdict

    try:
        first = event(1, 100)
        with closing(open_state(redis_server, fleet.prefix)) as state:
            state.absorb([], [Entry(RULE.key, ("x",), Window(1_900, 2_000, "elsewhere", 4))])
        second = event(2, 2_100)
        window = agent.get(RULE.key, ("x",))
    finally:
        fleet.close()

    assert (first, second) == (Verdict.NEW, Verdict.KNOWN)
    assert window == Window(1_900, 2_100, "elsewhere", 5)


def test_what_is_forgotten_leaves_leases_where_they_are(redis_server: RedisServer, tmp_path: Path) -> None:
    fleet = Fleet(redis_server, tmp_path)
    agent = fleet.agent()
    try:
        (first,) = claim_all(agent, [Wanted(RULE, ("ada",), Occurrence(1, "e1"), LAW)])
        agent.confirm([first]).result(TIMEOUT_S)
        (second,) = claim_all(agent, [Wanted(RULE, ("ada",), Occurrence(100, "e2"), LAW)])
        with closing(open_state(redis_server, fleet.prefix)) as state:
            state.forget(RULE.key, [("ada",), ("nobody",)])
            key = state._terms + state_key(RULE.key, ("ada",))
            left = redis_server.call("HKEYS", key)
            nothing = state.get(RULE.key, ("ada",))
            agent.confirm([second]).result(TIMEOUT_S)
            after = state.get(RULE.key, ("ada",))
    finally:
        fleet.close()

    assert (first.verdict, second.verdict) == (Verdict.NEW, Verdict.NEW)
    assert sorted(left) == [b"d", b"o"]  # type: ignore[call-overload]
    assert nothing is None
    assert after == Sighting(100, 100, 1, "e2", "e2"), "the alert that was on its way is remembered"


def test_a_history_that_is_forgotten_begins_anew(state: Merging) -> None:
    state.absorb([History(RULE, 5)], [sighting("ada")])

    state.forget_history(RULE.key)

    assert list(state.rules()) == []
    assert state.register([RULE], 9) == [9]
    assert list(state.entries()) == [sighting("ada")]


def test_a_state_is_made_once(redis_server: RedisServer, state: Merging) -> None:
    state.absorb([], [sighting("ada")])
    state.begin()

    assert state.is_there()
    assert list(state.entries()) == [sighting("ada")]
    assert redis_server.call("PTTL", state._prefix + b"schema") == -1
