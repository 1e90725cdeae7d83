"""How a memory lies in Redis: one hash per term, under the prefix, ``t:`` and its key, with fields of one letter.

=========  ==================================================================================================
f, l       first and last seen, in milliseconds; of a sighting
c          its count
e, g       the event that alerted, and the last one
t          the terms, as `firstseen.store.codec.pack_terms` writes them
m          any other memory, with its terms, as `firstseen.store.codec.pack_memory` writes them
o, d       who has the lease, and until when
q, r       who is next, and until when
w          the token of the last writing
=========  ==================================================================================================

The numbers of a sighting are decimal: the scripts count with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from firstseen.detect.new_terms import Sighting
from firstseen.model import TermValue
from firstseen.store.base import Memory
from firstseen.store.codec import pack_memory, pack_terms, unpack_memory, unpack_terms

MEMORY = (b"f", b"l", b"c", b"e", b"g", b"m")
"""The fields of a memory, in the order in which the scripts answer them."""

WHOLE = (*MEMORY, b"t")
"""With its terms."""

WRITTEN = (*WHOLE, b"w")
"""With the token: all that goes when a term is forgotten. Leases stay."""

Values = Sequence[bytes | None]


def memory_of(values: Values) -> Memory | None:
    """The memory in the values of ``MEMORY``; None where there is none. Raises `ValueError` where it is no memory."""
    first, last, count, alerted, latest, packed = values
    if packed is not None:
        return unpack_memory(packed)[0]
    if first is None:
        return None
    if last is None or count is None or alerted is None or latest is None:
        raise ValueError("a part of it is missing")
    return Sighting(int(first), int(last), int(count), text(alerted), text(latest))


def terms_in(values: Values) -> tuple[TermValue, ...]:
    """The terms in the values of ``WHOLE``. Raises `ValueError` where there are none."""
    packed, terms = values[-2:]
    if packed is not None:
        return unpack_memory(packed)[1]
    if terms is None:
        raise ValueError("its terms are missing")
    return unpack_terms(terms)


def fields_of(memory: Memory | None, terms: Sequence[TermValue]) -> Mapping[bytes, bytes | None]:
    """What each field of ``WHOLE`` holds then."""
    fields: dict[bytes, bytes | None] = dict.fromkeys(WHOLE)
    if isinstance(memory, Sighting):
        numbers = (memory.first_seen, memory.last_seen, memory.count)
        fields.update(zip((b"f", b"l", b"c"), (b"%d" % number for number in numbers), strict=True))
        fields.update({b"e": raw(memory.event), b"g": raw(memory.last_event), b"t": pack_terms(terms)})
    elif memory is not None:
        fields[b"m"] = pack_memory(memory, terms)
    return fields


def raw(event: str) -> bytes:
    """An event's name: any text that Python can hold."""
    return event.encode("utf-8", "surrogatepass")


def text(event: bytes) -> str:
    """The same back. Raises `ValueError`."""
    return event.decode("utf-8", "surrogatepass")
