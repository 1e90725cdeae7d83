"""What holds for the trace of every query on every record."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings

from firstseen.kql import Trace, ast, compile_trace
from firstseen.kql.naive import evaluate
from firstseen.model import Fields
from support import kql_typed
from support.documents import Document


def check(trace: Trace, fields: Fields, field_type: Callable[[str], str], path: str = "") -> None:
    """Every node of ``trace`` says what the naive evaluator says of it, and shows the values that it saw."""
    node = trace.node
    assert trace.verdict is evaluate(node, fields, field_type), node
    for found in trace.found:
        name = found.field.removeprefix(path)
        assert (found.values, found.exists) == (tuple(fields.values(name)), fields.exists(name))
    match node:
        case ast.And(children) | ast.Or(children):
            assert [child.node for child in trace.children] == list(children)
        case ast.Not(child):
            assert [each.node for each in trace.children] == [child]
        case ast.Nested(str(inner)) if trace.children:
            objects = fields.nested(inner)
            for child_trace, each in zip(trace.children, objects, strict=True):
                check(child_trace, each, lambda name: field_type(f"{inner}.{name}"), f"{path}{inner}.")
            return
        case _:
            assert not trace.children
    for child_trace in trace.children:
        check(child_trace, fields, field_type, path)


@given(kql_typed.trees(), kql_typed.documents())
@settings(max_examples=200)
def test_every_node_says_what_the_naive_evaluator_says(tree, source):
    """For every tree and every document, whatever the types of the fields."""
    document = Document(source, kql_typed.field_type)
    check(compile_trace(tree, "", kql_typed.field_type)(document), document, kql_typed.field_type)
