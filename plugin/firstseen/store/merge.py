"""What two states know of the same terms, made one: in any order, in any number of steps, as often as one likes.

Each part of a sighting is the larger or the smaller of two by an order in which any two differ, so merging is
commutative, associative and idempotent (a property test holds it):

* ``first_seen`` is the earlier, ``last_seen`` the later;
* ``last_event`` and ``event`` go with the later ``last_seen``; where both are equal, with the larger event;
* ``count`` is the larger: what both counted cannot be told from what only one did, so it is a lower bound.

What threshold and suppression remember is short-lived and of one piece: the one that reaches further stays, whole.

Sightings of different events, out of past logs, are put `together`: that adds them up, and is not idempotent.
"""

from __future__ import annotations

from typing import assert_never

from firstseen.detect.new_terms import Sighting
from firstseen.detect.suppression import Window
from firstseen.detect.threshold import Bucket
from firstseen.store.base import History, Memory, RuleState
from firstseen.store.codec import pack_memory


def merged(one: Memory, other: Memory) -> Memory:
    """The memory of those that saw what either saw. Raises `ValueError` where they are not of one law."""
    if isinstance(one, Sighting) and isinstance(other, Sighting):
        last_seen, last_event, event = max(_end(one), _end(other))
        first_seen = min(one.first_seen, other.first_seen)
        return Sighting(first_seen, last_seen, max(one.count, other.count), event, last_event)
    if type(one) is not type(other):
        raise ValueError("one rule's memories are of two laws")
    return max(one, other, key=_reach)


def together(one: Memory, other: Memory) -> Sighting:
    """What both saw, where no event was seen by both: the earliest is the first, the latest the last, and all count.

    Events of one instant are told apart by their names. Commutative and associative. Raises `TypeError` where they
    are no sightings.
    """
    if not isinstance(one, Sighting) or not isinstance(other, Sighting):
        raise TypeError("only sightings can be added up")
    first_seen, event = min((one.first_seen, one.event), (other.first_seen, other.event))
    last_seen, last_event = max((one.last_seen, one.last_event), (other.last_seen, other.last_event))
    return Sighting(first_seen, last_seen, one.count + other.count, event, last_event)


def merged_history(one: History, other: History) -> History:
    """One history, that began when the earlier did, reaches as far as the farther, and has the name that sorts last."""
    rule_id, name = max((each.rule.rule_id, each.rule.name) for each in (one, other))
    reaches = [each.rule.reach_ms for each in (one, other) if each.rule.reach_ms is not None]
    rule = RuleState(one.rule.key, rule_id, name, max(reaches, default=None))
    return History(rule, min(one.since_ms, other.since_ms))


def _end(sighting: Sighting) -> tuple[int, str, str]:
    return sighting.last_seen, sighting.last_event, sighting.event


def _reach(memory: Memory) -> tuple[int, int, bytes]:
    """By time, then by how much was seen; the bytes decide what is left."""
    match memory:
        case Sighting():
            much = memory.count
        case Bucket():
            much = memory.events
        case Window():
            much = memory.suppressed
        case _ as unreachable:
            assert_never(unreachable)
    return memory.last_seen, much, pack_memory(memory, ())
