"""Loads anew what is configured while the agent runs: all of it, or nothing where something is wrong.

What takes long, reading and compiling, happens beside the event loop; what is ready takes the place of what was there
between two records. And the same, without the last step, tells beforehand what a reload would do.
"""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from firstseen import config
from firstseen.changes import Changes, changes, running_now
from firstseen.config import Config, taken, written
from firstseen.configuredrules import tell_of
from firstseen.copies import Copies
from firstseen.engine import Engine
from firstseen.errors import ConfigError, FirstseenError
from firstseen.logs import event
from firstseen.metrics import Reloads
from firstseen.net import tls
from firstseen.net.tls import Contexts
from firstseen.provisions import Provisions, configuration, provide
from firstseen.rulekeeper import RuleKeeper
from firstseen.rules.loader import Known
from firstseen.running import Lineup, Running
from firstseen.upkeep import Upkeep

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Aside(Protocol):
    """See `firstseen.background.Background`."""

    def run(self, work: Callable[[], Result], then: Callable[[Future[Result]], None]) -> None:
        """Do ``work`` beside the loop, and call ``then`` in it with what came of that."""

    def give_way(self) -> None:
        """For work to call every now and then."""


class Fresh(Struct, frozen=True):
    """What was read anew: as it is ``wanted``, what it comes to as some of it waits for a restart, and the changes."""

    wanted: Config
    provisions: Provisions
    changes: Changes


