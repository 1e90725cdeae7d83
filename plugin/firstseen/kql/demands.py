"""What a query demands of one field: the texts of which a matching record has one there, where there are only some.

A rule about the call of an API is asked of records of that call alone; for all others its predicate need not be run.
It errs to one side only: a record may have a demanded text and not match. Held by a property test against ``naive``.
"""

from __future__ import annotations

from firstseen.kql.ast import And, Is, Literal, Members, Node, Or


def demanded(node: Node, field: str) -> frozenset[str] | None:
    """The texts of which each record that ``node`` matches has one under ``field``, a keyword; None for any or none.

    Values of a keyword are told apart by their text, as `firstseen.kql.scalars.text_of` gives it.
    """
    match node:
        case And(children):
            found = (demanded(child, field) for child in children)
            return min((each for each in found if each is not None), key=len, default=None)
        case Or(children):
            union: set[str] = set()
            for child in children:
                each = demanded(child, field)
                if each is None:
                    return None
                union |= each
            return frozenset(union)
        case Is(name, Literal(text)) if name == field:
            return frozenset((text,))
        case Is(name, Members(_, texts)) if name == field:
            return frozenset(texts)
        case _:
            return None
