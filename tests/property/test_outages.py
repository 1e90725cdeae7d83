"""Agents that go alone while the servers are away raise the alerts that they should: no outage loses one or repeats it.

Each play is drawn from its number. What happened stands in the failure.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from firstseen.detect.law import Law, Occurrence
from firstseen.detect.new_terms import NewTermsLaw, Sighting
from firstseen.detect.suppression import SuppressionLaw
from firstseen.detect.threshold import ThresholdLaw
from firstseen.errors import StoreError
from firstseen.model import Verdict
from firstseen.store.base import Claim, ClaimLost, Entry, History, NotReservedError, RuleState, Wanted
from firstseen.store.lmdb import LmdbStore
from firstseen.store.redis import fallback, link
from firstseen.store.redis.fallback import Fallback
from firstseen.store.redis.owner import Owner
from firstseen.store.redis.reservation import Reservation
from firstseen.store.redis.store import RedisStore
from support.redis import RedisServer, new_prefix

pytestmark = [pytest.mark.crash, pytest.mark.redis]

LONG = 60
AWAY_S = 0.1
LEASE_MS = 30_000
MAP_SIZE = 1 << 22
SILENCE_MS = 20
LAWS: dict[str, Law[Any]] = {
    "new_terms": NewTermsLaw(SILENCE_MS),
    "threshold": ThresholdLaw(3, 0, 2 * SILENCE_MS, SILENCE_MS),
    "suppression": SuppressionLaw(SILENCE_MS),
}
DAY_MS = 86_400_000  # nothing expires meanwhile
RULES = {name: RuleState(name[:8].encode(), name, name, DAY_MS) for name in LAWS}

SEEDS = [*range(4), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 16))]


class Slow(LmdbStore):
    """A copy on a disk that takes its time."""

    def absorb(self, histories: Sequence[History], entries: Sequence[Entry]) -> None:
        time.sleep(0.02)
        super().absorb(histories, entries)


class Scene:
    """A server that comes and goes, and what happens there, drawn by ``chance``; ``story`` tells of it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self.chance = random.Random(seed)
        monkeypatch.setattr(link, "TIMEOUT_S", 0.5)
        monkeypatch.setattr(fallback, "TEND_S", self.chance.choice([0.02, 0.3]))
        self.folder = folder
        (folder / "server").mkdir()
        self.server = RedisServer(folder / "server")
        self.prefix = new_prefix()
        self.is_there = True
        self._hangs = False
        self.now_ms = 1_000_000
        self.story: list[str] = []

    def tell(self, *what: object) -> None:
        self.story.append(" ".join(map(str, what)))

    def open(self, name: str) -> Fallback:
        folder = self.folder / name
        copy = Slow.open(folder, MAP_SIZE, durable=False, alone=True)

        def part() -> RedisStore:
            return RedisStore(self.server.link(), self.prefix, Owner.take(folder), LEASE_MS)

        store = Fallback(part, copy, lambda _: None, lambda _: None, AWAY_S, tell_of_copy=lambda _: None)
        for _ in range(100):
            try:
                store.register(RULES.values(), 1)
            except StoreError:  # it went away in that moment
                time.sleep(AWAY_S / 5)
            else:
                break
        return store

    def turn(self) -> None:
        """The server goes away, or comes back."""
        self.is_there = not self.is_there
        if self.is_there:
            self.server.signal(signal.SIGCONT) if self._hangs else self.server.start()
        else:
            self._hangs = self.chance.random() < 0.3
            self.server.signal(signal.SIGSTOP) if self._hangs else self.server.kill()
        self.tell("the server", "is back" if self.is_there else "hangs" if self._hangs else "is gone")

    def pass_time(self) -> None:
        self.now_ms += self.chance.choice([0, 1, 1, 3, 7, 50])

    def wait(self) -> None:
        """For somebody to notice, or not."""
        time.sleep(self.chance.choice([0.0, 0.0, 0.03, 0.1, 0.3]))

    def close(self) -> None:
        self.server.kill()


def judged(store: Fallback, wanted: Wanted) -> Claim:
    for _ in range(10):
        reservation = store.reservation()
        reservation.add(wanted)
        try:
            reservation.ask().result(LONG)
            return store.claim(*wanted)
        except NotReservedError:  # it goes alone in that moment
            continue
        finally:
            reservation.end()
    raise AssertionError("it is reserved and not reserved, again and again")


