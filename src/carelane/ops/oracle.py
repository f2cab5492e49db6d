"""HL7's v2-to-FHIR tables as a judge: for each leaf of a message that a table sends somewhere without a condition, is its value there?

The tables are the CSV files of HL7's repository ``v2-to-fhir``; they are read where they lie and are no part of the maps.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from carelane.domain.message import Leftovers
from carelane.formats.fhir.write import bundle_of
from carelane.formats.hl7v2.escapes import unescape
from carelane.formats.hl7v2.message import Message, parse
from carelane.formats.hl7v2.read import read

_ALWAYS = ("MSH[MessageHeader]", "PID[Patient]", "PD1[Patient]", "NK1[RelatedPerson]", "NK1[Patient]", "PV1[Encounter]", "PV2[Encounter]",
           "AL1[AllergyIntolerance]", "IN1[Coverage]", "PID[Account]")  # fmt: skip
_RESULT = ("ORC[DiagnosticReport]", "OBR[DiagnosticReport]", "OBX[Observation]", "SPM[Specimen]", "NTE[Observation]")
_ORDER = ("ORC[ServiceRequest]", "OBR[ServiceRequest]", "SPM[Specimen]", "OBX[Observation]")
SCOPE: dict[str, tuple[str, ...]] = {
    "ADT": (*_ALWAYS, "DG1[Condition]", "PR1[Procedure]", "EVN[Provenance]", "OBX[Observation]"),
    "ORU": (*_ALWAYS, *_RESULT), "OUL": (*_ALWAYS, *_RESULT), "ORM": (*_ALWAYS, *_ORDER), "OML": (*_ALWAYS, *_ORDER), "OMG": (*_ALWAYS, *_ORDER),
    "VXU": (*_ALWAYS, "RXA[Immunization]", "RXR[Immunization]", "ORC[Immunization]"),
    "SIU": (*_ALWAYS, "SCH[Appointment]", "AIS[Appointment]", "AIL[Appointment]", "AIP[Appointment]"),
    "MDM": (*_ALWAYS, "TXA[DocumentReference]"),
}  # fmt: skip
_DATES = frozenset({"DTM", "TS", "DT"})


@dataclass(frozen=True)
class Row:
    """A table row without a condition: a field, where it goes, and the data type map its components go by."""

    segment: str
    field: int
    kind: str
    resource: str
    element: str
    types: str
    vocabulary: str


def _lines(path: Path) -> Iterator[list[str]]:
    for cells in list(csv.reader(path.open(encoding="utf-8-sig")))[2:]:
        yield [cell.strip() for cell in cells] + [""] * 20


@cache
def rows(tables: Path, table: str) -> tuple[Row, ...]:
    """Return the unconditional rows of one segment map."""
    found = []
    [path] = [one for one in (tables / "segments").iterdir() if f"R4_ {table} - " in one.name]
    for cells in _lines(path):
        target = cells[9]
        named = re.fullmatch(r"([A-Z][A-Z0-9]{2})-(\d+)", cells[1])
        if (
            not named
            or not target
            or cells[6]
            or cells[8]
            or cells[16]
            or cells[18].startswith('"')
            or "extension" in target
            or target.startswith(("$", "meta", "text."))
        ):
            continue
        resource = re.sub(r"[^A-Za-z].*", "", table.partition("[")[2])
        element = re.sub(r"\[[^\]]*\]", "", target).split("(")[0].split(".")[0]
        nested = [one for one in re.findall(r"\(([A-Z][A-Za-z]+)", target) if one not in ("Annotation", "PractitionerRole")]
        if "(" in target and (not nested or not cells[14]):
            continue  # the table makes a resource there without saying of what
        referred = re.fullmatch(r"Reference\((\w+)\)", cells[11]) if not nested and cells[14] else None
        inner = nested[-1] if nested else referred.group(1) if referred else None
        found.append(Row(named[1], int(named[2]), cells[3], inner or resource, "" if inner else element, cells[14], cells[15]))
    return tuple(found)


@cache
def components(tables: Path, types: str) -> tuple[tuple[int, int], ...]:
    """Return the components a data type map sends somewhere without a condition, with the sub-component; (1, 1) for a map of none."""
    paths = [one for one in (tables / "datatypes").iterdir() if f"R4_ {types} - " in one.name] if types else []
    if not paths:
        return ((1, 1),)
    found = []
    for cells in _lines(paths[0]):
        named = re.fullmatch(r"[A-Z]{2,3}\.(\d+)", cells[1])
        said = any(cells[at] for at in range(8, 13))
        if named and said and "extension" not in " ".join(cells[8:13]) and not cells[6] and not cells[8] and int(named[1]) not in _CODES.get(types, ()):
            found.append((int(named[1]), 1))
    return tuple(dict.fromkeys(found))


# Components whose text is translated (coding systems, uses, types): they are judged by vocabulary tests, not by their text.
_CODES = {
    "CWE[CodeableConcept]": (3, 6, 12),
    "CNE[CodeableConcept]": (3, 6, 12),
    "CE[CodeableConcept]": (3, 6),
    "CWE[Coding]": (3,),
    "CWE[Organization]": (3,),
    "XPN[HumanName]": (7, 10, 11),
    "XAD[Address]": (7, 12),
    "XTN[ContactPoint]": (1, 2, 3, 4, 5, 6, 7, 8, 12),
    "XCN[Practitioner]": (7, 9, 10, 17),
    "XCN[PractitionerRole]": (7, 9, 10, 17),
    "CX[Identifier]": (4, 6),
}


def expected(message: Message, tables: Path) -> Iterator[tuple[str, str, str, str, bool]]:
    """Yield (path, resource, element, value, is a date) for every leaf a table sends somewhere."""
    code = message.get("MSH", 9) or ""
    for table in SCOPE.get(code, ()):
        for row in rows(tables, table):
            for segment in message.by_name.get(row.segment, ()):
                for text in segment.field(row.field).split(message.seps.repetition) if segment.field(row.field) else ():
                    for component, sub in components(tables, row.types):
                        leaf = message.leaf(text, component, sub)
                        if not leaf or leaf == '""' or (row.vocabulary and component == 1 and not row.types.startswith(("CWE[Codeable", "CNE", "CE["))):
                            continue
                        yield (
                            f"{table}#{row.segment}-{row.field}",
                            row.resource,
                            row.element,
                            unescape(leaf, message.seps, message.codec),
                            row.kind in _DATES,
                        )


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _values(one)
    elif isinstance(value, list):
        for one in value:
            yield from _values(one)
    elif isinstance(value, bool):
        yield "Y" if value else "N"
    elif value is not None:
        yield str(value)


def _matches(value: str, texts: list[str], *, date: bool) -> bool:
    wanted = value.strip()
    if date:
        day = re.sub(r"\D", "", wanted)[:8]
        return any(re.sub(r"\D", "", text)[: len(day)] == day for text in texts) or any(_near(day, text) for text in texts)
    if re.fullmatch(r"\d{8,14}([+-]\d{4})?", wanted) and _matches(wanted, texts, date=True):
        return True
    if any(wanted == text or (len(wanted) > 3 and wanted in text) for text in texts):
        return True
    try:
        number = float(wanted)
    except ValueError:
        return False
    return any(_number(text) == number for text in texts)


def _near(day: str, text: str) -> bool:
    """A time told in UTC may fall on the day before or after."""
    digits = re.sub(r"\D", "", text)[:8]
    return len(day) == 8 == len(digits) and digits.isdigit() and "T" in text and abs(int(day) - int(digits)) == 1


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def judge(raw: bytes, tables: Path, seen: "Seen") -> None:
    """Add to what was seen; a message type the tables are not asked about adds nothing.

    Raises:
        Unreadable: the message has no documents.
    """
    message = parse(raw)
    if (message.get("MSH", 9) or "") not in SCOPE:
        return
    entries: list[dict[str, Any]] = []
    for one in read(raw, {}, Leftovers.CARRY):
        entries += [entry["resource"] for entry in bundle_of(one.document, {}, "M1")[0].get("entry", [])]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_kind.setdefault(entry["resourceType"], []).append(entry)
    everything = list(_values(entries))
    for row, resource, element, value, date in expected(message, tables):
        here = list(
            _values([one if not element else [one.get(name) for name in one if name.lstrip("_").startswith(element)] for one in by_kind.get(resource, ())])
        )
        found = _matches(value, here, date=date)
        seen.add(row, found, found or _matches(value, everything, date=date))


@dataclass
class Seen:
    """By table row: how many values it sent somewhere, how many were in that element, how many anywhere in the bundle."""

    rows: dict[str, list[int]] = field(default_factory=dict)

    def add(self, row: str, there: bool, anywhere: bool) -> None:
        """Count one value."""
        counts = self.rows.setdefault(row, [0, 0, 0])
        counts[0] += 1
        counts[1] += there
        counts[2] += anywhere

    def sums(self) -> tuple[int, int, int]:
        """Return all rows together."""
        return sum(one[0] for one in self.rows.values()), sum(one[1] for one in self.rows.values()), sum(one[2] for one in self.rows.values())

    def proven(self) -> set[str]:
        """Return the rows whose values are nearly always in their element."""
        return {row for row, (whole, there, _) in self.rows.items() if there >= 0.9 * whole}


# One value for each HL7 v2 data type, told apart so that a value in the wrong element is not taken for the right one.
_SAMPLES = {
    "CX": "CX{n}^^^AUTH^MR",
    "XPN": "Family{n}^Given{n}",
    "XAD": "{n} Street^^City{n}^ST^4{n}",
    "XTN": "555-{n}",
    "CWE": "C{n}^Text {n}^L",
    "CNE": "C{n}^Text {n}^L",
    "CE": "C{n}^Text {n}^L",
    "XCN": "X{n}^Family{n}^Given{n}",
    "PL": "W{n}^R{n}^B{n}^F{n}",
    "DTM": "20260102030405+0000",
    "TS": "20260102030405+0000",
    "DT": "20260102",
    "NM": "{n}",
    "XON": "Org {n}",
    "EI": "E{n}^NS",
    "HD": "NS{n}",
    "EIP": "P{n}&NS^F{n}&NS",
    "DR": "20260102030405+0000",
    "CQ": "{n}^mg",
    "DLD": "D{n}",
    "FC": "F{n}",
    "DLN": "DL{n}",
    "NDL": "N{n}&Family&Given",
    "SPS": "SP{n}&Blood",
    "MSG": "ADT^A01",
    "PT": "P",
    "TM": "1200",
}
_BASES = {
    "PID": "PID|1||7^^^N^MR||Doe^Jo",
    "PV1": "PV1|1|I",
    "OBX": "OBX|1|ST|1^Code^L||text||||||F",
    "OBR": "OBR|1|P1|F1|1^Panel^L|||||||||||||||||||||F",
    "ORC": "ORC|NW|P1|F1",
    "NK1": "NK1|1|Roe^Al",
    "AL1": "AL1|1|DA|7^Nuts^L",
    "DG1": "DG1|1||E11^Name^L",
    "PR1": "PR1|1||9^Name^L",
    "IN1": "IN1|1|PLAN",
    "RXA": "RXA|0|1|20260102||140^Flu^CVX|1",
    "RXR": "RXR|IM",
    "SPM": "SPM|1|P&N^F&N||BLD",
    "SCH": "SCH|1|2",
    "TXA": "TXA|1|PN|TX||||||||D1",
    "EVN": "EVN|A01|20260102030405+0000",
}
_LAYOUTS = {
    "ADT": ("ADT^A01", ("EVN", "PID", "PV1")),
    "ORU": ("ORU^R01", ("PID", "PV1", "ORC", "OBR", "OBX")),
    "OUL": ("OUL^R21", ("PID", "PV1", "ORC", "OBR", "OBX")),
    "ORM": ("ORM^O01", ("PID", "PV1", "ORC", "OBR")),
    "OML": ("OML^O21", ("PID", "PV1", "ORC", "OBR")),
    "OMG": ("OMG^O19", ("PID", "PV1", "ORC", "OBR")),
    "VXU": ("VXU^V04", ("PID", "PV1", "ORC", "RXA")),
    "SIU": ("SIU^S12", ("SCH", "PID", "PV1")),
    "MDM": ("MDM^T02", ("PID", "PV1", "TXA", "OBX")),
}


def one_field(code: str, row: Row, number: int) -> bytes | None:
    """Return a message of a family in which nothing is special but the field of one row; None for a type there is no sample of."""
    sample = _SAMPLES.get(row.kind, "T{n}" if row.kind in ("ST", "ID", "IS", "TX", "FT") else "")
    if not sample:
        return None
    kind, names = _LAYOUTS[code]
    head = f"MSH|^~\\&|A|B|C|D|20260102030405+0000||{kind}|C1|P|2.5"
    lines = {"MSH": head, **{name: _BASES[name] for name in names}}
    base = lines.setdefault(row.segment, _BASES.get(row.segment, row.segment))
    fields = base.split("|")
    at = row.field - 1 if row.segment == "MSH" else row.field
    if at < 1:
        return None
    fields += [""] * (at + 1 - len(fields))
    fields[at] = sample.format(n=number)
    lines[row.segment] = "|".join(fields)
    return ("\r".join(lines.values()) + "\r").encode()


def proven_alone(code: str, tables: Path) -> set[str]:
    """Return the rows of a family that a message holding hardly anything but their field proves."""
    found = set()
    for table in SCOPE.get(code, ()):
        for number, row in enumerate(rows(tables, table), 100):
            raw = one_field(code, row, number)
            key = f"{table}#{row.segment}-{row.field}"
            if raw is None:
                continue
            seen = Seen()
            judge(raw, tables, seen)
            whole, there, _ = seen.rows.get(key, [0, 0, 0])
            if whole and there == whole:
                found.add(key)
    return found
