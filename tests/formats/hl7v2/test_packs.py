import pytest

from carelane.domain.errors import PackBroken
from carelane.formats.hl7v2.format import Settings
from carelane.formats.hl7v2.overlays import check_overlay
from carelane.formats.hl7v2.packs import ALL, compiled_map, every_row, pack_of
from carelane.formats.hl7v2.read import read
from carelane.models.schemas import names_of

RAW = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\rPID|1||7||Doe^Jo||19800101|Q|||||||||||123\rPV1|1|I\rZPD|1||study-9\r"
OVERLAY = """
overlay: lakeside
version: "1"
pack: v2-patientadmin
changes:
- disable: pid.19
- replace: pid.8
  with: {target: Patient.Demographics.Sex, source: PID-8, map: sex, unmapped: "default:Other"}
- after: pv1.19
  insert: {id: local.study, target: Visit.Extensions.study, source: ZPD-3, extension: true}
"""


@pytest.mark.parametrize("name", ALL)
def test_every_pack_compiles_and_its_rows_have_ids_of_their_own(name):
    pack = pack_of(name)
    ids = [row.id for row in every_row(pack.rows)]
    assert len(ids) == len(set(ids)) and compiled_map(name).compiled.pack.name == pack.name


def test_an_overlay_replaces_disables_and_inserts_rows_by_id():
    [plain], [changed] = read(RAW, {}), read(RAW, {"overlay": OVERLAY})
    assert ("123", None) == tuple(one.document["Patient"]["Demographics"].get("SSN") for one in (plain, changed))
    assert (None, "Other") == tuple(one.document["Patient"]["Demographics"].get("Sex") for one in (plain, changed))
    assert "study-9" == changed.document["Visit"]["Extensions"]["study"]["string"]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [("pid.19", "pid.999", "no row of this id"), ("v2-patientadmin", "v2-nothing", "no pack v2-nothing"), ("map: sex", "map: nothing", "no table nothing"),
     ("disable", "drop", "write disable"), ("source: ZPD-3", "surce: ZPD-3", "did you mean source"), ('version: "1"\n', "", "version is missing")],
)  # fmt: skip
def test_a_wrong_overlay_is_refused_when_it_is_saved_with_the_row_and_the_reason(before, after, reason):
    text = OVERLAY.replace(before, after)
    with pytest.raises(PackBroken, match=reason):
        check_overlay(text)
    with pytest.raises(ValueError, match=reason):
        Settings(overlay=text)


def test_a_shared_row_is_written_once_and_known_to_every_pack_that_includes_it():
    assert {"pid.8"} == {row.id for name in ("patientadmin", "results", "order", "vaccination") for row in pack_of(name).rows if row.target.endswith(".Sex")}


def test_names_of_an_event_follow_references():
    assert "LastName" in names_of("Order", "New")["Patient"]["Demographics"]