@pytest.mark.parametrize("seed", SEEDS)
def test_one_agent_judges_as_if_the_server_were_always_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    with closing(Scene(tmp_path, monkeypatch, seed)) as scene:
        store = scene.open("a")
        memories: dict[tuple[str, str], Any] = {}
        alerts = 0
        for number in range(80):
            dice = scene.chance.random()
            if dice < 0.1:
                scene.turn()
            elif dice < 0.14:
                store.close()
                scene.tell("it is started anew")
                store = scene.open("a")
            elif dice < 0.25:
                scene.wait()
            else:
                scene.pass_time()
                place = name, term = scene.chance.choice(list(LAWS)), scene.chance.choice("xyz")
                law, occurrence = LAWS[name], Occurrence(scene.now_ms, f"e{number}")
                should = law.judge(memories.get(place), occurrence)
                alerts += should is Verdict.NEW
                wanted = Wanted(RULES[name], (term,), occurrence, law)
                delivered = False
                while not delivered:
                    claim = judged(store, wanted)
                    scene.tell(*wanted[1:3], name, claim.verdict, "alone" if claim.alone else "", "for", should)
                    assert claim.verdict is should, "\n".join(scene.story)
                    delivered = scene.chance.random() < 0.9
                    if delivered:
                        store.confirm([claim]).result(LONG)
                    else:
                        store.release([claim])
                memories[place] = law.remember(memories.get(place), occurrence, should)
        store.close()
        assert alerts


@dataclass(eq=False)
class Seen:
    """One event as an agent has judged it, the ``order``th time that anything was judged."""

    term: str
    time_ms: int
    event: str
    alerts: bool
    order: int
    is_delivered: bool = False
    is_durable: bool = False
    is_shared: bool = False

    def makes_known(self, occurrence: Occurrence) -> bool:
        return self.is_durable and occurrence.time_ms - self.time_ms <= SILENCE_MS and self.event != occurrence.event


@dataclass(eq=False)
class Chunk:
    """Events on their way through one agent, until they are remembered."""

    wanted: list[Wanted]
    reservation: Reservation | None = None
    asked: Future[None] | None = None
    known: list[Seen] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    confirmed: Future[None] | None = None


class Agent:
    """One of a fleet, with the chunks that are on their way through it and what it has seen."""

    def __init__(self, scene: Scene, name: str, seen: list[Seen]) -> None:
        self.scene = scene
        self.name = name
        self.everything = seen
        self.store = scene.open(name)
        self.chunks: list[Chunk] = []
        self.own: list[Seen] = []

    def tell(self, *what: object) -> None:
        self.scene.tell(self.name, "alone:" if self.store.is_alone else "shared:", *what)

    def take(self, numbers: Iterator[int]) -> None:
        number = next(numbers)
        terms = self.scene.chance.sample(
            [f"t{number // 5 + ahead}" for ahead in range(3)], self.scene.chance.choice([1, 2])
        )
        rule, law = RULES["new_terms"], LAWS["new_terms"]
        occurrence = Occurrence(self.scene.now_ms, f"e{number}")
        self.chunks.append(Chunk([Wanted(rule, (term,), occurrence, law) for term in terms]))

    def advance(self, chunk: Chunk, *, well: bool) -> None:
        """One step; ``well`` is whether it is delivered."""
        if chunk.asked is None:
            chunk.known = [seen for seen in self.everything if seen.is_shared]
            chunk.reservation = self.store.reservation()
            for wanted in chunk.wanted:
                chunk.reservation.add(wanted)
            chunk.asked = chunk.reservation.ask()
        elif not chunk.claims:
            if chunk.asked.done():
                chunk.asked.result()
                self.claim(chunk)
        elif chunk.confirmed is None:
            if well:
                for seen in chunk.seen:
                    seen.is_delivered = True
                self.tell("delivers", *(seen.event for seen in chunk.seen))
                chunk.confirmed = self.store.confirm(chunk.claims)
            else:
                self.tell("gives up", *(seen.event for seen in chunk.seen))
                self.store.release(chunk.claims)
                self.anew(chunk)
        elif chunk.confirmed.done():
            error = chunk.confirmed.exception()
            if error is None:
                self.remembers(chunk.seen)
                self.chunks.remove(chunk)
            else:
                assert isinstance(error, ClaimLost), "\n".join(self.scene.story)
                self.tell("lost", *(seen.event for seen in chunk.seen))
                # What relied on nothing is remembered all the same.
                pairs = zip(chunk.claims, chunk.seen, strict=True)
                self.remembers([seen for claim, seen in pairs if seen.alerts and claim.before is None])
                self.anew(chunk)

    def remembers(self, several: Sequence[Seen]) -> None:
        self.tell("remembers", *(seen.event for seen in several))
        for seen in several:
            seen.is_durable = True
            self.own.append(seen)

    def claim(self, chunk: Chunk) -> None:
        assert chunk.reservation is not None
        try:
            for wanted in chunk.wanted:
                chunk.claims.append(self.store.claim(*wanted))
        except NotReservedError:
            self.store.release(chunk.claims)
            chunk.reservation.end()
            self.anew(chunk)
            return
        chunk.reservation.end()
        for claim in chunk.claims:
            known = self.own if claim.alone else [*self.own, *chunk.known]
            time_ms, event, _ = claim.occurrence
            seen = Seen(str(claim.terms[0]), time_ms, event, claim.verdict is not Verdict.KNOWN, len(self.everything))
            self.tell("judges", seen.order, seen.term, time_ms, event, claim.verdict, "alone" if claim.alone else "")
            reasons = [each for each in known if each.term == seen.term and each.makes_known(claim.occurrence)]
            if claim.verdict is Verdict.NEW:
                assert not reasons, "\n".join([*self.scene.story, f"it is known by {reasons[0]}"])
            self.everything.append(seen)
            chunk.seen.append(seen)

    def anew(self, chunk: Chunk) -> None:
        """It comes again."""
        self.chunks[self.chunks.index(chunk)] = Chunk(chunk.wanted)

    def look(self) -> None:
        """Whether all that it remembers is shared by now."""
        if not self.store.is_alone and not self.store._owed and not self.store.is_alone:
            for seen in self.own:
                seen.is_shared = True

    def end(self, *, killed: bool) -> None:
        """It ends, and is there again. Where it is killed, what was not copied yet is known on the servers alone."""
        self.tell("is killed" if killed else "is started anew")
        kill(self.store) if killed else self.store.close()
        for chunk in self.chunks[:]:
            if chunk.confirmed is not None and chunk.confirmed.done() and chunk.confirmed.exception() is None:
                self.advance(chunk, well=True)
            else:
                self.anew(chunk)
        lost = {entry.terms[0] for entry in self.store._copying._waiting.values()}
        self.own = [seen for seen in self.own if seen.term not in lost]
        self.store = self.scene.open(self.name)


