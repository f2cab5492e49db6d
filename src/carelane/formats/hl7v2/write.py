"""Documents → HL7 v2 (2.5.1 unless the destination says otherwise), by the same rows read backwards."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import orjson

from carelane.domain.errors import Unmappable
from carelane.domain.message import Issue
from carelane.formats.hl7v2 import queries
from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.collector import AFTER
from carelane.formats.hl7v2.escapes import STANDARD, escape
from carelane.formats.hl7v2.overlays import overlay_in_use
from carelane.formats.hl7v2.packs import ABOUT_A_PATIENT, ASKED, LED, ORDERED, Map, map_of
from carelane.formats.hl7v2.restore import rebuilt, restore
from carelane.formats.hl7v2.shape import from_patient, unfit
from carelane.formats.hl7v2.structure import first_of_order
from carelane.formats.hl7v2.target import USUAL_CHARSET, apart, chosen_message, control_id, encoded, message_type, requests_first, specimens_first
from carelane.formats.hl7v2.times import from_iso
from carelane.formats.hl7v2.triggers import trigger_table
from carelane.mapping.document import without_leftovers
from carelane.mapping.overlay import overlay_of
from carelane.mapping.runtime import Meter

# The code and trigger an event is written with when the document does not remember its own.
_USUAL: Mapping[str, str] = {
    "PatientAdmin.Arrival": "ADT^A01", "PatientAdmin.Transfer": "ADT^A02", "PatientAdmin.Discharge": "ADT^A03", "PatientAdmin.Registration": "ADT^A04",
    "PatientAdmin.PreAdmit": "ADT^A05", "PatientAdmin.VisitUpdate": "ADT^A08", "PatientAdmin.NewPatient": "ADT^A28", "PatientAdmin.PatientUpdate": "ADT^A31",
    "PatientAdmin.PatientMerge": "ADT^A40", "PatientAdmin.VisitMerge": "ADT^A41", "PatientAdmin.VisitQuery": "QBP^ZV1",
    "Results": "ORU^R01", "Results.Query": "QRY^R02", "Results.QueryResponse": "ORF^R04", "Flowsheet": "ORU^R01", "Device": "ORU^R01",
    "Order": "ORM^O01", "Order.Query": "OSQ^Q06", "Order.QueryResponse": "OSR^Q06", "Scheduling.New": "SIU^S12", "Scheduling.Reschedule": "SIU^S13",
    "Scheduling.Modification": "SIU^S14", "Scheduling.Cancel": "SIU^S15", "Scheduling.NoShow": "SIU^S26", "Scheduling.PushSlots": "SIU^S23",
    "Scheduling.Booked": "SQM^S25", "Scheduling.BookedResponse": "SQR^S25", "SurgicalScheduling.New": "SIU^S12",
    "SurgicalScheduling.Reschedule": "SIU^S13", "SurgicalScheduling.Modification": "SIU^S14", "SurgicalScheduling.Cancel": "SIU^S15",
    "SurgicalScheduling.NoShow": "SIU^S26", "Notes.New": "MDM^T02", "Notes.Replace": "MDM^T10", "Notes.Delete": "MDM^T11", "Media.New": "MDM^T02",
    "Media.Replace": "MDM^T10", "Media.Delete": "MDM^T11", "Financial.Transaction": "DFT^P03", "Financial.AccountUpdate": "BAR^P05",
    "Vaccination": "VXU^V04", "Vaccination.PatientQuery": "QBP^Q11", "Vaccination.PatientQueryResponse": "RSP^K11", "Medications": "RDE^O11",
    "Medications.Administration": "RAS^O17", "Provider": "MFN^M02", "Inventory.Update": "MFN^M16", "Referral.New": "REF^I12",
    "Referral.Modify": "REF^I13", "Referral.Cancel": "REF^I14", "Referral.AuthReview": "RQA^I08", "Referral.AuthResponse": "RPA^I08",
    "PatientSearch.Query": "QBP^Q22", "PatientSearch.Response": "RSP^K22",
}  # fmt: skip
_CANCELS = {"Arrival": "A11", "Registration": "A11", "Transfer": "A12", "Discharge": "A13", "PreAdmit": "A38"}
_SPECIMEN_LED = frozenset({"OML^O33", "OUL^R22", "OUL^R23"})
"""Messages whose groups are a specimen and its orders (chapters 4 and 7)."""
_EVN = frozenset({"ADT", "BAR", "DFT", "MDM"})
# Rows write a drug as the pharmacy encodes it (RXE); these are its places in an order as it is asked for (RXO).
_RXO = {2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 7, 10: 11, 11: 12, 12: 13, 13: 14, 16: 13, 21: 6, 23: 21, 24: 22, 25: 18, 26: 19, 27: 20}
_CONTROL = {"New": "NW", "Update": "XO", "Cancel": "CA"}


def write(document: Mapping[str, Any], settings: Mapping[str, Any], message_id: str) -> tuple[bytes, list[Issue]]:
    """Write a message, with ``orders: apart`` one for each order, one after another. ``message_id`` becomes MSH-10.

    Raises:
        Unmappable: the model or event has no HL7 v2 message, its text does not fit the destination's character set, or an overlay
            does not fit its map or asks for too much.
    """
    meta = document.get("Meta") or {}
    model, event = str(meta.get("DataModel")), str(meta.get("EventType"))
    if model.startswith("FHIR."):
        raise Unmappable("a FHIR subscription delivers FHIR; give it a FHIR or JSON destination, or subscribe to the data model")
    overlay = overlay_in_use(settings, len(orjson.dumps(document))) if overlay_of(settings) else None
    found = overlay.map_of(model, event) if overlay else map_of(model, event)
    if found is None:
        raise Unmappable(f"there is no HL7 v2 map for {model}.{event}")
    code, trigger = chosen_message(settings, model, event) or _trigger(model, event, meta)
    carried = dict(document) if settings.get("leftovers") == "carry" else without_leftovers(document)
    issues: list[Issue] = []
    builder = _built(carried, model, event, code, found, issues, overlay.meter if overlay else None)
    between = queries.segments_of(carried, model, event, builder, message_id)
    extensions = (carried.get("Meta") or {}).get("Extensions") or {}
    head = [_evn(meta, trigger, next(iter(extensions.get("v2.EVN") or []), {}))] if code in _EVN else []
    lines = [*head, *between, *builder.lines(found.compiled.pack.order)]
    if f"{code}^{trigger}" in _SPECIMEN_LED:
        lines = specimens_first(lines)
    version, charset = str(settings.get("version") or "2.5.1"), str(settings.get("charset") or USUAL_CHARSET)
    first = first_of_order(code, trigger, version)
    lines = restore(requests_first(lines) if first == "OBR" else lines, extensions, found)
    messages = apart(lines, first) if settings.get("orders") == "apart" else [lines]
    text = []
    for number, one in enumerate(messages, 1):
        text += [_msh(carried, message_type(code, trigger, version), version, control_id(message_id, version, number, len(messages)), settings), *one]
    return encoded("\r".join([*text, ""]), charset), issues


def _built(document: Mapping[str, Any], model: str, event: str, code: str, found: Map, issues: list[Issue], meter: Meter | None) -> Builder:
    whole: dict[str, Any] = unfit(dict(document))
    from_patient(whole)
    builder = Builder(meter=meter)
    matches = whole.pop("PotentialMatches", None)
    for number, patient in enumerate(matches if isinstance(matches, list) else []):
        if isinstance(patient, dict):
            child = builder.branch("PID", number)
            for step in found.compiled.back:
                step({"Patient": patient}, child)
    for step in found.compiled.back:
        step(whole, builder)
    if code in ASKED and model == "Medications":
        for branch in [builder, *builder.branches.get("ORC", [])]:
            _as_ordered(branch, issues)
    _complete(whole, model, event, code, builder, found.compiled.pack.order, issues)
    return builder


def _trigger(model: str, event: str, meta: Mapping[str, Any]) -> tuple[str, str]:
    remembered = ((meta.get("Extensions") or {}).get("v2-trigger") or {}).get("string", "")
    code, _, trigger = str(remembered).partition("^")
    if code in trigger_table() and trigger:
        return code, trigger
    if (model, event) == ("PatientAdmin", "Cancel"):
        found = _CANCELS.get(str(meta.get("CanceledEvent")))
        usual = f"ADT^{found}" if found else None
    else:
        usual = _USUAL.get(f"{model}.{event}") or _USUAL.get(model)
    if usual is None:
        raise Unmappable(f"{model}.{event} has no HL7 v2 trigger event")
    code, _, trigger = usual.partition("^")
    return code, trigger


def _msh(document: Mapping[str, Any], kind: str, version: str, control: str, settings: Mapping[str, Any]) -> str:
    meta = document.get("Meta") or {}
    came: Any = next(iter((meta.get("Extensions") or {}).get("v2.MSH") or []), None)
    came = came if isinstance(came, dict) else {}

    def head(setting: str, number: int, usual: str = "") -> str:
        return _text(settings.get(setting)) or _hd(came.get(str(number))) or _text(usual)

    fields = [
        "MSH",
        STANDARD.msh2,
        head("sending_application", 3, "CARELANE"),
        head("sending_facility", 4, str(meta.get("FacilityCode") or "")),
        head("receiving_application", 5),
        head("receiving_facility", 6),
        _hd(came.get("7")) or from_iso(meta.get("EventDateTime") or "", None) or "",
        _hd(came.get("8")),
        kind,
        control,
        _mode(_hd(came.get("11")), test=bool(meta.get("Test"))),
        version,
        *(_hd(came.get(str(number))) for number in range(13, 18)),
        str(settings.get("charset") or USUAL_CHARSET),
        *(_hd(came.get(str(number))) for number in range(19, 29)),
    ]
    return "|".join(fields if version >= "2.3" else fields[:17]).rstrip("|")  # character set and conformance came with 2.3


def _mode(came: str, *, test: bool) -> str:
    """MSH-11: the sender's own where it says the same; training and debugging are tests too."""
    return came if came and (came[:1] != "P") == test else "T" if test else "P"


