"""Conditions of rows: a small, bounded subset of CEL over source paths, compiled to closures. Never ``eval``.

``expr = and { "||" and }`` · ``and = not { "&&" not }`` · ``not = [ "!" ] rel`` ·
``rel = term [ ("==" | "!=" | "in") term ]`` · ``term = 'text' | [list] | valued(path) | path | (expr)``

A missing path is null; comparing null with ``==`` is false and with ``!=`` is true.
"""

import re
from collections.abc import Callable
from typing import Any

Predicate = Callable[[Any], Any]
Resolve = Callable[[str], Callable[[Any], Any]]

_TOKEN = re.compile(r"\s*(?:(?P<text>'[^']*')|(?P<op>\|\||&&|==|!=|!|\(|\)|\[|\]|,)|(?P<word>[A-Za-z.][\w.\-\[\]?=@]*?(?=[\s,()\]!=&|]|$)))")
_MOST_CHARACTERS = 4096
_MOST_TERMS = 100
_MOST_DEPTH = 50


def compile_expression(source: str, resolve: Resolve) -> Predicate:
    """Return a predicate over a scope; ``resolve`` compiles the paths in it.

    Raises:
        ValueError: the expression is malformed, too long or too deep; the place is named.
    """
    count_terms(source)
    parser = _Parser(_tokens(source), resolve)
    found = parser.disjunction(0)
    if parser.peek() is not None:
        raise ValueError(f"unexpected {parser.peek()!r} in {source!r}")
    return found


def count_terms(source: str) -> int:
    """Return how many paths and texts an expression names.

    Raises:
        ValueError: it is too long, names too many, or is not made of tokens.
    """
    if len(source) > _MOST_CHARACTERS:
        raise ValueError(f"the expression has more than {_MOST_CHARACTERS} characters")
    found = sum(1 for token in _tokens(source) if token[0] == "'" or token[0] == "." or token[0].isalpha())
    if found > _MOST_TERMS:
        raise ValueError(f"the expression names {found} paths and texts; it may name {_MOST_TERMS}")
    return found


def _tokens(source: str) -> list[str]:
    tokens: list[str] = []
    at, end = 0, len(source.rstrip())
    while at < end:
        found = _TOKEN.match(source, at)
        if found is None:
            raise ValueError(f"cannot read {source[at : at + 40].strip()!r} in {source!r}")
        tokens.append(found.group().strip())
        at = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str], resolve: Resolve) -> None:
        self._tokens = tokens
        self._at = 0
        self._resolve = resolve

    def peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> str:
        token = self.peek()
        if token is None:
            raise ValueError("the expression ends too soon")
        self._at += 1
        return token

    def _expect(self, token: str) -> None:
        if self.peek() != token:
            raise ValueError(f"expected {token!r}, found {self.peek()!r}")
        self._at += 1

    def disjunction(self, depth: int) -> Predicate:
        if depth > _MOST_DEPTH:
            raise ValueError(f"the expression is nested deeper than {_MOST_DEPTH}")
        parts = [self._conjunction(depth)]
        while self.peek() == "||":
            self._next()
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else lambda scope: any(part(scope) for part in parts)

    def _conjunction(self, depth: int) -> Predicate:
        parts = [self._negation(depth)]
        while self.peek() == "&&":
            self._next()
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else lambda scope: all(part(scope) for part in parts)

    def _negation(self, depth: int) -> Predicate:
        signs = 0
        while self.peek() == "!":
            self._next()
            signs += 1
        inner, wanted = self._relation(depth), signs % 2 == 0
        return (lambda scope: bool(inner(scope)) is wanted) if signs else inner

    def _relation(self, depth: int) -> Predicate:
        left = self._term(depth)
        operator = self.peek()
        if operator not in ("==", "!=", "in"):
            return left
        self._next()
        right = self._term(depth)
        if operator == "in":
            return lambda scope: left(scope) in (right(scope) or ())
        if operator == "==":
            return lambda scope: (value := left(scope)) is not None and value == right(scope)
        return lambda scope: left(scope) != right(scope)

    def _term(self, depth: int) -> Predicate:
        token = self._next()
        if token == "(":
            inner = self.disjunction(depth + 1)
            self._expect(")")
            return inner
        if token == "[":
            return self._list()
        if token.startswith("'"):
            text = token[1:-1]
            return lambda _: text
        if token == "valued":
            self._expect("(")
            path = self._resolve(self._next())
            self._expect(")")
            return lambda scope: path(scope) is not None
        if token == "null":
            return lambda _: None
        return self._resolve(token)

    def _list(self) -> Predicate:
        items: list[str] = []
        while self.peek() != "]":
            token = self._next()
            if not token.startswith("'"):
                raise ValueError(f"a list holds texts in single quotes, found {token!r}")
            items.append(token[1:-1])
            if self.peek() == ",":
                self._next()
        self._expect("]")
        found = tuple(items)
        return lambda _: found
