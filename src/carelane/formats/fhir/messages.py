"""FHIR resources → HL7 v2 messages, one for each thing a bundle is about, by the rows of FHIR maps read backwards."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from carelane.formats.fhir.back import identifier, location, practitioner, time
from carelane.formats.fhir.bundles import EVENTS, Resource, model_of, notification_of
from carelane.formats.fhir.compose import compiled
from carelane.formats.fhir.sent import as_sent
from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.escapes import STANDARD, escape
from carelane.formats.hl7v2.packs import pack_name

# Our notification → the v2 message that says the same.
_TRIGGERS: Mapping[str, str] = {
    "patient-created": "ADT^A28", "patient-updated": "ADT^A31", "patient-registered": "ADT^A04", "patient-pre-admitted": "ADT^A05",
    "patient-arrived": "ADT^A01",
    "patient-transferred": "ADT^A02", "patient-discharged": "ADT^A03", "patient-merged": "ADT^A40", "result-created": "ORU^R01",
    "scheduling-appointment-booked": "SIU^S12", "scheduling-appointment-updated": "SIU^S14", "scheduling-appointment-cancelled": "SIU^S15",
    "service-request-created": "ORM^O01", "service-request-updated": "ORM^O01", "service-request-cancelled": "ORM^O01",
    "medication-request-created": "RDE^O11", "medication-request-updated": "RDE^O11", "medication-request-cancelled": "RDE^O11",
    "device-request-created": "ORM^O01", "device-request-updated": "ORM^O01", "device-request-cancelled": "ORM^O01",
    "document-created": "MDM^T02", "document-replaced": "MDM^T10", "document-deleted": "MDM^T11", "financial-new": "DFT^P03",
    "referral-requested": "REF^I12", "referral-accepted": "REF^I13", "referral-declined": "REF^I13", "referral-completed": "REF^I13",
    "referral-schedule-updated": "REF^I13", "referral-request-cancelled": "REF^I14", "referral-confirm-cancelled": "REF^I14",
}  # fmt: skip
_CONTROL = {"active": "NW", "on-hold": "HD", "revoked": "CA", "completed": "SC", "entered-in-error": "CA", "cancelled": "CA", "stopped": "DC"}
_APPOINTED = {"cancelled": "SIU^S15", "entered-in-error": "SIU^S17", "noshow": "SIU^S26"}
_FILLER = {"booked": "Booked", "pending": "Pending", "cancelled": "Cancelled", "noshow": "Noshow", "fulfilled": "Complete", "arrived": "Started"}
_VISIT = {"planned": "ADT^A05", "arrived": "ADT^A04", "in-progress": "ADT^A01", "finished": "ADT^A03", "cancelled": "ADT^A11"}


class Messages:
    """Finds what a bundle is about and writes each such thing as one message."""

    def __init__(self, resources: Iterable[Resource], timestamp: Any = None) -> None:
        self.resources = list(resources)
        self._by_id: dict[str, Resource] = {}
        for one in self.resources:
            kind, identity = one["resourceType"], one.get("id")
            if isinstance(identity, str):
                self._by_id.setdefault(identity, one)
                self._by_id.setdefault(f"{kind}/{identity}", one)
            for inner in one.get("contained") or [] if isinstance(one.get("contained"), list) else []:
                if isinstance(inner, dict) and inner.get("id"):
                    self._by_id.setdefault(f"#{inner['id']}", inner)
        self._timestamp = timestamp
        self._header = next((one for one in self.resources if one["resourceType"] == "MessageHeader"), {})

    def resolve(self, link: Any) -> Resource | None:
        """Return what a Reference refers to, when it is in the bundle."""
        text = link.get("reference") if isinstance(link, dict) else None
        if not isinstance(text, str):
            return None
        key = text.removeprefix("urn:uuid:")
        return self._by_id.get(key) or self._by_id.get("/".join(key.split("/")[-2:]))

    def of(self, *kinds: str) -> list[Resource]:
        """Return the resources of some types."""
        return [one for one in self.resources if one["resourceType"] in kinds]

    def messages(self) -> list[bytes]:
        """Return one HL7 v2 message for each thing that has a data model."""
        told = self._told()
        chosen = _TOLD.get(told.partition("^")[0])
        if chosen is not None and self.of(*chosen[0]):
            return chosen[1](self, told)
        for kinds, make in _MAKERS:
            if self.of(*kinds):
                return make(self, told)
        return []

    def choice(self) -> dict[str, str]:
        """Return the event a bundle of ours was written from, as a choice for its trigger: several models share one."""
        model, told = model_of(self._header), self._told()
        return {told: model} if model and told and pack_name(*model.split(".")) else {}

    def _told(self) -> str:
        event = self._header.get("eventCoding")
        if isinstance(event, dict) and event.get("system") == EVENTS and isinstance(event.get("display"), str) and "^" in event["display"]:
            code, _, rest = event["display"].partition("^")
            return f"{code}^{rest.split('^')[0]}"
        return _TRIGGERS.get(notification_of(self._header), "")

    def start(self, about: Resource | None) -> Builder:
        """Begin a message with the patient and the visit of a resource, or the only ones there are."""
        builder = Builder(context=self.resolve)
        person = self._linked(about, ("subject", "patient", "beneficiary"), "Patient")
        if person is not None:
            _write("patient", person, builder)
            _kinds(person, builder)
            builder.put("PID", 1, 1, 1, "1")
            for at, contact in enumerate(_dicts(person.get("contact"))):
                _write("contact", contact, builder.branch("NK1", at))
        visit = self._linked(about, ("encounter", "context"), "Encounter")
        if visit is not None:
            _write("encounter", visit, builder)
            builder.put("PV1", 1, 1, 1, "1")
            self._diagnosed(visit, builder)
        return builder

    def _linked(self, about: Resource | None, members: tuple[str, ...], kind: str) -> Resource | None:
        for name in members:
            value = (about or {}).get(name)
            for link in value if isinstance(value, list) else [value]:
                if (found := self.resolve(link)) is not None and found["resourceType"] == kind:
                    return found
        known = self.of(kind)
        return known[0] if len(known) == 1 or (known and kind == "Patient" and about is None) else None

    def _diagnosed(self, visit: Resource, builder: Builder) -> None:
        shown = [self.resolve(one.get("condition")) for one in _dicts(visit.get("diagnosis"))]
        for at, condition in enumerate([one for one in shown if one] or self.of("Condition")):
            _write("condition", condition, builder.branch("DG1", at))

    def around(self, builder: Builder) -> None:
        """Write what comes with a patient: allergies, coverage."""
        for at, one in enumerate(self.of("AllergyIntolerance")):
            _write("allergy", one, builder.branch("AL1", at))
        for at, one in enumerate(self.of("Coverage")):
            child = builder.branch("IN1", at)
            _write("coverage", one, child)
            payor = self.resolve(next(iter(_dicts(one.get("payor"))), None))
            if payor and payor.get("name"):
                child.put("IN1", 4, 1, 1, str(payor["name"]))

    def message(self, builder: Builder, kind: str, order: Iterable[str]) -> bytes:
        """Finish a message."""
        moment = self._moment()
        source = self._header.get("source")
        name = str(source.get("name") or "") if isinstance(source, dict) else ""
        head = ["MSH", STANDARD.msh2, escape(name, STANDARD), "", "", "", moment, "", kind, "1", "P", "2.5.1", "", "", "", "", "", "UNICODE UTF-8"]
        lines = ["|".join(head)]
        if kind.startswith(("ADT", "BAR", "MDM", "DFT")):
            lines.append(f"EVN|{kind.partition('^')[2]}|{moment}".rstrip("|"))
        return ("\r".join([*lines, *builder.lines(list(order))]) + "\r").encode()

    def _moment(self) -> str:
        recorded = next((one.get("recorded") for one in self.of("Provenance")), None)
        return time(recorded, None) or time(self._timestamp, None) or ""


def _dicts(value: Any) -> list[Resource]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _write(pack: str, resource: Resource, builder: Builder) -> None:
    resource = as_sent(pack, resource)
    for step in compiled(pack).back:
        step(resource, builder)


def _kinds(person: Resource, builder: Builder) -> None:
    """US Core race and ethnicity stand in extensions; the way back knows them by their URLs."""
    for one in _dicts(person.get("extension")):
        url = str(one.get("url") or "")
        inner = {str(part.get("url")): part for part in _dicts(one.get("extension"))}
        value = inner.get("ombCategory", {}).get("valueCoding") if inner else None
        if isinstance(value, dict) and value.get("code"):
            if url.endswith("us-core-race"):
                builder.put_field("PID", 10, [str(value["code"]), str(value.get("display") or ""), "CDCREC"])
            elif url.endswith("us-core-ethnicity"):
                builder.put_field("PID", 22, [str(value["code"]), str(value.get("display") or ""), "CDCREC"])


def _admitted(work: Messages, told: str) -> list[bytes]:
    builder = work.start(None)
    work.around(builder)
    visit = next(iter(work.of("Encounter")), None)
    kind = told if told.startswith(("ADT", "BAR")) else _VISIT.get(str(visit.get("status")), "ADT^A08") if visit else "ADT^A31"
    person = next(iter(work.of("Coverage")), {}).get("beneficiary") if "PID" not in builder.segments else None
    if isinstance(person, dict) and (number := identifier(person.get("identifier"), builder)):
        builder.put_field("PID", 3, number)
    return [work.message(builder, kind, ("EVN", "PID", "PD1", "NK1", "PV1", "PV2", "AL1", "DG1", "IN1"))]


def _reported(work: Messages, told: str) -> list[bytes]:
    builder = work.start(next(iter(work.of("DiagnosticReport", "Observation")), None))
    used: set[int] = set()
    for at, report in enumerate(work.of("DiagnosticReport")):
        branch = builder.branch("ORC", at)
        _write("report", report, branch)
        request = work.resolve(next(iter(_dicts(report.get("basedOn"))), None))
        if request is not None and not branch.segments.get("OBR", {}).get(2):
            _write("servicerequest", request, branch)
        branch.segments.setdefault("ORC", {})[1] = [[["RE"]]]
        results = [one for link in _dicts(report.get("result")) if (one := work.resolve(link)) is not None]
        used.update(id(one) for one in results)
        for number, part in enumerate(part for one in results for part in _parts(one)):
            _write("observation", part, branch.branch("OBX", number))
    alone = [one for one in work.of("Observation") if id(one) not in used]
    if alone and not work.of("DiagnosticReport"):
        branch = builder.branch("ORC", 0)
        branch.segments["ORC"] = {1: [[["RE"]]]}
        _write("report", {**{name: alone[0].get(name) for name in ("effectiveDateTime", "identifier")}, "code": alone[0].get("code")}, branch)
        for number, part in enumerate(part for one in alone for part in _parts(one)):
            _write("observation", part, branch.branch("OBX", number))
    return [work.message(builder, told if told.startswith(("ORU", "OUL")) else "ORU^R01", ("PID", "PD1", "NK1", "PV1", "ORC", "OBR", "NTE", "OBX", "SPM"))]


def _parts(observation: Resource) -> list[Resource]:
    """An observation and its components, such as both pressures of the blood, each a result of its own."""
    shared = {
        name: value
        for name, value in observation.items()
        if name not in ("component", "code", "interpretation", "referenceRange") and not name.startswith("value")
    }
    valued = any(name.startswith("value") for name in observation)
    components = _dicts(observation.get("component"))
    return [*([observation] if valued or not components else []), *({**shared, **one} for one in components)]


def _ordered(work: Messages, told: str) -> list[bytes]:
    requests = work.of("ServiceRequest", "DeviceRequest")
    builder = work.start(requests[0])
    work.around(builder)
    for at, request in enumerate(requests):
        branch = builder.branch("ORC", at)
        _write("servicerequest", request, branch)
        branch.put("ORC", 1, 1, 1, _CONTROL.get(str(request.get("status")), "NW"))
        for number, link in enumerate(_dicts(request.get("supportingInfo"))):
            if (one := work.resolve(link)) is not None and one["resourceType"] == "Observation":
                _write("observation", one, branch.branch("OBX", number))
    kind = told if told.startswith(("ORM", "OM")) else "ORM^O01"
    return [work.message(builder, kind, ("PID", "PV1", "PV2", "IN1", "AL1", "ORC", "TQ1", "OBR", "NTE", "DG1", "OBX"))]


def _prescribed(work: Messages, told: str) -> list[bytes]:
    requests = work.of("MedicationRequest")
    builder = work.start(requests[0])
    work.around(builder)
    for at, request in enumerate(requests):
        branch = builder.branch("ORC", at)
        branch.segments.pop("OBR", None)
        _write("medicationrequest", _with_medication(work, request), branch)
        branch.put("ORC", 1, 1, 1, _CONTROL.get(str(request.get("status")), "NW"))
    return [
        work.message(builder, told if told.startswith(("RDE", "OMP")) else "RDE^O11", ("PID", "PV1", "IN1", "AL1", "ORC", "TQ1", "RXO", "RXE", "NTE", "RXR"))
    ]


def _with_medication(work: Messages, request: Resource) -> Resource:
    medication = work.resolve(request.get("medicationReference"))
    return {**request, "medicationCodeableConcept": medication.get("code")} if medication else request


def _given(work: Messages, told: str) -> list[bytes]:
    doses = work.of("MedicationAdministration")
    builder = work.start(doses[0])
    for at, dose in enumerate(doses):
        branch = builder.branch("ORC", at)
        branch.segments.pop("OBR", None)
        _write("administered", _with_medication(work, dose), branch)
        moment = dose.get("effectiveDateTime") or (dose.get("effectivePeriod") or {}).get("start")
        if shown := time(moment, None):
            branch.put("RXA", 3, 1, 1, shown)
        branch.put("ORC", 1, 1, 1, "RE")
    return [work.message(builder, told if told.startswith("RAS") else "RAS^O17", ("PID", "PV1", "ORC", "RXA", "RXR", "NTE"))]


def _vaccinated(work: Messages, told: str) -> list[bytes]:
    doses = work.of("Immunization")
    builder = work.start(doses[0])
    for at, dose in enumerate(doses):
        branch = builder.branch("ORC", at)
        branch.segments.pop("OBR", None)
        _write("immunization", dose, branch)
        branch.put("ORC", 1, 1, 1, "RE")
        branch.put("RXA", 1, 1, 1, "0")
    return [work.message(builder, told if told.startswith("VXU") else "VXU^V04", ("PID", "PD1", "NK1", "PV1", "ORC", "RXA", "RXR", "OBX", "NTE"))]


def _appointed(work: Messages, told: str) -> list[bytes]:
    found = []
    for one in work.of("Appointment"):
        people = [link for part in _dicts(one.get("participant")) if (link := part.get("actor"))]
        patient = next((who for link in people if (who := work.resolve(link)) is not None and who["resourceType"] == "Patient"), None)
        builder = work.start({"subject": {"reference": f"urn:uuid:{patient.get('id')}"}} if patient else None)
        _write("appointment", one, builder)
        status = _FILLER.get(str(one.get("status")))
        if status:
            builder.put("SCH", 25, 1, 1, status)
        _taking_part(work, people, builder)
        kind = _APPOINTED.get(str(one.get("status")), told if told.startswith("SIU") else "SIU^S12")
        found.append(work.message(builder, kind, ("SCH", "TQ1", "NTE", "PID", "PV1", "DG1", "RGS", "AIS", "AIG", "AIL", "AIP")))
    return found


def _taking_part(work: Messages, people: list[Any], builder: Builder) -> None:
    counts = {"AIP": 0, "AIL": 0}
    for link in people:
        kind = (work.resolve(link) or {}).get("resourceType")
        name, write = {"Practitioner": ("AIP", practitioner), "PractitionerRole": ("AIP", practitioner), "Location": ("AIL", location)}.get(
            str(kind), ("", None)
        )
        if write is not None and (parts := write(link, builder)):
            child = builder.branch(name, counts[name])
            child.put(name, 1, 1, 1, str(counts[name] + 1))
            child.put_field(name, 3, parts)
            counts[name] += 1


def _documented(work: Messages, told: str) -> list[bytes]:
    found = []
    for one in work.of("DocumentReference"):
        builder = work.start(one)
        _write("document", one, builder)
        builder.put("TXA", 1, 1, 1, "1")
        usual = {"superseded": "MDM^T10", "entered-in-error": "MDM^T11"}.get(str(one.get("status")), "MDM^T02")
        found.append(work.message(builder, told if told.startswith("MDM") else usual, ("EVN", "PID", "PV1", "TXA", "OBX", "NTE")))
    return found


def _charged(work: Messages, told: str) -> list[bytes]:
    charges = work.of("ChargeItem")
    builder = work.start(charges[0])
    work.around(builder)
    for at, charge in enumerate(charges):
        branch = builder.branch("FT1", at)
        _write("charge", charge, branch)
        period = charge.get("occurrencePeriod")
        if shown := time(charge.get("occurrenceDateTime") or (period.get("start") if isinstance(period, dict) else None), None):
            branch.put("FT1", 4, 1, 1, shown)
        quantity = charge.get("quantity")
        if isinstance(quantity, dict) and quantity.get("value") is not None:
            branch.put("FT1", 10, 1, 1, str(quantity["value"]))
    return [work.message(builder, told if told.startswith("DFT") else "DFT^P03", ("EVN", "PID", "PD1", "PV1", "PV2", "FT1", "DG1", "IN1"))]


def _staffed(work: Messages, told: str) -> list[bytes]:
    builder = Builder(context=work.resolve)
    builder.put("MFI", 1, 1, 1, "PRA")
    for at, one in enumerate(work.of("Practitioner")):
        branch = builder.branch("MFE", at)
        branch.put("MFE", 1, 1, 1, "MUP" if one.get("active", True) else "MDC")
        _write("staff", one, branch)
        number = next((one for one in _dicts(one.get("identifier")) if one.get("value")), {}).get("value")
        for name, field in (("MFE", 4), ("STF", 1)) if number else ():
            branch.put(name, field, 1, 1, str(number))
    return [work.message(builder, told if told.startswith("MFN") else "MFN^M02", ("MFI", "MFE", "STF", "PRA"))]


def _referred(work: Messages, told: str) -> list[bytes]:
    found = []
    for one in work.of("ServiceRequest"):
        builder = work.start(one)
        work.around(builder)
        _write("referral", one, builder)
        roles = (("RP", one.get("requester")), ("RT", next(iter(_dicts(one.get("performer"))), None)))
        for at, (role, who) in enumerate((role, who) for role, who in roles if who):
            child = builder.branch("PRD", at)
            child.put("PRD", 1, 1, 1, role)
            if parts := practitioner(who, builder):
                child.put_field("PRD", 2, parts[1:7])
                child.put("PRD", 7, 1, 1, parts[0])
        usual = "REF^I14" if one.get("status") in ("revoked", "entered-in-error") else "REF^I12"
        kind = told if told.startswith(("REF", "RPA", "RQA")) else usual
        found.append(work.message(builder, kind, ("RF1", "PRD", "PID", "NK1", "GT1", "IN1", "DG1", "AL1", "PV1", "NTE")))
    return found


_MAKERS: tuple[tuple[tuple[str, ...], Callable[[Messages, str], list[bytes]]], ...] = (
    (("Appointment",), _appointed),
    (("Immunization",), _vaccinated),
    (("MedicationAdministration",), _given),
    (("MedicationRequest",), _prescribed),
    (("DiagnosticReport",), _reported),
    (("DocumentReference",), _documented),
    (("ServiceRequest", "DeviceRequest"), _ordered),
    (("ChargeItem",), _charged),
    (("Encounter", "Patient"), _admitted),
    (("Observation",), _reported),
    (("Coverage",), _admitted),
    (("Practitioner",), _staffed),
)
"""What a bundle is about, the most telling type first. An observation beside an encounter belongs to the visit."""
_TOLD: Mapping[str, tuple[tuple[str, ...], Callable[[Messages, str], list[bytes]]]] = {
    **dict.fromkeys(("ORU", "OUL"), (("DiagnosticReport", "Observation"), _reported)),
    **dict.fromkeys(("ADT", "BAR"), (("Patient", "Encounter"), _admitted)),
    **dict.fromkeys(("REF", "RQA", "RPA"), (("ServiceRequest",), _referred)),
    "DFT": (("ChargeItem",), _charged),
    "MFN": (("Practitioner",), _staffed),
}
"""By the message code a header tells: what it is about, whatever else is in the bundle."""
