"""Whatever text a stranger writes: it is read within the bounds, or refused with the line and the bound. Parts are counted, nothing is timed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carelane.mapping import strict_yaml
from carelane.mapping.strict_yaml import MOST_BYTES, MOST_DEPTH, MOST_NAME, MOST_PARTS, MOST_TEXT, NotPlain, read_plain


def bomb(levels: int) -> str:
    lines = "a:\n- &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    return lines + "".join(f"- &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, levels))


def measure(value: Any) -> tuple[int, int]:
    """Return how many parts a value has, and how deep it is."""
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    below = [measure(one) for one in inner]
    return 1 + sum(parts for parts, _ in below), (1 if isinstance(value, dict | list) else 0) + max((deep for _, deep in below), default=0)


def test_a_plain_document_is_what_it_shows():
    text = "a: text\nb: 'yes'\nc: yes\nd: 12\ne: -1.5\nf: ~\ng: [x, {y: z}]\nh: 2026-01-01\ni: |\n  two\n  lines\n"
    assert {
        "a": "text", "b": "yes", "c": True, "d": 12, "e": -1.5, "f": None, "g": ["x", {"y": "z"}], "h": "2026-01-01", "i": "two\nlines\n"
    } == read_plain(text)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(9), "line 2: the anchor &a0 is not allowed"),
        ("a: [*b]", r"line 1: the alias \*b is not allowed"),
        ("a: 1\nb:\n  <<: {c: d}", "line 3: the merge key << is not allowed"),
        ("a: !!python/object/apply:os.system [x]", "line 1: the tag .* is not allowed"),
        ("a: ! x", "the tag '!' is not allowed"),
        ("a: !!str x", "the tag .* is not allowed"),
        ("%TAG ! tag:x,2000:\n---\na: b", "directives"),
        ("a: b\n---\na: b", "line 2: a second document begins"),
        ("a: b\nc: d\na: e", "line 3: the name 'a' stands there twice"),
        ("? [a]\n: b", "a name is a text"),
        ("\n" + "[" * (MOST_DEPTH + 1), f"line 2: it is nested deeper than {MOST_DEPTH}"),
        ("[" * 60_000, f"nested deeper than {MOST_DEPTH}"),
        ("- " * 30_000, f"nested deeper than {MOST_DEPTH}"),
        ("[" + "a," * MOST_PARTS + "]", "more than 8,192 parts"),
        ("a: " + "x" * (MOST_TEXT + 1), "at most 4,096 characters; this one has 4,097"),
        ("k" * (MOST_NAME + 1) + ": x", "a name has at most 200 characters; this one has 201"),
        ("x" * (1024 * 1024), "at most 65,536 bytes"),
        ("ü" * 40_000, "at most 65,536 bytes"),
        ("a: 0x" + "f" * 4_000, "no plain decimal number"),
        ("a: " + "9" * 4_000, "no plain decimal number"),
        ("a: 010", "no plain decimal number"),
        ("a: .inf", "no plain decimal number"),
        ("a: 1" + ":11" * 1_000, "no plain decimal number"),
        ("a: b\x00c", r"the character U\+0000"),
        ("a: b\nc: \ud800", "line 2: it holds half a character"),
        ("a: [b", "line 1: no valid YAML|line 2: no valid YAML"),
        ("a: 'b", "no valid YAML"),
        ("\ta: b", "no valid YAML"),
    ],
)
def test_what_is_more_than_it_shows_or_over_a_bound_is_refused_with_line_and_bound(text, reason):
    with pytest.raises(NotPlain, match=reason):
        read_plain(text)


def test_an_alias_bomb_is_refused_at_its_first_anchor_and_nothing_is_built_of_the_rest(monkeypatch):
    seen: list[Any] = []
    place = strict_yaml._Builder._place
    monkeypatch.setattr(strict_yaml._Builder, "_place", lambda self, value, line: (seen.append(value), place(self, value, line)))
    with pytest.raises(NotPlain, match="anchor"):
        read_plain(bomb(60))
    assert 2 == len(seen)  # the mapping and the list; not one of the ten


def test_what_is_exactly_at_the_bounds_is_read():
    assert MOST_TEXT == len(read_plain("x" * MOST_TEXT))
    assert {"k" * MOST_NAME: "x"} == read_plain("k" * MOST_NAME + ": x")
    assert (MOST_DEPTH + 1, MOST_DEPTH) == measure(read_plain("[" * MOST_DEPTH + "x" + "]" * MOST_DEPTH))
    assert MOST_PARTS == 1 + len(read_plain("[" + ",".join("a" * (MOST_PARTS - 1)) + "]"))
    assert {"a": "b"} == read_plain("a: b\n#" + "x" * (MOST_BYTES - 6))


PIECES = ("a", "b: ", "c: ", "- ", "\n", "\n  ", "[", "]", "{", "}", ", ", ": ", "? ", "&x ", "*x", "<<: ", "!!str ", "'", '"', "|\n ", ">\n ", "---\n", "# ", "1", ".5", "~", "yes", "\t", "%")  # fmt: skip


@given(st.one_of(st.text(max_size=400), st.lists(st.sampled_from(PIECES), max_size=120).map("".join)))
def test_any_text_is_read_within_the_bounds_or_refused(text):
    try:
        found = read_plain(text)
    except NotPlain:
        return
    parts, deep = measure(found)
    assert parts <= min(len(text) + 1, MOST_PARTS) and deep <= MOST_DEPTH


@given(st.recursive(st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1, max_size=5), inner, max_size=4), max_leaves=30))  # fmt: skip
def test_json_is_read_as_what_it_is(value):
    assert value == read_plain(json.dumps(value, ensure_ascii=False))
