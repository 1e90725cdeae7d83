"""KQL, the query language of Elastic's detection rules, as a language of its own: it knows no rule and no record.

The path of a query: ``lexer`` reads words and signs off the text, ``parser`` builds the tree defined in ``ast``,
``compiler`` turns the tree into a predicate over ``model.Fields``, comparing values as ``kinds`` says for the type of
their field, and ``needles`` names byte strings without which no record can match. ``naive`` says in the plainest way
what a tree means; the other two are held against it. ``remarks`` tells what a query asks in vain, and ``trace`` what
each of its parts says of one record.

The grammar is Kibana's, which is the authority for what a rule means. Where Elasticsearch's own ``kql`` query or other
parsers are laxer, they are not followed. The language is specified by the cases in ``tests/spec/kql/``.
"""

from firstseen.kql.ast import render
from firstseen.kql.compiler import compile_query
from firstseen.kql.needles import needles
from firstseen.kql.parser import parse
from firstseen.kql.remarks import Remark, faults_of, limits_of
from firstseen.kql.trace import Trace, compile_trace

__all__ = [
    "Remark",
    "Trace",
    "compile_query",
    "compile_trace",
    "faults_of",
    "limits_of",
    "needles",
    "parse",
    "render",
]
