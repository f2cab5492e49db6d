"""Maps with overlays: the same as the hub's own where nothing is changed, bounded in what they may ask for, and let go when nobody uses them."""

import tracemalloc

import orjson
import pytest

from carelane.domain.errors import Exhausted, PackBroken, Unmappable
from carelane.domain.message import Leftovers
from carelane.formats.hl7v2 import overlays
from carelane.formats.hl7v2.format import FORMAT
from carelane.formats.hl7v2.overlays import check_overlay, keep_overlays, quick
from carelane.formats.hl7v2.packs import ALL, every_row, pack_of
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.write import write
from carelane.mapping.overlay import MOST_ROWS

HEAD = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\r"
ADT = HEAD + b"PID|1||7^^^N^MR~8^^^N^SS||Doe^Jo||19800101|F|||||||||||123\rNK1|1|A^B|SPO\rPV1|1|I|W^1^2\rDG1|1||I10\r"
RESULTS = HEAD.replace(b"ADT^A01", b"ORU^R01") + b"PID|1||7||Doe^Jo\rOBR|1|1|2|718-7^Hgb^LN\r" + b"OBX|1|NM|718-7^Hgb^LN||13.5|g/dL|12-16|N|||F\r" * 300


def overlay(*changes: str, pack: str = "v2-patientadmin", name: str = "o") -> str:
    return f'overlay: {name}\nversion: "1"\npack: {pack}\nchanges: [{", ".join(changes)}]\n'


def insert(row: str, after: str = "pid.8") -> str:
    return f"{{after: {after}, insert: {row}}}"


def told(raw: bytes, leftovers: Leftovers, **settings: str):
    return [(one.document, one.issues, one.unmapped) for one in read(raw, settings, leftovers)]


@pytest.fixture(autouse=True)
def _nothing_kept():
    yield
    keep_overlays(())


@pytest.mark.parametrize("leftovers", [Leftovers.NONE, Leftovers.CARRY])
@pytest.mark.parametrize(("raw", "pack"), [(ADT, "v2-patientadmin"), (RESULTS, "v2-results")])
def test_an_overlay_that_changes_nothing_changes_nothing(raw, pack, leftovers):
    assert told(raw, leftovers) == told(raw, leftovers, overlay=overlay(pack=pack))
    document, settings = read(raw, {}, leftovers)[0].document, {"leftovers": leftovers.value}
    assert write(document, settings, "id") == write(document, {**settings, "overlay": overlay(pack=pack)}, "id")


@pytest.mark.parametrize("name", ALL)
def test_every_row_of_every_pack_may_be_taken_away(name):
    pack = pack_of(name)
    ids = [row.id for row in pack.rows]
    assert pack.name == check_overlay(overlay(*(f'{{disable: "{one}"}}' for one in ids), pack=pack.name)).pack


def test_a_row_that_comes_later_wins_also_over_one_that_another_part_wrote():
    rows = (insert('{id: a, target: Visit.Location, value: "x"}'), insert("{id: b, target: Visit.Location.Note, source: [PV1-2, PV1-9]}", "a"))
    [one] = read(ADT, {"overlay": overlay(*rows)})
    assert [("error", "row-error", "b")] == [(issue.severity, issue.code, issue.row) for issue in one.issues if issue.row in ("a", "b")]
    assert "x" == one.document["Visit"]["Location"]