def _hd(value: Any) -> str:
    """A field of MSH as leftovers carry it."""
    return rebuilt(value) if isinstance(value, str | dict | list) else ""


def _evn(meta: Mapping[str, Any], trigger: str, left: Mapping[str, Any]) -> str:
    """The event's time is when it was recorded, unless the sender told that apart; what is left over comes back by itself."""
    moment = from_iso(meta.get("EventDateTime") or "", None) or ""
    code = "" if "1" in left else trigger
    return (f"EVN|{code}|||||{moment}" if "2" in left else f"EVN|{code}|{moment}").rstrip("|")


def _complete(document: Mapping[str, Any], model: str, event: str, code: str, builder: Builder, order: Sequence[str], issues: list[Issue]) -> None:
    """What the structure requires, and required fields with their defaults; what had to be made up is reported."""
    if "PID" in builder.segments or ("PID" in order and code in ABOUT_A_PATIENT and "PID" not in builder.branches):
        for number in (3, 5):
            if not builder.segments.get("PID", {}).get(number):
                issues.append(Issue("warning", "required-missing", target=f"PID-{number}"))
        if event not in ("Query", "PatientQuery"):
            builder.segments.setdefault("PID", {}).setdefault(1, [[["1"]]])
    came = (document.get("Meta") or {}).get("Extensions") or {}
    if "PV1" in builder.segments or (model == "PatientAdmin" and document.get("Visit") and event != "VisitQuery" and "v2.MSH" not in came):
        _visit(builder, dict(next(iter(came.get("v2.PV1") or []), None) or {}), issues)
    if "v2.RGS" not in came and any(name in builder.segments or name in builder.branches for name in ("AIS", "AIG", "AIL", "AIP")):
        builder.put("RGS", 1, 1, 1, "1")
    if "TXA" in builder.segments:
        builder.put("TXA", 1, 1, 1, "1")
    _orders(document, model, event, builder)
    _masters(event, builder)


