"""Documents → HL7 v2 (2.5.1 unless the destination says otherwise), by the same rows read backwards."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from carelane.domain.errors import Unmappable
from carelane.domain.message import Issue
from carelane.formats.hl7v2 import queries
from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.escapes import STANDARD, escape
from carelane.formats.hl7v2.packs import Map, map_of
from carelane.formats.hl7v2.restore import restore
from carelane.formats.hl7v2.shape import from_patient, unfit
from carelane.formats.hl7v2.times import from_iso
from carelane.formats.hl7v2.triggers import trigger_table
from carelane.mapping.document import without_leftovers
from carelane.mapping.overlay import overlay_of

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
_EVN = frozenset({"ADT", "BAR", "DFT", "MDM"})
_ANSWERS = frozenset({"Response", "QueryResponse", "PatientQueryResponse", "PushSlots", "BookedResponse"})
_CONTROL = {"New": "NW", "Update": "XO", "Cancel": "CA"}


def write(document: Mapping[str, Any], settings: Mapping[str, Any], message_id: str) -> tuple[bytes, list[Issue]]:
    """Write one message in UTF-8; ``message_id`` becomes MSH-10, cut to 20 characters before version 2.7.

    Raises:
        Unmappable: the model or event has no HL7 v2 message.
    """
    meta = document.get("Meta") or {}
    model, event = str(meta.get("DataModel")), str(meta.get("EventType"))
    if model.startswith("FHIR."):
        raise Unmappable("a FHIR subscription delivers FHIR; give it a FHIR or JSON destination, or subscribe to the data model")
    found = map_of(model, event, overlay_of(settings))
    if found is None:
        raise Unmappable(f"there is no HL7 v2 map for {model}.{event}")
    code, trigger = _trigger(model, event, meta)
    carried = dict(document) if settings.get("leftovers") == "carry" else without_leftovers(document)
    issues: list[Issue] = []
    builder = _built(carried, model, event, found, issues)
    between = queries.segments_of(carried, model, event, builder, message_id)
    lines = [*([_evn(meta, trigger)] if code in _EVN else []), *between, *builder.lines(found.compiled.pack.order)]
    extensions = (carried.get("Meta") or {}).get("Extensions") or {}
    lines = restore(lines, extensions, found.written)
    msh = _msh(carried, code, trigger, str(settings.get("version") or "2.5.1"), message_id, settings)
    return ("\r".join([msh, *lines]) + "\r").encode(), issues


def _built(document: Mapping[str, Any], model: str, event: str, found: Map, issues: list[Issue]) -> Builder:
    whole: dict[str, Any] = unfit(dict(document))
    from_patient(whole)
    builder = Builder()
    matches = whole.pop("PotentialMatches", None)
    for number, patient in enumerate(matches if isinstance(matches, list) else []):
        if isinstance(patient, dict):
            child = builder.branch("PID", number)
            for step in found.compiled.back:
                step({"Patient": patient}, child)
    for step in found.compiled.back:
        step(whole, builder)
    _complete(whole, model, event, builder, found.compiled.pack.order, issues)
    return builder


def _trigger(model: str, event: str, meta: Mapping[str, Any]) -> tuple[str, str]:
    remembered = ((meta.get("Extensions") or {}).get("v2-trigger") or {}).get("string", "")
    code, _, trigger = str(remembered).partition("^")
    if code in trigger_table() and trigger and (code, model) != ("ORM", "Medications"):  # rows write a drug as RXE, not as RXO
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


def _msh(document: Mapping[str, Any], code: str, trigger: str, version: str, message_id: str, settings: Mapping[str, Any]) -> str:
    meta = document.get("Meta") or {}
    line = trigger_table()[code].get(trigger)
    kind = f"{code}^{trigger}" + (f"^{line.structure}" if line and line.structure else "")
    control = message_id if version >= "2.7" else message_id[-20:]
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
        from_iso(meta.get("EventDateTime") or "", None) or "",
        _hd(came.get("8")),
        kind,
        control,
        "T" if meta.get("Test") else "P",
        version,
        *(_hd(came.get(str(number))) for number in range(13, 18)),
        "UNICODE UTF-8",
        *(_hd(came.get(str(number))) for number in range(19, 29)),
    ]
    return "|".join(fields).rstrip("|")


def _hd(value: Any) -> str:
    """A field as leftovers carry it: a text, or components."""
    if isinstance(value, dict):
        return STANDARD.component.join(_text(value.get(str(at))) for at in range(1, 1 + max((int(key) for key in value if key.isdigit()), default=0)))
    return _text(value) if isinstance(value, str) else ""


def _evn(meta: Mapping[str, Any], trigger: str) -> str:
    return f"EVN|{trigger}|{from_iso(meta.get('EventDateTime') or '', None) or ''}".rstrip("|")


def _complete(document: Mapping[str, Any], model: str, event: str, builder: Builder, order: Sequence[str], issues: list[Issue]) -> None:
    """Segments the structure requires and required fields with their defaults; what had to be made up is reported."""
    if "PID" in builder.segments or ("PID" in order and "PID" not in builder.branches and event not in _ANSWERS):
        for number in (3, 5):
            if not builder.segments.get("PID", {}).get(number):
                issues.append(Issue("warning", "required-missing", target=f"PID-{number}"))
        if event not in ("Query", "PatientQuery"):
            builder.segments.setdefault("PID", {}).setdefault(1, [[["1"]]])
    if "PV1" in builder.segments or (model == "PatientAdmin" and document.get("Visit") and event != "VisitQuery"):
        if not builder.segments.setdefault("PV1", {}).get(2):
            builder.put("PV1", 2, 1, 1, "U")
            issues.append(Issue("warning", "required-missing", target="PV1-2", text="written as U, unknown"))
        builder.put("PV1", 1, 1, 1, "1")
    came = (document.get("Meta") or {}).get("Extensions") or {}
    if "v2.RGS" not in came and any(name in builder.segments or name in builder.branches for name in ("AIS", "AIG", "AIL", "AIP")):
        builder.put("RGS", 1, 1, 1, "1")
    if "TXA" in builder.segments:
        builder.put("TXA", 1, 1, 1, "1")
    _orders(document, model, event, builder)
    _masters(event, builder)


def _orders(document: Mapping[str, Any], model: str, event: str, builder: Builder) -> None:
    """Every order group has an ORC; its control code is the sender's, else what the event says, and ORC and OBR share their numbers."""
    if model not in ("Results", "Order", "Medications", "Vaccination") or event == "Query":
        return
    orders = [*(document.get("Orders") or []), document.get("Order")]
    for branch, order in zip_longest(builder.branches.get("ORC", []), orders[: len(builder.branches.get("ORC", []))]):
        status = str((order.get("Status") if isinstance(order, dict) else None) or event)
        control = _CONTROL.get(status, "NW") if model in ("Order", "Medications") else "RE"
        head = branch.segments.setdefault("ORC", {})
        head.setdefault(1, [[[control]]])
        request = branch.segments.get("OBR")
        for number in (2, 3) if request is not None else ():
            for one, other in ((head, request), (request, head)):
                if other and number in other:
                    one.setdefault(number, other[number])  # type: ignore[union-attr]


def _masters(event: str, builder: Builder) -> None:
    """Every master-file entry says what is to be done with it (MFE-1, table 0180)."""
    action = {"New": "MAD", "Update": "MUP", "Deactivate": "MDC", "Activate": "MAC"}.get(event, "MUP")
    for branch in builder.branches.get("MFE", []):
        branch.put("MFE", 1, 1, 1, action)


def _text(value: Any) -> str:
    return "" if value is None else escape(str(value), STANDARD)
