import pytest

from carelane.domain.errors import PackBroken
from carelane.mapping.overlay import MOST_CHANGES, MOST_ROWS, apply_overlay, load_overlay, overlay_of, parse_overlay
from carelane.mapping.pack import Pack, Row

TEXT = 'overlay: a\nversion: "1"\npack: p\nchanges:\n- disable: x\n'


def test_equal_overlays_are_one_whatever_the_order_of_their_keys():
    assert parse_overlay(TEXT) == parse_overlay('pack: p\nversion: "1"\noverlay: a\nchanges: [{disable: x}]\n')


def test_settings_without_an_overlay_have_none():
    assert overlay_of({}) is None is overlay_of({"overlay": " "})


@pytest.mark.parametrize(
    "text", ["[]", "overlay: a", TEXT + "more: 1\n", TEXT.replace("- disable: x", "- 7"), "a: [", TEXT.replace("changes:\n- disable: x", "changes: 7")]
)
def test_what_is_no_overlay_is_refused_with_a_reason(text):
    with pytest.raises(PackBroken):
        parse_overlay(text)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(PackBroken):
        load_overlay(tmp_path / "none.yaml")


@pytest.mark.parametrize("content", [b"overlay: \xff", b"x" * 70_000])
def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path, content):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(PackBroken, match=r"no UTF-8|at most 65,536 bytes"):
        load_overlay(tmp_path / "a.yaml")


HEAD = 'overlay: a\nversion: "1"\npack: p\nchanges:\n'
DISABLE, INSERT = "- disable: x\n", "- {after: x, insert: {id: y, target: A, source: PID-3}}\n"


def insert(row: str) -> str:
    return f"{HEAD}{DISABLE}- {{after: x, insert: {row}}}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (HEAD + DISABLE * (MOST_CHANGES + 1), "301 changes; an overlay has at most 300"),
        (
            HEAD + "- {after: x, insert: {id: y, target: A, each: NK1, rows: [" + "{target: B, source: PID-3}," * MOST_ROWS + "]}}",
            r"row B \(line 5\): .* at most 300",
        ),
        (HEAD + INSERT.replace("PID-3", "[" + "PID-3," * 90 + "]") * 12, r"row y \(line 16\): .* at most 1,000 paths and texts, up to here it has 1,080"),
        (insert('{id: y, target: A, when: "' + " || ".join(["PID-3"] * 101) + '"}'), r"row y \(line 6\): .* names 101 paths and texts; it may name 100"),
        (insert("{id: y, target: A, when: 7}"), r"row y \(line 6\): when is a text of at most 4,096"),
        (insert("{id: y, target: A, via: [a]}"), "via is a text of at most 200"),
        (insert("{id: y, target: A, map: {a: b}}"), "map is a text"),
        (insert("{id: y, target: A, each: [a], rows: []}"), "each is a text"),
        (insert("{id: [y], target: A}"), "id is a text"),
        (insert("{id: y, target: " + "a." * 12 + "b}"), "target has at most 12 names"),
        (insert("{id: y, target: A, source: [" + "P" * 201 + "]}"), "a path of source has at most 200"),
        (insert("{id: y, target: A, each: NK1, rows: fragment}"), "a fragment's name stands only in built-in packs"),
        (insert("7"), r"change 2 \(line 6\): a row is a list of names and values"),
        (HEAD + "- {replace: x, with: 7}\n", "a row is a list of names and values"),
        (HEAD + "- disable: [x]\n", "a row is named by its id"),
        (HEAD + "- disable: ''\n", "a row is named by its id"),
        (HEAD.replace("overlay: a", "overlay: [a]") + DISABLE, "overlay is a text"),
        (HEAD.replace('"1"', '"a\\nb"') + DISABLE, "version is a text of at most 200 characters in one line"),
        (HEAD + DISABLE + "- &a {disable: x}\n- *a\n", "line 6: the anchor &a"),
    ],
)
def test_what_is_over_a_bound_is_refused_with_line_row_and_bound(text, reason):
    with pytest.raises(PackBroken, match=reason):
        parse_overlay(text)


PACK = Pack("p", "1", "X", "p.yaml", (Row("x", "A", ("PID-3",)), Row("e", "E", each="NK1[*]", rows=(Row("e.B", "B", ("NK1-2",)), Row("e.C", "C", ("NK1-3",))))))


def test_rows_that_an_overlay_leaves_alone_stay_the_same_objects():
    changed = apply_overlay(PACK, parse_overlay(HEAD + "- disable: e.B\n"))
    assert PACK.rows[0] is changed.rows[0]
    assert (PACK.rows[1].rows[1],) == changed.rows[1].rows
    assert changed.rows[1].rows[0] is PACK.rows[1].rows[1]


def test_an_id_that_is_taken_is_refused():
    with pytest.raises(PackBroken, match="row e.C: another row of p has this id"):
        apply_overlay(PACK, parse_overlay(HEAD + "- {after: x, insert: {id: e.C, target: D, source: PID-3}}\n"))


def test_changes_are_made_in_order_and_may_name_rows_made_before():
    text = HEAD + INSERT + INSERT.replace("after: x", "after: y").replace("id: y", "id: z") + "- disable: y\n"
    assert ["x", "z", "e"] == [row.id for row in apply_overlay(PACK, parse_overlay(text)).rows]


def test_the_line_of_a_row_is_known_also_of_one_nested_in_it():
    overlay = parse_overlay(HEAD + DISABLE + "- replace: e\n  with: {target: E, each: 'NK1[*]', rows: [{target: B, source: NK1-2}]}\n")
    assert (7, 7, 0) == (overlay.line_of("e"), overlay.line_of("e.B"), overlay.line_of("x"))
