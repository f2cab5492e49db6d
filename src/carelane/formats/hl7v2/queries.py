"""Queries and their answers (chapter 5): what a QPD or QRD asks about is read as if it were a PID, by the same rows, and written back so."""

from collections.abc import Mapping
from typing import Any

from carelane.domain.message import Converted
from carelane.formats.hl7v2.builder import Builder
from carelane.formats.hl7v2.escapes import escape
from carelane.formats.hl7v2.message import Segment
from carelane.formats.hl7v2.scope import Scope
from carelane.mapping.runtime import Run

_ASKING = frozenset({"patientquery", "visitquery"})
# CDC's immunization query profile: which QPD field says what of the patient.
_PROFILE = {4: 5, 5: 6, 6: 7, 7: 8, 8: 11, 9: 13}


def prepared(scope: Scope, pack: str) -> Scope:
    """Return the scope in which a query's rows look: with a PID made of what is asked."""
    if pack not in _ASKING or scope.segments.get("PID"):
        return scope
    fields: dict[int, str] = {}
    seps = scope.context.message.seps
    query, old = scope.first("QPD"), scope.first("QRD")
    if query is not None:
        for number, raw in enumerate(query.fields):
            if number == 3 and raw.startswith("@"):
                fields.update(_named(raw, scope))
            elif number == 3 and raw:
                fields[3] = raw
            elif number in _PROFILE and raw and not raw.startswith("@"):
                fields[_PROFILE[number]] = raw
    elif old is not None and (who := old.field(8)):
        parts = who.split(seps.repetition)[0].split(seps.component)
        fields[3] = parts[0]
        fields[5] = seps.component.join(parts[1:])
    texts = [fields.get(number, "") for number in range(1, max(fields, default=1) + 1)]
    return scope.within({"PID": [Segment(seps.field.join(["PID", *texts]), seps)]}, members=scope.members)


def _named(raw: str, scope: Scope) -> dict[int, str]:
    """QPD-3 of a patient demographics query: ``@PID.5.1^SMITH~@PID.7^19800101``."""
    seps = scope.context.message.seps
    leaves: dict[int, dict[int, str]] = {}
    for repetition in raw.split(seps.repetition):
        name, _, value = repetition.partition(seps.component)
        path = name.removeprefix("@").split(".")
        if path[0] == "PID" and len(path) > 1 and path[1].isdigit() and value:
            component = int(path[2]) if len(path) > 2 and path[2].isdigit() else 1
            leaves.setdefault(int(path[1]), {})[component] = value.split(seps.component)[0]
    return {number: seps.component.join(parts.get(at, "") for at in range(1, max(parts) + 1)) for number, parts in leaves.items()}


def potential_matches(found: list[tuple[Converted, Run]]) -> tuple[Converted, Run]:
    """One answer with several patients: none of them is *the* patient."""
    first, run = found[0]
    document = dict(first.document)
    matches = [one.document.get("Patient") for one, _ in found]
    document.pop("Patient", None)
    document["PotentialMatches"] = matches
    issues = [issue for one, _ in found for issue in one.issues]
    unmapped = list(dict.fromkeys(path for one, _ in found for path in one.unmapped))
    return Converted(document, issues, unmapped), run


def segments_of(document: Mapping[str, Any], model: str, event: str, builder: Builder, message_id: str) -> list[str]:
    """Return the segments a query or answer has between MSH and the rest, taking the PID that rows wrote where it is the question."""
    if event in ("Query", "PatientQuery", "VisitQuery") and model in ("PatientSearch", "Vaccination", "PatientAdmin"):
        return [_question(model, builder, message_id), "RCP|I"]
    if event in ("Response", "PatientQueryResponse", "QueryResponse"):
        matches = document.get("PotentialMatches")
        count = len(matches) if isinstance(matches, list) else 0
        nothing = not count and not document.get("Patient") and not document.get("Orders")
        answer = "NF" if nothing else "OK"
        return [f"MSA|AA|{escape(message_id, builder.seps)}", f"QAK|{escape(message_id, builder.seps)}|{answer}"]
    return []


def _question(model: str, builder: Builder, message_id: str) -> str:
    asked = builder.segments.pop("PID", {})
    asked.pop(1, None)
    tag = escape(message_id, builder.seps)
    if model == "Vaccination":
        texts = {3: builder.text("PID", asked.get(3, []))} | {at: builder.text("PID", asked.get(number, [])) for at, number in _PROFILE.items()}
        return "|".join(["QPD", "Z34^Request Immunization History^CDCPHINVS", tag, *(texts.get(at, "") for at in range(3, 10))]).rstrip("|")
    name = {"PatientSearch": "IHE PDQ Query", "PatientAdmin": "IHE PDVQ Query"}[model]
    leaves = []
    for number, repetitions in sorted(asked.items()):
        for component, subs in enumerate(repetitions[0] if repetitions else [], 1):
            if subs and subs[0]:
                leaves.append(f"@PID.{number}.{component}^{escape(subs[0], builder.seps)}")
    return "|".join(["QPD", name, tag, "~".join(leaves)])
