"""An explicit null is no value, and nothing empty ever leaves the writer: over every field that a row of a map reads, and every member of a document."""

import re
from collections.abc import Iterator
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carelane.domain.message import Leftovers, Origin
from carelane.formats.fhir.compose import PACKS, compiled
from carelane.formats.fhir.direct.plans import PLANS
from carelane.formats.fhir.format import FORMAT
from carelane.formats.hl7v2.read import read
from carelane.models.examples import example
from carelane.models.fhir import check_resource

MSH = "MSH|^~\\&|LAB|NORTH|HUB|X|20260102030405+0000||{kind}|C1|P|2.5"
FAMILIES = {
    "ADT^A01": "EVN PID PD1 NTE NK1 PV1 PV2 OBX AL1 DG1 PR1 GT1 IN1 IN2",
    "ADT^A05": "EVN PID PV1 IAM",
    "ADT^A40": "EVN PID PD1 MRG PV1",
    "ORU^R01": "PID PD1 NK1 PV1 ORC OBR NTE TQ1 OBX NTE SPM",
    "OML^O21": "PID PV1 ORC TQ1 OBR NTE DG1 OBX SPM",
    "RDE^O11": "PID PV1 ORC RXO RXR RXE NTE TQ1 RXR OBX",
    "RAS^O17": "PID PV1 ORC RXA RXR NTE",
    "VXU^V04": "PID PV1 ORC RXA RXR OBX NTE",
    "SIU^S12": "SCH NTE TQ1 PID PV1 RGS AIS AIG AIL AIP",
    "MDM^T02": "EVN PID PV1 TXA OBX",
    "DFT^P03": "EVN PID PV1 FT1 DG1",
    "MFN^M02": "MFI MFE STF PRA LAN",
    "REF^I12": "RF1 PRD PID NK1 DG1 PV1 NTE",
}
USUAL = {("OBX", 2): "NM", ("OBX", 5): "5", ("OBX", 11): "F", ("PV1", 2): "I", ("PID", 5): "Doe^Jo", ("MFE", 1): "MUP", ("MFI", 1): "PRA"}
FIELD = re.compile(r"([A-Z][A-Z0-9]{2})-(\d+)")
READ = {(name, int(number)) for pack in PACKS for row in compiled(pack).pack.rows for name, number in FIELD.findall(f"{row.source} {row.ig}")}
CASES = sorted((kind, name, number) for kind, names in FAMILIES.items() for name, number in READ if name in names.split())
MOST = {name: max((number for of, number in READ if of == name), default=3) for names in FAMILIES.values() for name in names.split()}
NOTHINGS = ('""', '""~""', '""^""^""', "^^", "~", 'A^""^L~""', "&", '""&""^A', " ", "0")


def line(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(number, USUAL.get((name, number), "1^A^L")) for number in range(1, MOST[name] + 1))])


def message(kind: str, changed: dict[tuple[str, int], str]) -> bytes:
    lines = [line(name, {number: text for (of, number), text in changed.items() if of == name}) for name in FAMILIES[kind].split()]
    return ("\r".join([MSH.format(kind=kind), *lines]) + "\r").encode()


def bundles(raw: bytes) -> list[dict]:
    found = read(raw, {}, Leftovers.CARRY)
    return [orjson.loads(FORMAT.write(one.document, {}, "M1", Origin("", parsed))[0]) for one in found for parsed in (None, one.parsed)]


def empties(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from empties(inner, f"{path}/{name}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from empties(inner, f"{path}/{at}")
    if value is None or value in ("", [], {}):
        yield path


@pytest.mark.parametrize("kind", FAMILIES)
def test_no_row_that_reads_an_explicit_null_leaves_anything_empty(kind):
    numbers = sorted({number for of, _, number in CASES if of == kind})
    raws = [message(kind, {(name, at): '""' for of, name, at in CASES if of == kind and at == number}) for number in numbers]
    assert len(raws) > 5
    assert set() == {(number, path) for number, raw in zip(numbers, raws, strict=True) for one in bundles(raw) for path in empties(one)}


@pytest.mark.parametrize("kind", FAMILIES)
@settings(max_examples=10)
@given(st.integers(0, 2**32).map(Random))
def test_no_fields_that_hold_nothing_leave_anything_empty(kind, chance):
    places = [(name, number) for name in FAMILIES[kind].split() for number in range(1, MOST[name] + 1) if chance.random() < 0.4]
    found = bundles(message(kind, {place: chance.choice(NOTHINGS) for place in places}))
    assert [] == [path for one in found for path in empties(one)]
    assert [] == [issue for one in found for issue in check_resource(one)]


def test_an_explicit_null_of_the_discharge_leaves_the_inpatient_in_progress():
    raw = MSH.format(kind="ADT^A01") + "\rPID|1||7\rPV1|1|I|" + "|" * 41 + '20260101093000|""\r'
    [encounter] = [entry["resource"] for entry in bundles(raw.encode())[1]["entry"] if entry["resource"]["resourceType"] == "Encounter"]
    assert ("in-progress", {"start": "2026-01-01T09:30:00.000Z"}) == (encounter["status"], encounter["period"])


DOCUMENTS = sorted(
    {*PLANS, "PatientAdmin.Arrival", "Results.New", "Order.New", "Scheduling.New", "Vaccination.New", "Medications.New", "Financial.Transaction"}
)


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("nothing", [None, ""])
@settings(max_examples=5)
@given(chance=st.integers(0, 2**32).map(Random))
def test_no_member_of_a_document_that_holds_nothing_leaves_anything_empty(name, nothing, chance):
    model, _, event = name.rpartition(".")
    document = example(model, event)
    emptied = {**{key: without(value, chance, nothing) for key, value in document.items()}, "Meta": document["Meta"]}
    assert [] == list(empties(orjson.loads(FORMAT.write(emptied, {}, "M1")[0])))


def without(value: object, chance: Random, nothing: object) -> object:
    if isinstance(value, dict):
        return {name: without(inner, chance, nothing) for name, inner in value.items()}
    if isinstance(value, list):
        return [without(inner, chance, nothing) for inner in value]
    return nothing if chance.random() < 0.3 else value
