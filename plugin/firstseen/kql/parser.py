"""From the text of a query to its tree, by recursive descent.

The grammar is Kibana's, a parsing expression grammar: choices are ordered, and one that succeeded is not taken back.
Read top down, with ``ws`` for any blanks and ``ws+`` for at least one:

    query       ws [or-query] ws end
    or-query    and-query { ws+ "or" ws+ and-query }
    and-query   not-query { ws+ "and" ws+ not-query }
    not-query   "not" ws+ sub-query | sub-query
    sub-query   "(" ws or-query ws ")" | nested | range | comparison | free text
    nested      field ws ":" ws "{" ws or-query ws "}"
    range       field ws ("<=" | ">=" | "<" | ">") ws word
    comparison  field ws ":" ws value-list
    free text   word
    value-list  "(" ws or-values ws ")" | word        with or-values shaped like or-query, over value-lists

Every choice is decided by the next sign, so the parser never goes back: an alternative that fails behind its first sign
leaves a rest that no other alternative could take up. What is wrong then is the query, and ``faults`` words it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from firstseen.errors import KqlError
from firstseen.kql import faults
from firstseen.kql.ast import (
    And,
    Boolean,
    Exists,
    FieldName,
    FreeText,
    Is,
    Literal,
    MatchAll,
    Nested,
    Node,
    Not,
    Null,
    Or,
    Pattern,
    Range,
    RangeOperator,
    Value,
)
from firstseen.kql.lexer import BLANKS, Lexer, Word
from firstseen.kql.wildcards import LONE_STAR

MAX_BRACKETS = 50
"""How deep brackets may nest: far below where Python's recursion ends, for the parser and for all that walks a tree."""

_RANGE_OPERATORS: tuple[RangeOperator, ...] = ("<=", ">=", "<", ">")

_Operand = Callable[[], Node]


def parse(text: str) -> Node:
    """Parse a query; raise ``KqlError``, with the offset of the fault, for a text that is none."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lexer = Lexer(text)
        self.opened: list[int] = []
        self.bare_word_end: int | None = None

    def query(self) -> Node:
        self.lexer.skip_blanks()
        if self.lexer.at_end():
            return MatchAll(span=(0, len(self.text)))
        node = self.disjunction(self.sub_query)
        self.lexer.skip_blanks()
        if not self.lexer.at_end():
            raise self.left_over()
        return node

    def disjunction(self, operand: _Operand) -> Node:
        start = self.lexer.position
        children = [self.conjunction(operand)]
        while self.lexer.chain("or"):
            children.append(self.conjunction(operand))
        return children[0] if len(children) == 1 else Or(tuple(children), span=(start, self.lexer.position))

    def conjunction(self, operand: _Operand) -> Node:
        start = self.lexer.position
        children = [self.negation(operand)]
        while self.lexer.chain("and"):
            children.append(self.negation(operand))
        return children[0] if len(children) == 1 else And(tuple(children), span=(start, self.lexer.position))

    def negation(self, operand: _Operand) -> Node:
        start = self.lexer.position
        if self.lexer.negation():
            return Not(operand(), span=(start, self.lexer.position))
        return operand()

    def sub_query(self) -> Node:
        if self.lexer.sign("("):
            return self.enclosed(")", self.sub_query)
        name = self.word()
        if operator := self.lexer.sign(*_RANGE_OPERATORS):
            operand = self.word(after=operator)
            return Range(_field(name), operator, _value(operand), span=(name.span[0], operand.span[1]))
        if not self.lexer.sign(":"):
            self.bare_word_end = name.span[1]
            return _free_text(name)
        if self.lexer.sign("{"):
            child = self.enclosed("}", self.sub_query)
            return Nested(_field(name), child, span=(name.span[0], self.lexer.position))
        return self.value_list(name, ":")

    def value_list(self, name: Word, after: str = "") -> Node:
        if self.lexer.sign("("):
            return self.enclosed(")", partial(self.value_list, name))
        return _comparison(name, self.word(after))

    def enclosed(self, closing: str, operand: _Operand) -> Node:
        opening = self.lexer.position - 1
        if len(self.opened) == MAX_BRACKETS:
            raise faults.nested_too_deeply(self.text, opening, MAX_BRACKETS)
        self.opened.append(opening)
        self.lexer.skip_blanks()
        node = self.disjunction(operand)
        if not self.lexer.sign(closing):
            self.lexer.skip_blanks()
            raise self.left_over()
        self.opened.pop()
        return node

    def word(self, after: str = "") -> Word:
        """Read a word; ``after`` is the sign it has to follow, blanks between them skipped, if there is one."""
        if after:
            self.lexer.skip_blanks()
        word = self.lexer.word()
        if word is not None:
            return word
        if after:
            raise faults.no_value(self.text, self.lexer.position, after)
        raise faults.no_condition(self.text, self.lexer.position)

    def left_over(self) -> KqlError:
        offset = self.lexer.position
        after_bare_word = self.bare_word_end is not None and not self.text[self.bare_word_end : offset].strip(BLANKS)
        opened = self.opened[-1] if self.opened else None
        return faults.left_over(self.text, offset, opened=opened, after_bare_word=after_bare_word)


def _field(word: Word) -> FieldName:
    return word.pieces[0] if len(word.pieces) == 1 else Pattern(word.pieces, span=word.span)


def _value(word: Word) -> Value:
    if len(word.pieces) > 1:
        return Pattern(word.pieces, span=word.span)
    text = word.pieces[0]
    if not word.quoted:
        if text in ("true", "false"):
            return Boolean(text == "true", span=word.span)
        if text == "null":
            return Null(span=word.span)
    return Literal(text, word.quoted, span=word.span)


def _comparison(name: Word, value: Word) -> Node:
    span = (name.span[0], value.span[1])
    if value.pieces != LONE_STAR:
        return Is(_field(name), _value(value), span=span)
    return MatchAll(span=span) if name.pieces == LONE_STAR else Exists(_field(name), span=span)


def _free_text(word: Word) -> Node:
    return MatchAll(span=word.span) if word.pieces == LONE_STAR else FreeText(_value(word), span=word.span)
