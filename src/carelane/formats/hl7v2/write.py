"""Documents → HL7 v2 (2.5.1 unless the destination says otherwise), by the same rows read backwards."""

from collections.abc import Mapping
from typing import Any

from carelane.domain.errors import Unmappable
from carelane.domain.message import Issue
from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.escapes import STANDARD, escape
from carelane.formats.hl7v2.observations import observation_back
from carelane.formats.hl7v2.read import PACKS, compiled
from carelane.formats.hl7v2.times import from_iso
from carelane.formats.hl7v2.triggers import trigger_table

# The trigger an event is written with when the document does not remember its own.
_USUAL = {
    "Arrival": "A01",
    "Transfer": "A02",
    "Discharge": "A03",
    "Registration": "A04",
    "PreAdmit": "A05",
    "VisitUpdate": "A08",
    "NewPatient": "A28",
    "PatientUpdate": "A31",
    "PatientMerge": "A40",
    "VisitMerge": "A41",
    "New": "R01",
    "NewUnsolicited": "R01",
}
_CANCELS = {"Arrival": "A11", "Registration": "A11", "Transfer": "A12", "Discharge": "A13", "PreAdmit": "A38"}
_FAMILY = {"PatientAdmin": "ADT", "Results": "ORU"}


def write(document: Mapping[str, Any], settings: Mapping[str, Any], message_id: str) -> tuple[bytes, list[Issue]]:
    """Write one message in UTF-8; ``message_id`` becomes MSH-10, cut to 20 characters before version 2.7.

    Raises:
        Unmappable: the model or event has no HL7 v2 message.
    """
    meta = document.get("Meta") or {}
    model, event = str(meta.get("DataModel")), str(meta.get("EventType"))
    if model not in PACKS:
        raise Unmappable(f"there is no HL7 v2 map for {model} yet")
    code, trigger = _trigger(model, event, meta)
    issues: list[Issue] = []
    builder = Builder()
    pack = compiled(model)
    for step in pack.back:
        step(dict(document), builder)
    _complete(document, model, builder, issues)
    version = str(settings.get("version") or "2.5.1")
    lines = [_msh(document, code, trigger, version, message_id, settings), *([_evn(meta, trigger)] if code == "ADT" else [])]
    lines += builder.lines(pack.pack.order)
    lines += _z_segments(meta)
    return ("\r".join(lines) + "\r").encode(), issues


def _trigger(model: str, event: str, meta: Mapping[str, Any]) -> tuple[str, str]:
    remembered = ((meta.get("Extensions") or {}).get("v2-trigger") or {}).get("string", "")
    code, _, trigger = str(remembered).partition("^")
    if code in trigger_table() and trigger:
        return code, trigger
    found = _CANCELS.get(str(meta.get("CanceledEvent"))) if event == "Cancel" else _USUAL.get(event)
    if found is None:
        raise Unmappable(f"{model}.{event} has no HL7 v2 trigger event")
    return _FAMILY[model], found


def _msh(document: Mapping[str, Any], code: str, trigger: str, version: str, message_id: str, settings: Mapping[str, Any]) -> str:
    meta = document.get("Meta") or {}
    line = trigger_table()[code].get(trigger)
    kind = f"{code}^{trigger}" + (f"^{line.structure}" if line and line.structure else "")
    control = message_id if version >= "2.7" else message_id[-20:]
    fields = [
        "MSH",
        STANDARD.msh2,
        _text(settings.get("sending_application") or "CARELANE"),
        _text(settings.get("sending_facility") or meta.get("FacilityCode")),
        _text(settings.get("receiving_application")),
        _text(settings.get("receiving_facility")),
        from_iso(meta.get("EventDateTime") or "", None) or "",
        "",
        kind,
        control,
        "T" if meta.get("Test") else "P",
        version,
        "",
        "",
        "",
        "",
        "",
        "UNICODE UTF-8",
    ]
    return "|".join(fields)


