"""The tables of the standard: made by a command, and alike wherever HL7 publishes them."""

import csv

import pytest

from carelane.formats.hl7v2.message import parse
from carelane.formats.hl7v2.structure import Part, orders_of, required_fields, structure_of
from tests.formats.hl7v2.structures import REQUIRED, STRUCTURES, required, structures


def test_the_table_of_structures_is_up_to_date():
    assert structures() == STRUCTURES.read_text()


def test_the_table_of_required_fields_is_up_to_date():
    assert required() == REQUIRED.read_text()


def of(kind: str, version: str):
    return parse(f"MSH|^~\\&|A|B|C|D|20260101||{kind}|C1|P|{version}\r".encode())


def paths(parts: tuple[Part, ...], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [path for part in parts for path in (paths(part.parts, above if part.choice else (*above, part.name)) if part.parts else [(*above, part.name)])]


def test_groups_are_read_with_what_may_be_missing_or_repeated():
    specimen = next(part for part in structure_of(of("OUL^R22^OUL_R22", "2.5.1")) if part.name == "SPECIMEN")
    assert (False, True, ["SPM", "OBX", "CONTAINER", "ORDER"]) == (specimen.optional, specimen.repeating, [part.name for part in specimen.parts])


def test_a_version_the_table_lacks_is_read_as_the_one_before_it():
    assert structure_of(of("ORU^R01^ORU_R01", "2.5.2")) == structure_of(of("ORU^R01^ORU_R01", "2.5.1"))


def test_a_version_that_cannot_be_read_is_the_newest():
    assert structure_of(of("ORU^R01^ORU_R01", "")) == structure_of(of("ORU^R01^ORU_R01", "2.8.2"))


def test_a_message_nobody_defined_has_no_structure():
    assert ((), None) == (structure_of(of("ZZZ^Z01", "2.5.1")), orders_of(of("ZZZ^Z01", "2.5.1")))


def test_required_fields_are_those_of_the_version():
    assert ([1, 2, 3, 5], [2, 3, 5]) == (required_fields("RXE", "2.3"), required_fields("RXE", "2.5.1"))


def published(shared) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The segments of each message that HL7's tables for FHIR name, in their order, with the groups they stand in."""
    found = []
    for file in sorted((shared / "v2-to-fhir-mapping-tables" / "messages").glob("*.csv")):
        name = file.stem.removeprefix("HL7 Message - FHIR R4_ ").removesuffix(" - Sheet1")
        with file.open(newline="") as lines:
            rows = [row[1].split(".") for row in csv.reader(lines) if len(row) > 3 and row[1].startswith(name + ".") and not row[3].startswith("---")]
        found.append((name, list(dict.fromkeys(tuple(part.strip() for part in row[1:]) for row in rows))))
    return found


def owners(names: list[tuple[str, ...]], segment: str) -> set[tuple[str, ...]]:
    return {path[:-1] for path in names if path[-1] == segment}


# Those tables are of version 2.9, which put OBX into groups of its own in ADT and took IN1 out of VXU.
@pytest.mark.parametrize("segment", ["PID", "PV1", "ORC", "OBR", "SPM", "RXA", "TXA", "RGS", "AIS"])
def test_segments_stand_in_the_groups_that_hl7_publishes_for_fhir(shared, segment):
    different = {}
    for name, theirs in published(shared):
        ours = paths(structure_of(of(f"{name.replace('_', '^')}^{name}", "2.8.2")))
        first = {len(path) for path in owners(theirs, segment)}, {len(path) for path in owners(ours, segment)}
        if first[0] != first[1]:
            different[name] = first
    assert {} == different


@pytest.mark.parametrize("name", ["ORU_R01", "ORM_O01", "OML_O21", "MDM_T02", "VXU_V04"])
def test_orc_stands_before_obr_where_hl7_publishes_it_so(shared, name):
    theirs = [path[-1] for path in dict(published(shared))[name]]
    before = "OBR" not in theirs or theirs.index("ORC") < theirs.index("OBR")
    assert before == (orders_of(of(f"{name.replace('_', '^')}^{name}", "2.8.2")).first == "ORC")