def kill(store: Fallback) -> None:
    """Have it end without giving back or copying anything more."""
    store._closing.set()
    store._stir.set()
    store._tender.join()
    store._watcher.join()
    store._shared._courier.close()
    store._shared._prolonging.close()
    store._shared._link.close()
    store._shared._owner.release()
    store.copy.close()


def chains(seen: list[Seen]) -> list[list[Seen]]:
    """Those of one term, in the order of time, apart where nothing was seen for so long that the next is news."""
    found: list[list[Seen]] = []
    for each in sorted(seen, key=lambda each: each.time_ms):
        if found and each.time_ms - found[-1][-1].time_ms <= SILENCE_MS:
            found[-1].append(each)
        else:
            found.append([each])
    return found


def unalerted(seen: list[Seen]) -> list[Seen]:
    """What was news, of one term, and raised no alert that was delivered. What comes late is no news."""
    for chain in chains([each for each in seen if each.is_durable or (each.is_delivered and each.alerts)]):
        if any(each.alerts for each in chain):
            continue
        later = [each.order for each in seen if each.time_ms > chain[-1].time_ms]
        if min(later, default=len(seen)) > min(each.order for each in chain):
            return chain
    return []


def until(true: Callable[[], bool], scene: Scene) -> None:
    deadline = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < deadline, "\n".join(scene.story)
        time.sleep(0.005)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_agents_each_raises_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    with closing(Scene(tmp_path, monkeypatch, seed)) as scene:
        chance, numbers = scene.chance, count()
        everything: list[Seen] = []
        agents = [Agent(scene, name, everything) for name in "ab"]
        for _ in range(250):
            agent, dice = chance.choice(agents), chance.random()
            if dice < 0.03:
                scene.turn()
            elif dice < 0.05:
                agent.end(killed=chance.random() < 0.5)
            elif dice < 0.1:
                scene.wait()
            elif dice < 0.35 and len(agent.chunks) < 5:
                scene.pass_time()
                agent.take(numbers)
            elif agent.chunks:
                agent.advance(chance.choice(agent.chunks), well=chance.random() < 0.7)
            for each in agents:
                each.look()
        if not scene.is_there:
            scene.turn()

        def is_over() -> bool:
            for agent in agents:
                for chunk in agent.chunks[:]:
                    agent.advance(chunk, well=True)
            return not any(agent.chunks or agent.store.is_alone or agent.store._owed for agent in agents)

        until(is_over, scene)
        for term in {each.term for each in everything}:
            seen = [each for each in everything if each.term == term]
            assert not unalerted(seen), "\n".join([*scene.story, f"no alert: {unalerted(seen)}"])
            for agent in agents:
                memory = agent.store.get(RULES["new_terms"].key, (term,))
                durable = [each.time_ms for each in seen if each.is_durable]
                if durable:
                    assert isinstance(memory, Sighting), "\n".join(scene.story)
                    assert memory.first_seen <= min(durable), "\n".join(scene.story)
                    assert memory.last_seen >= max(durable), "\n".join(scene.story)
        for agent in agents:
            agent.store.close()