def _visit(builder: Builder, left: Mapping[str, Any], issues: list[Issue]) -> None:
    """PV1-2 is required; a class no row reads comes back by itself."""
    if not builder.segments.setdefault("PV1", {}).get(2) and "2" not in left:
        builder.put("PV1", 2, 1, 1, "U")
        issues.append(Issue("warning", "required-missing", target="PV1-2", text="written as U, unknown"))
    builder.put("PV1", 1, 1, 1, "1")


def _orders(document: Mapping[str, Any], model: str, event: str, builder: Builder) -> None:
    """An order group's ORC: its control code is the sender's, else what the event says, and ORC and OBR share their numbers."""
    for number, branch in enumerate(builder.branches.get("ORC", []), 1):
        if "OBR" in branch.segments:
            branch.put("OBR", 1, 1, 1, str(number))
    if model not in ORDERED or event == "Query":
        return
    extensions = (document.get("Meta") or {}).get("Extensions") or {}
    came, asked = _own(extensions, "v2.ORC"), iter(_own(extensions, "v2.OBR"))
    orders = [*(document.get("Orders") or []), document.get("Order")]
    branches = builder.branches.get("ORC", [])
    for branch, order, left in zip_longest(branches, orders[: len(branches)], came[: len(branches)]):
        if model not in LED and not left and "ORC" not in branch.segments:
            continue
        status = str((order.get("Status") if isinstance(order, dict) else None) or event)
        control = _CONTROL.get(status, "NW") if model in ("Order", "Medications") else "RE"
        head = branch.segments.setdefault("ORC", {})
        request = branch.segments.get("OBR")
        requested = (next(asked, None) if request is not None else None) or {}
        own = left or {}  # what the sender's own ORC said comes back by itself
        if "1" not in own:
            head.setdefault(1, [[[control]]])
        for number in (2, 3) if request is not None else ():
            for one, other, mine in ((head, request, own), (request, head, requested)):
                if other and number in other and str(number) not in mine:
                    one.setdefault(number, other[number])  # type: ignore[union-attr]


def _own(extensions: Mapping[str, Any], name: str) -> list[Mapping[str, Any] | None]:
    """The leftovers of the segments of a name that rows write."""
    return [one if isinstance(one, dict) else None for one in extensions.get(name) or [] if not (isinstance(one, dict) and AFTER in one)]


def _as_ordered(branch: Builder, issues: list[Issue]) -> None:
    """ORM and OMP ask for a drug in RXO; what RXO has no place for is reported."""
    encoded = branch.segments.pop("RXE", None)
    for number, value in (encoded or {}).items():
        if number in _RXO:
            branch.segments.setdefault("RXO", {})[_RXO[number]] = value
        else:
            issues.append(Issue("warning", "not-written", target=f"RXE-{number}", text="an order as it is asked for has no place for it"))


def _masters(event: str, builder: Builder) -> None:
    """Every master-file entry says what is to be done with it (MFE-1, table 0180)."""
    action = {"New": "MAD", "Update": "MUP", "Deactivate": "MDC", "Activate": "MAC"}.get(event, "MUP")
    for branch in builder.branches.get("MFE", []):
        branch.put("MFE", 1, 1, 1, action)


def _text(value: Any) -> str:
    return "" if value is None else escape(str(value), STANDARD)