def _evn(meta: Mapping[str, Any], trigger: str) -> str:
    return f"EVN|{trigger}|{from_iso(meta.get('EventDateTime') or '', None) or ''}".rstrip("|")


def _complete(document: Mapping[str, Any], model: str, builder: Builder, issues: list[Issue]) -> None:
    """Required fields get their defaults, reported; results and identifiers get what single rows cannot write."""
    patient = document.get("Patient") or {}
    _identifiers(patient.get("Identifiers") or [], builder, "PID")
    _identifiers(patient.get("PreviousIdentifiers") or [], builder, "MRG")
    for name, number in (("PID", 3), ("PID", 5)):
        if not builder.segments.get(name, {}).get(number):
            issues.append(Issue("warning", "required-missing", target=f"{name}-{number}"))
    builder.segments.setdefault("PID", {}).setdefault(1, [[["1"]]])
    if "PV1" in builder.segments or (model == "PatientAdmin" and document.get("Visit")):
        if not builder.segments.setdefault("PV1", {}).get(2):
            builder.put("PV1", 2, 1, 1, "U")
            issues.append(Issue("warning", "required-missing", target="PV1-2", text="written as U, unknown"))
        builder.put("PV1", 1, 1, 1, "1")
    _notes(patient.get("Notes") or [], builder)
    for order, branch in zip(document.get("Orders") or [], builder.branches.get("ORC", []), strict=False):
        _order(order, branch)


def _identifiers(identifiers: list[Any], builder: Builder, name: str) -> None:
    repetitions = builder.segments.get(name, {}).get(3 if name == "PID" else 1, [])
    for one, repetition in zip(identifiers, repetitions, strict=False):
        authority, colon, kind = str(one.get("IDType") or "").rpartition(":")
        while len(repetition) < 5:
            repetition.append([""])
        repetition[3], repetition[4] = [authority if colon else ""], [kind]


def _order(order: Mapping[str, Any], branch: Builder) -> None:
    branch.put("ORC", 1, 1, 1, "RE")
    for number, target in ((2, "ID"), (3, "ApplicationOrderID")):
        if order.get(target):
            branch.put("ORC", number, 1, 1, order[target])
    _notes(order.get("Notes") or [], branch)
    for result, child in zip(order.get("Results") or [], branch.branches.get("OBX", []), strict=False):
        kind, value = observation_back(result)
        code = ((result.get("Extensions") or {}).get("value-code") or {}).get("string")
        system = ((result.get("Extensions") or {}).get("value-codeset") or {}).get("string")
        if kind == "CWE":
            value = [code or "", value[1], system or ""]
        child.put("OBX", 2, 1, 1, kind)
        if any(part for part in value):
            child.segments["OBX"][5] = [[["" if part is None else str(part)] for part in value]]
        if result.get("Extensions", {}).get("wrong"):
            child.put("OBX", 11, 1, 1, "W")
        _notes(result.get("Notes") or [], child)


def _notes(notes: list[Any], builder: Builder) -> None:
    for number, text in enumerate(notes):
        child = builder.branch("NTE", number)
        child.put("NTE", 3, 1, 1, text)


def _z_segments(meta: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, segments in (meta.get("Extensions") or {}).items():
        if name.startswith("v2.Z") and isinstance(segments, list):
            lines += [_z_line(name.removeprefix("v2."), fields) for fields in segments if isinstance(fields, dict)]
    return lines


def _z_line(name: str, fields: Mapping[str, Any]) -> str:
    last = max((int(number) for number in fields if number.isdigit()), default=0)
    texts = []
    for number in range(1, last + 1):
        value = fields.get(str(number))
        if isinstance(value, dict):
            most = max((int(part) for part in value if part.isdigit()), default=0)
            texts.append("^".join(_text(value.get(str(part))) for part in range(1, most + 1)))
        else:
            texts.append(_text(value))
    return "|".join([name, *texts])


def _text(value: Any) -> str:
    return "" if value is None else escape(str(value), STANDARD)
