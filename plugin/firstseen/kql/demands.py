"""What a query demands of one field: the comparisons of which a matching record fulfils one, where there are only some.

A rule about the call of an API is asked of records of that call alone; for all others its predicate need not be run.
It errs to one side only: a record may fulfil a demand and not match. Held by a property test against ``naive``.
"""

from __future__ import annotations

from collections.abc import Sequence

from firstseen.kql.ast import And, Is, Node, Or


def demanded(node: Node, field: str) -> Sequence[Is] | None:
    """Comparisons of ``field`` of which each record that ``node`` matches fulfils one; None where there are none.

    Each is fulfilled by one value of the field, whatever others are beside it, and never by a record without a value.
    """
    match node:
        case And(children):
            found = (demanded(child, field) for child in children)
            return min((each for each in found if each is not None), key=len, default=None)
        case Or(children):
            every: list[Is] = []
            for child in children:
                each = demanded(child, field)
                if each is None:
                    return None
                every += each
            return every
        case Is(name) if name == field:
            return [node]
        case _:
            return None