WALK = "{id: a, target: A, each: 'ZRP-1[*]', rows: [%s]}"
REPETITIONS = HEAD + b"PID|1||7||Doe^Jo\rZRP|" + b"~".join(b"%d" % number for number in range(9_000)) + b"\r%s"
LONG = b"ZZZ|" + b"^" * 60_000 + b"\r"
HOSTILE = {
    "an each under an each": (insert(WALK % "{target: B, each: 'ZRP-1[*]', rows: [{target: C, source: '.1'}]}"), REPETITIONS % b""),
    "every segment under every segment": (
        insert("{id: a, target: A, each: 'NK1[*]', rows: [{target: B, each: 'AL1[*]', rows: [{target: C, each: 'ZZ1[*]', rows: [{target: D, source: ZZ1-1}]}]}]}"),
        ADT + b"NK1|1\r" * 3_000 + b"AL1|1\r" * 3_000 + b"ZZ1|1\r" * 3_000,
    ),
    "a long field for every repetition": (insert(WALK % "{target: B, source: ZZZ-1.9}"), REPETITIONS % LONG),
    "a long field in a condition": (insert(WALK % "{target: B, source: '.1', when: \"ZZZ-1.9 != 'x'\"}"), REPETITIONS % LONG),
    "a long field in a function": (insert(WALK % "{target: B, via: notes}"), REPETITIONS % (b"NTE|1||" + b"x" * 60_000 + b"\r")),
    "a long constant for every repetition": (insert(WALK % f'{{target: B, value: "{"x" * 4_000}"}}'), REPETITIONS % b""),
    "a row that fails for every repetition": (insert(WALK % ", ".join(f"{{target: B{n}, source: '.1', map: sex, unmapped: error}}" for n in range(40))), REPETITIONS % b""),
    "a long field told again and again": (", ".join(insert(f"{{id: a{n}, target: A.b{n}, source: ZZZ-1}}") for n in range(MOST_ROWS)), ADT + LONG),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_what_multiplies_ends_when_the_steps_are_used_up_and_says_so(case):
    change, raw = HOSTILE[case]
    check_overlay(overlay(change))
    with pytest.raises(Exhausted, match="the overlay o.1 asks for more work than a message of this size may take"):
        read(raw, {"overlay": overlay(change)})


def test_a_required_row_does_not_hide_that_the_steps_are_used_up():
    change = insert("{id: a, target: A, required: true, each: 'ZRP-1[*]', rows: [{target: B, source: ZZZ-1.9, required: true}]}")
    with pytest.raises(Exhausted):
        read(REPETITIONS % LONG, {"overlay": overlay(change)})


def test_a_document_written_again_and_again_ends_when_the_steps_are_used_up():
    document = {"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"}, "Patient": {"Long": {"Text": "x" * 100_000}}}
    rows = (insert(f"{{id: a{number}, target: Patient.Long, source: ZZZ-{number + 1}}}") for number in range(MOST_ROWS))
    with pytest.raises(Exhausted):
        write(document, {"overlay": overlay(*rows)}, "id")


def test_a_list_of_many_objects_is_not_walked_by_many_rows():
    document = {"Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival"}, "Patient": {"Many": [{} for _ in range(5_000)]}}
    row = "{id: a%d, target: Patient.Many, each: 'ZZ1[*]', rows: [{target: B, source: ZZ1-2}, {target: C, source: ZZ1-3}, {target: D, source: ZZ1-4}]}"
    with pytest.raises(Exhausted):
        write(document, {"overlay": overlay(*(insert(row % number) for number in range(60)))}, "id")


@pytest.fixture
def meters(monkeypatch):
    """The room of every conversion as it began, and its meter."""
    made, make = [], overlays.meter_of

    def meter(*about):
        made.append((make(*about).room, make(*about)))
        return made[-1][1]

    monkeypatch.setattr(overlays, "meter_of", meter)
    return made


@pytest.mark.parametrize(
    ("raw", "pack"),
    [(ADT, "v2-patientadmin"), (RESULTS, "v2-results"), (RESULTS + b"OBX|9\r" * 9_000, "v2-results")],
    ids=["short", "long", "long with short segments"],
)
def test_the_hubs_own_rows_take_less_than_half_of_the_steps(raw, pack, meters):
    read(raw, {"overlay": overlay(pack=pack)})
    [(room, meter)] = meters
    assert room / 2 < meter.room < room


def test_the_same_message_takes_the_same_steps_every_time(meters):
    read(RESULTS, {"overlay": overlay(pack="v2-results")})
    read(RESULTS, {"overlay": overlay(pack="v2-results")})
    assert meters[0][1].room == meters[1][1].room


