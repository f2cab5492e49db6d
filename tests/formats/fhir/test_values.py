"""Values of results: a number keeps its unit however it was written, and comes back as it was."""

import orjson
import pytest

from carelane.domain.message import Leftovers, Origin
from carelane.formats.fhir.format import FORMAT
from carelane.formats.fhir.messages import Messages
from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.read import read
from carelane.models.fhir import check_resource

HEAD = "MSH|^~\\&|A|B|C|D|20260101100000+0000||ORU^R01^ORU_R01|X8|P|2.5.1\rPID|1||4711^^^HOSP^MR||Doe^Jo||19700601|F\rOBR|1|P1|F1|X^Y^L\r"


def bundle(*obx: str) -> dict:
    raw = (HEAD + "\r".join(f"OBX|{at}|{one}" for at, one in enumerate(obx, 1)) + "\r").encode()
    [one] = read(raw, {}, Leftovers.CARRY)
    found = orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", one.parsed))[0])
    by_document = orjson.loads(FORMAT.write(one.document, {}, "M1")[0])
    assert ([], found) == (check_resource(found), by_document)
    return found


def observations(found: dict) -> list[dict]:
    return [entry["resource"] for entry in found["entry"] if entry["resource"]["resourceType"] == "Observation"]


def report(found: dict) -> dict:
    [one] = [entry["resource"] for entry in found["entry"] if entry["resource"]["resourceType"] == "DiagnosticReport"]
    return one


def back(found: dict, name: str, number: int) -> list[str]:
    [raw] = Messages([entry["resource"] for entry in found["entry"]]).messages()
    return [segment.field(number) for segment in parse(raw).by_name[name]]


def observation(obx: str) -> dict:
    [one] = observations(bundle(obx))
    return one


def told(value: dict) -> tuple:
    return value.get("comparator"), value["value"], value.get("unit")


@pytest.mark.parametrize(
    ("obx", "expected"),
    [
        ("ST|1^A^L||7.1|mmol/L", (None, 7.1, "mmol/L")),
        ("TX|1^A^L||> 7|mmol/L", (">", 7, "mmol/L")),
        ("ST|1^A^L||<= 0.5|mmol/L", ("<=", 0.5, "mmol/L")),
        ("ST|1^A^L||≥ 0.5|mmol/L", (">=", 0.5, "mmol/L")),
        ("NM|1^A^L||<15|ng/L", ("<", 15, "ng/L")),
        ("NM|1^A^L||>10.0|mmol/L", (">", 10.0, "mmol/L")),
        ("NM|1^A^L||1.2E3|mmol/L", (None, 1200.0, "mmol/L")),
        ("NM|1^A^L||.5|mmol/L", (None, 0.5, "mmol/L")),
        ("NM|1^A^L||+4.1|mmol/L", (None, 4.1, "mmol/L")),
        ("NM|1^A^L|| 4.10 |mmol/L", (None, 4.1, "mmol/L")),
        ("NM|1^A^L||-0.5|mmol/L", (None, -0.5, "mmol/L")),
        ("SN|1^A^L||<0.10|kU/L", ("<", 0.1, "kU/L")),
        ("SN|1^A^L||>^500|mg/dL", (">", 500, "mg/dL")),
        ("SN|1^A^L||=^5.0|mg/dL", (None, 5.0, "mg/dL")),
        ("SN|1^A^L||^5|mg/dL", (None, 5, "mg/dL")),
    ],
)
def test_a_number_is_a_quantity_with_its_unit_however_it_is_written(obx, expected):
    assert expected == told(observation(obx + "|||||F")["valueQuantity"])


@pytest.mark.parametrize(
    ("obx", "expected"),
    [
        ("NM|1^A^L||1,5|mg/dL", "1,5 mg/dL"),
        ("ST|1^A^L||10-20|/hpf", "10-20 /hpf"),
        ("ST|1^A^L||5 mg/dL|mg/dL", "5 mg/dL"),
        ("NM|1^A^L||1E999|mg/dL", "1E999 mg/dL"),
        ("SN|1^A^L||^2^+|mg/dL", "2+ mg/dL"),
        ("SN|1^A^L||<>^2|mg/dL", "<>2 mg/dL"),
        ("ST|1^A^L||Not detected|mg/dL", "Not detected"),
        ("ST|1^A^L||007|", "007"),
    ],
)
def test_a_text_that_is_no_certain_number_keeps_its_unit(obx, expected):
    assert expected == observation(obx + "|||||F")["valueString"]


@pytest.mark.parametrize(
    ("obx", "name", "expected"),
    [
        ("SN|1^A^L||^1^:^128|", "valueRatio", {"numerator": {"value": 1}, "denominator": {"value": 128}}),
        ("SN|1^A^L||>^1^:^128|", "valueRatio", {"numerator": {"comparator": ">", "value": 1}, "denominator": {"value": 128}}),
        ("SN|1^A^L||^3^-^5|mg", "valueRange", {"low": {"value": 3, "unit": "mg"}, "high": {"value": 5, "unit": "mg"}}),
        ("NR|1^A^L||3^5|mg", "valueRange", {"low": {"value": 3, "unit": "mg"}, "high": {"value": 5, "unit": "mg"}}),
    ],
)  # fmt: skip
def test_a_structured_number_is_a_ratio_or_a_range(obx, name, expected):
    assert expected == observation(obx + "|||||F")[name]


