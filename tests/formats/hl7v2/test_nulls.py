"""An explicit null (``""``) is not a value: whatever field of whatever map has one reads as if nothing stood there, and comes back where it stood."""

import pytest

from carelane.domain.errors import Unreadable
from carelane.domain.message import Leftovers
from carelane.formats.hl7v2.packs import ALL, compiled_map, pack_name, pack_of
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.triggers import trigger_table
from carelane.formats.hl7v2.write import write

KINDS = {
    pack_name(line.model, event): f"{code}^{trigger}" for code, lines in trigger_table().items() for trigger, line in lines.items() for event in line.events
}
SETTINGS = {"device": {"ORU^R01": "Device.New"}, "flowsheet": {"ORU^R01": "Flowsheet.New"}, "surgery": {"SIU^S12": "SurgicalScheduling.New"}}
USUAL = {
    "device": "ORU^R01",
    "flowsheet": "ORU^R01",
    "surgery": "SIU^S12",
    "media": "MDM^T02",
    "notes": "MDM^T02",
    "order": "ORM^O01",
    "orders": "ORM^O01",
    "patientadmin": "ADT^A08",
}
FIXED = {("MSH", 1), ("MSH", 2), ("MSH", 9), ("MSH", 12)}
ASKED = ("RXO",)
FIELDS = [
    (name, segment, number)
    for name in ALL
    for segment, fields in compiled_map(name).covered.items()
    for number in fields
    if number and (segment, number) not in FIXED
]
VALUES = {
    ("PV1", 44): "20260101093000", ("PID", 5): "Doe^Jo", ("PID", 3): "7^^^N^MR", ("OBX", 2): "ST", ("OBX", 5): "x", ("OBX", 3): "1^A^L", ("OBR", 4): "1^A^L", ("ORC", 1): "NW",
    ("RXA", 5): "1^A^CVX", ("RXE", 2): "1^A^L", ("FT1", 7): "1^A^L", ("AIS", 3): "1^A^L", ("MFE", 1): "MAD", ("STF", 3): "Doe^Jo",
}  # fmt: skip


def message(pack: str, segment: str, number: int, text: str) -> bytes:
    """One segment of each kind the pack reads, with little but what makes it one, and a text in one place."""
    covered = compiled_map(pack).covered
    head = ["MSH|^~\\&|A|B|C|D|20260101100000+0000", "", KINDS.get(pack) or USUAL[pack], "C1", "P", "2.5.1"]
    kind = USUAL.get(pack) or KINDS[pack]
    lines = []
    names = dict.fromkeys((*pack_of(pack).order, *covered))
    for name in names:
        if name == "MSH" or (name in ASKED and segment not in ASKED) or (segment in ASKED and name == "RXE"):
            continue
        fields = {at: value for (of, at), value in VALUES.items() if of == name}
        if name == "OBX" and pack == "media":
            fields = {2: "ED", 5: "^^^Base64^QQ=="}
        if name == segment:
            fields[number] = text
        lines.append("|".join([name, *(fields.get(at, "") for at in range(1, max(fields, default=0) + 1))]))
    fields = head[0].split("|")[1:]
    whole = {at + 1: value for at, value in enumerate(fields, 1)} | {9: kind, 10: "C1", 11: "P", 12: "2.5.1"}
    if segment == "MSH":
        whole[number] = text
    msh = "|".join(["MSH", "^~\\&", *(whole.get(at, "") for at in range(3, max(whole) + 1))])
    return ("\r".join([msh, *lines]) + "\r").encode()


def documents(raw: bytes, pack: str) -> list[dict]:
    found = [one.document for one in read(raw, {"triggers": SETTINGS.get(pack, {})})]
    for one in found:
        one["Meta"]["Extensions"].pop("explicit-nulls", None)
    return found


def empties(value, path: str = "") -> list[str]:
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        return [found for key, one in inner for found in empties(one, f"{path}.{key}")]
    return [path] if value in (None, "", '""') else []


FILLED = {("OBX", 2), ("OBX", 14), ("FT1", 1), ("TXA", 19), ("QRD", 8)}
"""Places that are written with what stands elsewhere where they are null: a value's type and time, a number, whether a file is here, whom is asked about."""
TEXTS = {("OBX", 5), ("NTE", 3)}
"""Fields of free text: they have no components, a delimiter in them is the sender's own character."""


@pytest.mark.parametrize("text", ['""', '""^""^""^""^""^""^""^""^""', '""~""', '""&""^""&""'], ids=["field", "components", "repetitions", "parts"])
@pytest.mark.parametrize("pack", ALL)
def test_a_null_in_any_mapped_field_reads_as_if_nothing_stood_there(pack, text):
    different = []
    for name, segment, number in FIELDS:
        if name != pack or ((segment, number) in TEXTS and ("^" in text or "&" in text)):
            continue
        told, silent = (documents(message(pack, segment, number, one), pack) for one in (text, ""))
        if told != silent or empties(told):
            different.append((segment, number))
    assert [] == different


@pytest.mark.parametrize("pack", ALL)
def test_a_null_comes_back_where_it_stood(pack):
    lost = []
    for name, segment, number in FIELDS:
        if name != pack or segment == "MSH" or (segment, number) in FILLED:
            continue
        document = read(message(pack, segment, number, '""'), {"triggers": SETTINGS.get(pack, {})}, Leftovers.CARRY)[0].document
        back = write(document, {"leftovers": "carry"}, "C1")[0].decode().split("\r")
        if not any(line.startswith(segment) and line.split("|")[number : number + 1] == ['""'] for line in back):
            lost.append((segment, number))
    assert [] == lost


def test_a_visit_whose_end_is_null_has_not_ended():
    raw = b"MSH|^~\\&|A|B|C|D|20260101||ADT^A08|C1|P|2.5\rPID|1||7^^^N^MR\rPV1|1|I" + b"|" * 42 + b'20260101093000|""\r'
    visit = read(raw, {})[0].document
    assert ("VisitUpdate", False) == (visit["Meta"]["EventType"], "DischargeDateTime" in visit["Visit"])


def test_a_null_where_the_message_says_its_mode_is_production():
    raw = b'MSH|^~\\&|A|B|C|D|20260101||ADT^A01|C1|""|2.5\rPID|1||7^^^N^MR\r'
    assert False is read(raw, {})[0].document["Meta"]["Test"]


def test_a_null_where_the_type_stands_is_no_type():
    with pytest.raises(Unreadable):
        read(b'MSH|^~\\&|A|B|C|D|20260101||""|C1|P|2.5\rPID|1||7^^^N^MR\r', {})
