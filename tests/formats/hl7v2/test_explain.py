from carelane.formats.hl7v2.explain import explain

RAW = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|P|2.5\rPID|1||7^^^N^MR~8||Doe^Jo||19800101|F\rNK1|1|Roe^Al\rNK1|2|Poe^Bo\rPV1|1|I\r"
OVERLAY = """
overlay: lakeside
version: "1"
pack: v2-patientadmin
changes:
- replace: pid.8
  with: {target: Patient.Demographics.Sex, source: PID-8, map: sex}
"""


def test_each_value_names_its_field_its_row_and_what_was_done_to_it():
    [reasons] = explain(RAW, {})
    sex = next(one for one in reasons if one.target == "Patient.Demographics.Sex")
    assert ("PID-8.1", "pid.8", "Female", "v2-patientadmin 2") == (sex.source, sex.row, sex.value, sex.pack)
    assert "table sex: F means Female" == sex.how


def test_the_second_of_several_segments_says_so():
    [reasons] = explain(RAW, {})
    assert ["NK1(1)-2.1", "NK1(2)-2.1"] == [one.source for one in reasons if one.target == "Patient.Contacts[*].LastName"]


def test_a_row_that_an_overlay_changed_names_the_overlay():
    [reasons] = explain(RAW, {"overlay": OVERLAY})
    assert {"pid.8"} == {one.row for one in reasons if one.overlay == "lakeside"}
    assert "v2-patientadmin 2+lakeside.1" == reasons[0].pack