@pytest.mark.parametrize(
    ("obx", "kind", "value"),
    [
        ("NM|1^A^L||4.10|mmol/L", "NM", "4.10"), ("NM|1^A^L||.5|mmol/L", "NM", ".5"), ("NM|1^A^L||+4.1|mmol/L", "NM", "+4.1"),
        ("NM|1^A^L||7.1|mmol/L", "NM", "7.1"), ("NM|1^A^L||1.2E3|mmol/L", "ST", "1.2E3"), ("NM|1^A^L||<15|mmol/L", "ST", "<15"),
        ("TX|1^A^L||> 7|mmol/L", "ST", "> 7"), ("SN|1^A^L||>^500|mmol/L", "SN", ">^500"), ("SN|1^A^L||<^0.10|mmol/L", "SN", "<^0.10"),
        ("NM|1^A^L||1,5|mmol/L", "ST", "1,5"), ("ST|1^A^L||Not detected|mmol/L", "ST", "Not detected"), ("SN|1^A^L||^1^:^1.0|", "SN", "^1^:^1.0"),
        ("SN|1^A^L||^3.0^-^5|mmol/L", "SN", "^3.0^-^5"),
    ],
)  # fmt: skip
def test_the_way_back_gives_the_senders_text_and_unit(obx, kind, value):
    [raw] = Messages([entry["resource"] for entry in bundle(obx + "|||||F")["entry"]]).messages()
    segment = parse(raw).first("OBX")
    assert segment is not None
    assert (kind, value, obx.rpartition("|")[2]) == (segment.field(2), segment.field(5), segment.field(6))


@pytest.mark.parametrize(
    ("code", "status"),
    [("O", "registered"), ("D", "entered-in-error"), ("X", "cancelled"), ("W", "entered-in-error"), ("N", "unknown"), ("I", "registered"), ("C", "corrected"),
     ("F", "final"), ("U", "final"), ("S", "preliminary"), ("B", "amended")],
)  # fmt: skip
def test_the_status_of_a_result_is_told_and_comes_back(code, status):
    found = bundle(f"NM|1^A^L||5|mg|||||{code}")
    assert (status, [code]) == (observations(found)[0]["status"], back(found, "OBX", 11))


def test_a_result_without_a_status_comes_back_without_one():
    assert [""] == back(bundle("NM|1^A^L||5|mg"), "OBX", 11)


def test_a_status_that_was_changed_since_is_what_counts():
    found = bundle("NM|1^A^L||5|mg|||||W")
    observations(found)[0]["status"] = "final"
    assert ["F"] == back(found, "OBX", 11)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [("WW", "entered-in-error"), ("D", "entered-in-error"), ("WF", "corrected"), ("FF", "final"), ("CF", "final")],
)
def test_a_report_of_withdrawn_results_is_withdrawn_and_one_of_some_is_corrected(statuses, expected):
    raw = HEAD.replace("X^Y^L", "X^Y^L" + "|" * 21 + "F") + "".join(f"OBX|{at}|NM|{at}^A^L||5|mg|||||{one}\r" for at, one in enumerate(statuses, 1))
    [one] = read(raw.encode(), {}, Leftovers.CARRY)
    found = orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", one.parsed))[0])
    assert (expected, []) == (report(found)["status"], check_resource(found))
    assert orjson.loads(FORMAT.write(one.document, {}, "M1")[0]) == found


@pytest.mark.parametrize(
    ("obx", "expected"),
    [
        ("RP|1^A^L|1|http://x/y^APP^application^pdf", {"contentType": "application/pdf", "url": "http://x/y", "title": "APP"}),
        ("ED|1^A^L|1|APP^application^pdf^Base64^JVBERi0=", {"contentType": "application/pdf", "data": "JVBERi0=", "title": "APP"}),
    ],
)
def test_a_file_and_a_pointer_stand_beside_what_else_is_told_and_come_back(obx, expected):
    found = bundle(obx + "||||||F")
    one = observations(found)[0]
    assert [expected] == [part["valueAttachment"] for part in one["extension"] if "valueAttachment" in part]
    assert ["1"] == [part["valueString"] for part in one["extension"] if "valueString" in part]
    assert ([obx[:2]], [obx.split("|")[3]]) == (back(found, "OBX", 2), back(found, "OBX", 5))


def test_words_that_call_themselves_a_number_stay_words():
    [one] = read(f"{HEAD}OBX|1|SN|1^A^L||260373001^Detected^SCT||||||F\r".encode(), {}, Leftovers.WHERE_NEEDED)
    [found] = observations(orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", one.parsed))[0]))
    assert "260373001 Detected SCT" == found["valueString"]
