"""The books of a run: what was sent, what was acked and when, what downstream took and when, and the verdict on it.

Nothing here knows a process or a socket. Times are in nanoseconds of one clock that all processes share, so that an ack
that came before its chunk was delivered is found even where a retry delivered the chunk in the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields

MOST_TOLD = 5
"""Problems of one kind that are told; the counts hold all of them."""


@dataclass(frozen=True, slots=True)
class SentRecord:
    """``digest`` is of its time and content; ``identity`` is who it makes known, None for a record without a match."""

    id: str
    digest: bytes
    identity: str | None = None


@dataclass(frozen=True, slots=True)
class SentChunk:
    """``channel`` is the connection that it belongs to; chunks of one channel are sent, and sent again, in order.

    A ``poison`` cannot be read, and so has no records: it belongs into the quarantine. ``digest`` is of the frame.
    """

    id: str
    channel: int
    tag: str
    records: Sequence[SentRecord] = ()
    poison: bool = False
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class TakenRecord:
    """A record as it arrived; ``digest`` is of all but the ``alerts``, which are the ids of its labels."""

    id: str
    digest: bytes
    alerts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Take:
    """A frame that a server took at ``time_ns``: before it acked it."""

    time_ns: int
    chunk: str
    tag: str
    records: Sequence[TakenRecord]


@dataclass(slots=True)
class Counts:
    """What a run came to; `MUST_BE_NONE` says what has to be 0."""

    chunks: int = 0
    sent: int = 0
    acked: int = 0
    delivered: int = 0
    repeated: int = 0
    kept: int = 0
    lost: int = 0
    early: int = 0
    changed: int = 0
    strange: int = 0
    alerts_expected: int = 0
    alerts_delivered: int = 0
    alerts_repeated: int = 0
    alerts_lost: int = 0
    alerts_early: int = 0
    alerts_doubled: int = 0
    ids_differ: int = 0
    remembered: int = 0
    forgotten: int = 0
    unalerted: int = 0

    def __iadd__(self, other: Counts) -> Counts:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self


MUST_BE_NONE = (
    "lost",
    "early",
    "changed",
    "strange",
    "alerts_lost",
    "alerts_early",
    "alerts_doubled",
    "ids_differ",
    "forgotten",
    "unalerted",
)


@dataclass(slots=True)
class Verdict:
    """The counts, and what is wrong in words."""

    counts: Counts = field(default_factory=Counts)
    problems: list[str] = field(default_factory=list)

    def find(self, kind: str, findings: Iterable[str]) -> None:
        """Count the findings as ``kind``, and tell the first ones."""
        told = list(findings)
        setattr(self.counts, kind, getattr(self.counts, kind) + len(told))
        self.problems += [f"{kind}: {each}" for each in told[:MOST_TOLD]]
        if len(told) > MOST_TOLD:
            self.problems.append(f"{kind}: and {len(told) - MOST_TOLD} more")


class Ledger:
    """Filled while a run lasts, asked for its `verdict` when all is quiet."""

    def __init__(self) -> None:
        self.chunks: dict[str, SentChunk] = {}
        self._handed_over: dict[str, int] = {}
        self._acked: dict[str, int] = {}
        self._takes: list[Take] = []
        self._kept: set[bytes] = set()
        self._remembered: set[str] = set()

    def sent(self, chunk: SentChunk) -> None:
        """It is in the spool of its channel."""
        self.chunks[chunk.id] = chunk

    def handed_over(self, chunk: str, time_ns: int) -> None:
        """Its first byte is about to leave; told once for each attempt."""
        self._handed_over.setdefault(chunk, time_ns)

    def acked(self, chunk: str, time_ns: int) -> None:
        """The agent acked it; maybe not for the first time."""
        self._acked.setdefault(chunk, time_ns)

    def took(self, take: Take) -> None:
        """A server took a frame."""
        self._takes.append(take)

    def kept(self, digest: bytes) -> None:
        """The quarantine holds the frame with this digest."""
        self._kept.add(digest)

    def remembered(self, identity: str) -> None:
        """The state knows this one when all is over."""
        self._remembered.add(identity)

    def unacked(self) -> list[str]:
        """The chunks that are still to be acked."""
        return [chunk for chunk in self.chunks if chunk not in self._acked]

    def verdict(self) -> Verdict:
        """What all this comes to, the run being over."""
        verdict = Verdict()
        self._takes.sort(key=lambda take: take.time_ns)
        self._judge_records(verdict)
        self._judge_alerts(verdict)
        return verdict

    def _judge_records(self, verdict: Verdict) -> None:
        home = {record.id: (chunk, record) for chunk in self.chunks.values() for record in chunk.records}
        first_taken: dict[str, int] = {}
        copies = 0
        changed, strange, differ = [], [], []
        for take in self._takes:
            for record in take.records:
                if record.id not in home:
                    strange.append(f"nobody sent record {record.id}")
                    continue
                copies += 1
                first_taken.setdefault(record.id, take.time_ns)
                chunk, sent = home[record.id]
                if record.digest != sent.digest or take.tag != chunk.tag:
                    changed.append(f"record {record.id} is not as it was sent")
                if take.chunk != chunk.id:
                    differ.append(f"record {record.id} of chunk {chunk.id} came in one called {take.chunk}")
        counts = verdict.counts
        counts.chunks = len(self.chunks)
        counts.sent = len(home)
        counts.delivered = len(first_taken)
        counts.repeated = copies - len(first_taken)
        verdict.find("changed", changed)
        verdict.find("strange", strange)
        verdict.find("ids_differ", differ)
        verdict.find(
            "strange", (f"an ack for {chunk}, which nobody sent" for chunk in self._acked.keys() - self.chunks)
        )
        self._judge_acks(verdict, first_taken)

    def _judge_acks(self, verdict: Verdict, first_taken: Mapping[str, int]) -> None:
        lost, early = [], []
        for chunk in self.chunks.values():
            safe_elsewhere = chunk.digest in self._kept
            verdict.counts.kept += safe_elsewhere
            acked_ns = self._acked.get(chunk.id)
            if chunk.poison and acked_ns is not None and not safe_elsewhere:
                lost.append(f"chunk {chunk.id} was acked, and the quarantine does not have it")
            if acked_ns is None:
                lost += [f"record {record.id} of chunk {chunk.id}, never acked" for record in chunk.records]
                continue
            verdict.counts.acked += len(chunk.records)
            for record in () if safe_elsewhere else chunk.records:
                taken_ns = first_taken.get(record.id)
                if taken_ns is None:
                    lost.append(f"record {record.id} of chunk {chunk.id}, which was acked")
                elif taken_ns > acked_ns:
                    early.append(f"chunk {chunk.id} was acked before its record {record.id} was delivered")
        verdict.find("lost", lost)
        verdict.find("early", early)

    def _judge_alerts(self, verdict: Verdict) -> None:
        sightings = {
            record.id: (record.identity, chunk)
            for chunk in self.chunks.values()
            for record in chunk.records
            if record.identity is not None
        }
        ids: dict[str, set[str]] = defaultdict(set)  # by event
        first_alerts: dict[str, dict[str, int]] = defaultdict(dict)  # by identity, then event
        copies, strange = 0, []
        for take in self._takes:
            for record in take.records:
                if record.alerts and record.id not in sightings:
                    strange.append(f"record {record.id} has an alert and no match")
                elif record.alerts:
                    identity, _ = sightings[record.id]
                    copies += 1
                    ids[record.id].update(record.alerts)
                    first_alerts[str(identity)].setdefault(record.id, take.time_ns)
        counts = verdict.counts
        counts.alerts_delivered = sum(map(len, first_alerts.values()))
        counts.alerts_repeated = copies - counts.alerts_delivered
        verdict.find("strange", strange)
        verdict.find("ids_differ", (f"event {event} has alerts {each}" for event, each in ids.items() if len(each) > 1))
        owners: dict[str, list[str]] = defaultdict(list)
        for event, alerts in ids.items():
            for alert in alerts:
                owners[alert].append(event)
        shared = ((alert, events) for alert, events in owners.items() if len(events) > 1)
        verdict.find("ids_differ", (f"alert {alert} is that of {events}" for alert, events in shared))
        self._judge_sightings(verdict, first_alerts, sightings)

    def _judge_sightings(
        self,
        verdict: Verdict,
        first_alerts: Mapping[str, Mapping[str, int]],
        sightings: Mapping[str, tuple[str | None, SentChunk]],
    ) -> None:
        """Each identity has its alert before a chunk that sights it is acked; no other event alerts after that.

        What was acked is in the state, and nobody is who had no alert.
        """
        known_ns: dict[str, int] = {}
        channels: dict[str, set[int]] = defaultdict(set)
        for identity, chunk in sightings.values():
            assert identity is not None
            channels[identity].add(chunk.channel)
            acked_ns = self._acked.get(chunk.id)
            if acked_ns is not None and chunk.digest not in self._kept:
                known_ns[identity] = min(acked_ns, known_ns.get(identity, acked_ns))
        verdict.counts.alerts_expected = len(known_ns)
        lost, early, doubled = [], [], []
        for identity, acked_ns in known_ns.items():
            alerts = first_alerts.get(identity, {})
            if not alerts:
                lost.append(f"{identity} never had an alert")
            elif min(alerts.values()) > acked_ns:
                early.append(f"{identity} was acked before its alert was delivered")
            late = [event for event in alerts if self._handed_over.get(sightings[event][1].id, 0) > acked_ns]
            if late:
                doubled.append(f"{identity} was known, and yet {late} alerted")
            elif len(alerts) > 1 and len(channels[identity]) == 1:
                doubled.append(f"{identity} came in order, and yet alerted for {list(alerts)}")
        verdict.counts.remembered = len(self._remembered)
        verdict.find(
            "forgotten", (f"{name} was acked, and is not in the state" for name in known_ns.keys() - self._remembered)
        )
        verdict.find(
            "unalerted",
            (
                f"{name} is in the state, and never had an alert"
                for name in self._remembered
                if name not in first_alerts
            ),
        )
        verdict.find("alerts_lost", lost)
        verdict.find("alerts_early", early)
        verdict.find("alerts_doubled", doubled)
