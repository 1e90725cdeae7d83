"""Runs the cases in ``kql/*.toml``; each file says at its head what its cases look like."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from firstseen.errors import KqlError
from firstseen.kql import ast, compile_query, faults_of, needles, parse, render
from firstseen.kql.naive import evaluate
from support.documents import Document
from support.second_kql import grammar
from support.second_kql.matching import Second

CASES = Path(__file__).parent / "kql"
RULES = Path(__file__).parents[2] / "../shared/rules"


VERDICTS = ("keyword", "addresses", "numbers", "dates", "texts", "nested", "unknown", "rejected")


def cases(*names: str) -> list[Any]:
    """The cases of the files; the types of a file hold for each of its cases beside its own."""
    files = {name: tomllib.loads((CASES / f"{name}.toml").read_text("utf-8")) for name in names}
    return [
        pytest.param(case | {"types": file.get("types", {}) | case.get("types", {})}, id=f"{name}-{number}")
        for name, file in files.items()
        for number, case in enumerate(file["case"], start=1)
    ]


def notation(node: ast.Node) -> list[Any]:
    """Write a tree as the case files do."""
    match node:
        case ast.MatchAll():
            return ["all"]
        case ast.And(children):
            return ["and", *map(notation, children)]
        case ast.Or(children):
            return ["or", *map(notation, children)]
        case ast.Not(child):
            return ["not", notation(child)]
        case ast.Is(name, value):
            return ["is", word(name), word(value)]
        case ast.Exists(name):
            return ["exists", word(name)]
        case ast.Range(name, op, value):
            return ["range", word(name), op, word(value)]
        case ast.Nested(path, child):
            return ["nested", word(path), notation(child)]
        case ast.FreeText(value):
            return ["text", word(value)]


def word(value: str | ast.Value) -> Any:
    match value:
        case ast.Literal(text, quoted):
            return {"quoted": text} if quoted else text
        case ast.Pattern(pieces):
            return {"pattern": list(pieces)}
        case ast.Boolean(flag):
            return flag
        case ast.Null():
            return {"null": True}
        case _:
            return value


def types(case: dict[str, Any]) -> Any:
    return lambda field: case["types"].get(field, "keyword")


@pytest.mark.parametrize("case", cases("conditions", "words", "chains"))
def test_tree(case):
    tree = parse(case["query"])
    assert notation(tree) == case["tree"], f"\ncase   {case}\ntree   {tree}"
    assert parse(render(tree)) == tree, f"\ncase   {case}\nprints {render(tree)!r}\ntree   {tree}"


@pytest.mark.parametrize("case", cases("errors"))
def test_what_is_no_query_is_none_in_the_second_language_either(case):
    assert grammar.parse(case["query"]) is None


@pytest.mark.parametrize("case", cases("errors", "unsupported"))
def test_error(case):
    with pytest.raises(KqlError) as raised:
        compile_query(parse(case["query"]), case["query"], types(case))
    assert (raised.value.what, raised.value.offset) == (case["error"], case["offset"]), f"\ncase {case}"


@pytest.mark.parametrize("case", cases("rejected"))
def test_faults(case):
    faults = faults_of(parse(case["query"]), types(case))
    assert [case["query"][slice(*fault.span)] for fault in faults] == case["faults"], f"\ncase {case}"


@pytest.mark.parametrize("case", cases(*VERDICTS))
def test_verdict(case):
    tree = parse(case["query"])
    compiled = compile_query(tree, case["query"], types(case))
    second, second_tree = Second(types(case)), grammar.parse(case["query"])
    verdicts = [(text, True) for text in case.get("match", [])] + [(text, False) for text in case.get("differ", [])]
    assert verdicts
    assert second_tree is not None
    for text, expected in verdicts:
        document = Document(json.loads(text), types(case))
        results = {
            "compiled": compiled(document),
            "naive": evaluate(tree, document, types(case)),
            "second": second.matches(second_tree, document.source),
        }
        assert set(results.values()) == {expected}, (
            f"\ncase     {case}\ndocument {text}\ntree     {tree}\nexpected {expected}\nresults  {results}"
        )


@pytest.mark.parametrize("case", cases("needles"))
def test_needles(case):
    tree = parse(case["query"])
    found = needles(tree, lambda field: field not in case.get("derived", []), types(case))
    expected = frozenset(map(str.encode, case["needles"])) if "needles" in case else None
    assert found == expected, f"\ncase     {case}\ntree     {tree}\nexpected {expected}\nfound    {found}"


@pytest.mark.skipif(not RULES.is_dir(), reason="Elastic's rules are not beside this checkout")
def test_every_rule_of_elastic_parses():
    queries = {
        path: rule["query"]
        for path in RULES.rglob("*.toml")
        if (rule := tomllib.loads(path.read_text("utf-8"))["rule"]).get("language") == "kuery"
    }
    assert len(queries) == 120
    for path, query in queries.items():
        tree = parse(query)
        assert parse(render(tree)) == tree, path