class Reloading:
    """Lives in the event loop. ``running`` is the configuration that the agent runs by; rules of it are ``known``.

    Of its databases there are ``copies``. TLS is spoken with ``contexts``, which are renewed. ``begun`` is called when
    a reload begins and ``over`` when it has ended, which ``reloads`` tells of. ``set_up_logs`` is told of the
    configuration when it is another one. ``upkeep`` is None where the size of the state is no matter. ``keep`` is
    called beside the loop, when there may be more that is known for the next start.
    """

    def __init__(
        self,
        running: Config,
        contexts: Contexts,
        *,
        engine: Engine,
        keeper: RuleKeeper,
        upkeep: Upkeep | None,
        aside: Aside,
        reloads: Reloads,
        known: Known,
        keep: Callable[[], None],
        copies: Copies,
        now_ms: Callable[[], int],
        begun: Callable[[], None],
        over: Callable[[], None],
        set_up_logs: Callable[[Config], None],
    ) -> None:
        self._running = running
        self._tls = contexts
        self._engine = engine
        self._keeper = keeper
        self._upkeep = upkeep
        self._aside = aside
        self._reloads = reloads
        self._known = known
        self._keep = keep
        self._copies = copies
        self._now_ms = now_ms
        self._begun = begun
        self._over = over
        self._set_up_logs = set_up_logs
        self._busy = False
        self._again = False

    def reload(self) -> None:
        """Begin a reload, or have another one follow where one is under way: that may have read what is old by now."""
        if self._busy:
            self._again = True
            return
        self._busy, self._again = True, False
        self._begun()
        self._aside.run(partial(self._read, self._running.path), self._when_read)

    async def foretell(self, file: Path) -> Mapping[str, Any]:
        """What a reload would come to now if ``file`` were the configuration, for JSON; nothing is changed.

        ``refused`` is what is wrong; where nothing is, ``changes`` is what would be different, and ``rules`` how many
        would run. Not known is what only doing it shows, such as a state that cannot be written. Raises
        `FirstseenError` where no file can be called so, or where it is no plain one.
        """
        read: asyncio.Future[Future[Fresh]] = asyncio.get_running_loop().create_future()
        self._aside.run(lambda: self._read(self._as_known(file)), read.set_result)
        try:
            fresh = (await read).result()
        except ConfigError as error:
            return {"refused": [str(problem) for problem in error.problems]}
        return {"refused": [], "changes": fresh.changes.as_dict(), "rules": len(fresh.provisions.rules.rules)}

    def _as_known(self, file: Path) -> Path:
        """The path that SIGHUP reads where ``file`` is the same by another name: relative paths begin at the path."""
        try:
            if not stat.S_ISREG(file.stat().st_mode):  # a pipe would be waited for, and no reload done meanwhile
                raise FirstseenError(f"{file} is no plain file, and not read by the agent: write it into one")
            return self._running.path if file.samefile(self._running.path) else file
        except OSError:  # one of the two is not there: who reads it says so
            return file
        except ValueError as error:
            raise FirstseenError(f"{str(file)!a} cannot be the name of a file: {error}") from error

    def _read(self, file: Path) -> Fresh:
        """Beside the loop. Raises `ConfigError`, with what is wrong with anything."""
        wanted = configuration(file, self._now_ms(), self._aside.give_way)
        effective = taken(self._running, wanted)
        if wanted != effective:  # what waits for a restart must be fit for one
            tls.contexts(wanted)
        provisions = provide(effective, self._now_ms(), self._known, self._aside.give_way, self._copies)
        provisions.rules.get_ready(self._aside.give_way)
        running = [Running(rule, provisions.policy) for rule in provisions.rules.rules]
        before, after = running_now(self._running, self._engine.running()), running_now(effective, running)
        return Fresh(wanted, provisions, changes(before, after, written(wanted)))

    def _when_read(self, ended: Future[Fresh]) -> None:
        fresh = self._came_of(ended)
        if fresh is None:
            return
        if self._upkeep is None:
            self._line_up(fresh)
        else:  # before the rules: a new one may need the room
            self._upkeep.resize(fresh.provisions.config.state.map_size, partial(self._when_resized, fresh))

    def _when_resized(self, fresh: Fresh, problem: str | None) -> None:
        if problem is None:
            self._line_up(fresh)
        else:
            self._failed([str(config.located(fresh.wanted, "state.map_size", problem))])

    def _line_up(self, fresh: Fresh) -> None:
        found = fresh.provisions
        self._aside.run(
            lambda: self._engine.lineup(found.rules, found.policy, found.geoip, self._aside.give_way),
            partial(self._when_lined_up, fresh),
        )

    def _when_lined_up(self, fresh: Fresh, ended: Future[Lineup]) -> None:
        lineup = self._came_of(ended)
        if lineup is None:
            return
        found = fresh.provisions
        if self._running.log != found.config.log:
            self._set_up_logs(found.config)
        self._running = found.config
        self._tls.renew(found.tls)
        changed = self._keeper.use(lineup, found.now_ms)
        self._reloads.total += 1
        self._reloads.problems = ()
        self._reloads.loaded_ms = self._now_ms()
        # Hundreds of lines take as long as hundreds of records.
        self._aside.run(partial(self._tell, fresh, changed, lineup.now_ms), self._when_told)

    def _tell(self, fresh: Fresh, changed: Sequence[Running], now_ms: int) -> None:
        _tell(fresh, changed, now_ms)
        self._keep()

    def _when_told(self, ended: Future[None]) -> None:
        ended.result()
        self._ended()

    def _came_of(self, ended: Future[Result]) -> Result | None:
        """What came of a part of a reload; None where it failed, and the reload with it."""
        try:
            return ended.result()
        except ConfigError as error:
            self._failed([str(problem) for problem in error.problems])
        except FirstseenError as error:  # the state cannot be written
            self._failed([str(error)])
        except Exception as error:
            log.exception("a mistake of the program while it loaded anew")
            self._failed([f"a mistake of the program: {error!r}; the log has the rest"])
        return None

    def _failed(self, problems: Sequence[str]) -> None:
        """Something is wrong: all is as it was."""
        self._reloads.total += 1
        self._reloads.failed += 1
        self._reloads.problems = problems
        for problem in problems:
            event(log, logging.ERROR, "reload_problem", problem=problem)
        event(log, logging.ERROR, "reload_failed", kept=len(self._engine.rules.rules))
        self._ended()

    def _ended(self) -> None:
        self._busy = False
        self._over()
        if self._again:
            self.reload()


def _tell(fresh: Fresh, changed: Sequence[Running], now_ms: int) -> None:
    """What runs now and what is different, a line each; ``changed`` are the rules whose history is another one."""
    rules, found = fresh.provisions.rules, fresh.changes
    for each in changed:
        each.tell_change(now_ms)
    tell_of(fresh.provisions.notices)
    for rule in found.added:
        event(log, logging.INFO, "rule_added", rule=rule.id, name=rule.name)
    for rule in found.removed:
        event(log, logging.INFO, "rule_removed", rule=rule.id, name=rule.name)
    for rule in found.edited:
        event(log, logging.INFO, "rule_edited", rule=rule.id, name=rule.name)
    for setting in found.taken:
        event(log, logging.INFO, "setting_taken", setting=setting)
    for setting in found.waits:
        event(log, logging.WARNING, "setting_waits", setting=setting, reason="it is taken at the next start")
    event(log, logging.INFO, "reloaded", rules=len(rules.rules), **found.counts())