def test_an_overlay_that_fits_no_more_says_so_instead_of_breaking():
    text = overlay("{disable: pid.999}")
    reason = r"the overlay does not fit its map: o: row pid.999: v2-patientadmin has no row of this id; change the overlay, then release the lane"
    with pytest.raises(Unmappable, match=reason):
        read(ADT, {"overlay": text})
    with pytest.raises(Unmappable, match=reason):
        FORMAT.write(read(ADT, {})[0].document, {"overlay": text}, "id")


def test_a_row_that_does_not_compile_is_named_with_its_line():
    with pytest.raises(PackBroken, match=r"o: row a \(line 4\): 'PID' is no HL7 path"):
        check_overlay(overlay(insert("{id: a, target: A, source: PID}")))


def test_an_overlay_reads_no_file_whatever_it_is_called(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "fragments.yaml").write_text("names: [{target: A, source: PID-3}]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackBroken, match="a fragment's name stands only in built-in packs"):
        check_overlay(overlay(insert("{id: a, target: A, each: 'NK1[*]', rows: names}"), name=f"{tmp_path}/o"))


def test_what_has_to_be_compiled_first_or_is_long_is_not_quick():
    settings = {"overlay": overlay("{disable: pid.8}")}
    assert (True, False) == (quick({}, 10**9), quick(settings, 100))
    read(ADT, settings)
    assert (True, False) == (quick(settings, 100), quick(settings, 5_000))


def test_who_only_tries_an_overlay_keeps_nothing():
    check_overlay(overlay("{disable: pid.8}"))
    assert 0 == len(overlays._KEPT)


def test_maps_that_nobody_uses_any_more_are_let_go():
    used, left = overlay("{disable: pid.8}"), overlay("{disable: pid.19}")
    read(ADT, {"overlay": used})
    read(ADT, {"overlay": left})
    keep_overlays({used})
    assert (1, True, False) == (len(overlays._KEPT), used in overlays._KEPT, left in overlays._KEPT)


def test_maps_are_kept_up_to_a_weight(monkeypatch):
    monkeypatch.setattr(overlays._KEPT, "_most", 250_000)
    texts = [overlay("{disable: pid.8}", name=f"o{number}") for number in range(4)]
    for text in texts:
        read(ADT, {"overlay": text})
    assert [False, False, True, True] == [text in overlays._KEPT for text in texts]


@pytest.mark.parametrize(
    "change",
    [
        "{disable: pid.8}",
        ", ".join(insert(f"{{id: a{n}, target: A.b{n}, source: ZPD-{n + 1}}}") for n in range(200)),
        ", ".join(insert(f"{{id: a{n}, target: A.b{n}, source: ZPD-{n + 1}, when: 'ZPE-{n + 1} == ZPF-{n + 1}'}}") for n in range(200)),
        ", ".join(insert(f"{{id: a{n}, target: A{n}, each: 'NK1[*]', rows: [{{target: B, source: NK1-2}}]}}") for n in range(100)),
    ],
    ids=["nothing new", "rows", "conditions", "levels"],
)
def test_maps_are_not_heavier_than_is_reckoned(change):
    text = overlay(change)
    check_overlay(text)  # what all overlays of the pack share is there already
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = overlays._compiled(text)
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert held <= 1.25 * overlays._weight(kept)


def test_however_many_overlays_there_are_what_they_share_does_not_grow():
    check_overlay(overlay())
    known = overlays._known("patientadmin")
    before = len(known.parts), len(known.plans), len(known.steps)
    for row in every_row(pack_of("patientadmin").rows):
        check_overlay(overlay(f'{{disable: "{row.id}"}}'))
    assert before == (len(known.parts), len(known.plans), len(known.steps))


def test_a_constant_of_the_hubs_own_map_cannot_carry_one_message_into_another():
    row = insert("{id: a, target: Extensions.wrong.string, source: [OBX-5, OBX-30]}", "result.wrong")
    wrong = RESULTS.split(b"OBX")[0] + b"OBX|1|NM|718-7^Hgb^LN||13.5|g/dL|12-16|N|||W\r"
    read(wrong, {"overlay": overlay(row, pack="v2-results")})
    assert b"13.5" not in orjson.dumps(read(wrong, {})[0].document["Orders"][0]["Results"][0]["Extensions"])
