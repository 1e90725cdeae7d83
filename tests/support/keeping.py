"""Rules that are kept as the agent keeps them, in one thread: the test says what time it is, and when work is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from firstseen import config
from firstseen.copies import Copies
from firstseen.engine import Engine
from firstseen.errors import StoreError
from firstseen.metrics import Counts, Reloads
from firstseen.provisions import provide
from firstseen.reloading import Reloading
from firstseen.rulekeeper import RuleKeeper
from firstseen.rules.loader import Known
from firstseen.rules.reading import Reading
from firstseen.store.compaction import Sizes
from firstseen.store.lmdb import LmdbStore
from firstseen.upkeep import Upkeep
from support.documents import Document
from support.rulebook import rule_text

CALL = Document({"event.action": "explain", "user.name": "ada"})


class Aside:
    """Does at once what belongs beside the loop, or when the test says so: ``waiting`` is what it holds then."""

    def __init__(self) -> None:
        self.holds = False
        self.waiting: list[Callable[[], None]] = []

    def run(self, work: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        def both() -> None:
            done: Future[Any] = Future()
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001  # as an executor does
                done.set_exception(error)
            then(done)

        if self.holds:
            self.waiting.append(both)
        else:
            both()

    def give_way(self) -> None:
        """Nobody has to be served."""

    def go_on(self) -> None:
        """Do what waits, and what comes of that at once."""
        self.holds = False
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each()


class Room:
    """A state that does what it is told, or fails with ``error``."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.file_size = 0
        self.error: StoreError | None = None

    def resize(self, map_size: int) -> Future[int]:
        self.sizes.append(map_size)
        return self.ended(max(map_size, self.file_size))

    def compact(self) -> Future[Sizes]:
        return self.ended(Sizes(8_192, 4_096))

    def ended(self, result: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.error is None:
            future.set_result(result)
        else:
            future.set_exception(self.error)
        return future


class Timers:
    """A loop's timers, of which the test says when they are due; and its clock."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.set: list[tuple[float, Callable[[], None], Timer]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer()
        self.set.append((seconds, call, timer))
        return timer

    @property
    def waiting(self) -> list[float]:
        return [seconds for seconds, _, timer in self.set if not timer.cancelled]

    def pass_by(self, milliseconds: int) -> None:
        """Let time pass, and call what is set."""
        self.now_ms += milliseconds
        (call,) = [call for _, call, timer in self.set if not timer.cancelled]
        self.set.clear()
        call()


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Bench:
    """A configuration on disk, and the engine that runs its rules."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rules").mkdir()
        (folder / "exceptions").mkdir()
        self.configure()
        self.write("rules/a.toml", rule_text("event.action: explain", ["user.name"]))
        self.timers = Timers()
        self.aside = Aside()
        self.reloads = Reloads()
        self.upkeep: Upkeep | None = None
        self.kept: list[Sequence[Reading]] = []
        """What was put away for the next start."""
        self.told: list[str] = []
        """What the service manager and the log were told."""
        self.store = LmdbStore.open(folder / "state", 1 << 22, durable=False)
        self.copies = Copies(folder / "state")

    def close(self) -> None:
        self.store.close()
        self.copies.close()

    def configure(self, more: str = "") -> None:
        self.write("firstseen.toml", f'[rules]\npaths = ["rules"]\nexceptions = ["exceptions"]\n{more}')

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def start(self) -> RuleKeeper:
        """The keeper of the rules as they are configured, and what loads them anew: ``reloading``."""
        settings = config.load(self.folder / "firstseen.toml")
        known = Known()
        provisions = provide(settings, self.timers.now_ms, known)
        self.engine = Engine(provisions.rules, self.store, Counts(), self.now_ms, provisions.geoip, provisions.policy)
        keeper = RuleKeeper(self.engine, self.now_ms, self.timers.call_later, self.aside.run)
        self.reloading = Reloading(
            settings,
            provisions.tls,
            engine=self.engine,
            keeper=keeper,
            upkeep=self.upkeep,
            aside=self.aside,
            reloads=self.reloads,
            known=known,
            keep=lambda: self.kept.append(known.readings),
            copies=self.copies,
            now_ms=self.now_ms,
            begun=lambda: self.told.append("begun"),
            over=lambda: self.told.append("over"),
            set_up_logs=lambda config: self.told.append(config.log.level),
        )
        return keeper

    def now_ms(self) -> int:
        return self.timers.now_ms

    def matches(self) -> bool:
        return bool(self.engine.rules.matches(CALL))
