"""The five verbs of Data Model JSON (``Meta.DataModel``, ``Meta.EventType``, …)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.errors import Unreadable
from carelane.domain.message import NOWHERE, Converted, Document, Heading, Issue, Leftovers, Origin, Outcome, Problem, Reason
from carelane.mapping.document import without_leftovers
from carelane.models.events import nearest
from carelane.models.fhir import also_told
from carelane.models.required import with_required
from carelane.models.schemas import check, known_model, model_events, spelled

TITLE = "Data Model JSON"
REQUIRES = ""
CONTENT_TYPE = "application/json"
_MOST_DEPTH = 200
_MOST_TEXT = 200


class Settings(BaseModel):
    """How this endpoint speaks Data Model JSON."""

    model_config = ConfigDict(extra="forbid")

    strict: bool = Field(False, description="Hold or refuse what breaks the schema instead of reporting it.", examples=[False])
    required: Literal["empty", "leave"] = Field(
        "empty",
        description="Members a data model requires and the sender did not tell: write them empty, for receivers that insist on them, or leave them out.",
        examples=["empty"],
    )
    leftovers: Literal["drop", "carry"] = Field(
        "drop", description="Deliver fields that no map asked for, under Meta.Extensions, or leave them out.", examples=["drop"]
    )


class DataModelJson:
    """Data Model JSON as a format plug-in."""

    content_type = CONTENT_TYPE

    def split(self, raw: bytes, most: int | None = None) -> list[bytes]:
        """One body is one message."""
        return [raw]

    def peek(self, raw: bytes, settings: Mapping[str, Any]) -> Heading:
        """Read ``Meta``.

        Raises:
            Unreadable: the body is no JSON object.
        """
        document = parse(raw)
        meta = document.get("Meta")
        if not isinstance(meta, dict):
            return Heading(problem=Problem("meta-missing", "Meta is missing.", 'Send {"Meta": {"DataModel": …, "EventType": …}, …}.', "/Meta"))
        for name in ("DataModel", "EventType"):
            if not isinstance(meta.get(name), str) or not meta[name]:
                return Heading(problem=Problem("meta-missing", f"Meta.{name} is missing or no text.", f"Name the {name} of this message.", f"/Meta/{name}"))
        heading = _heading(document, meta)
        return heading if (unknown := _unknown(heading)) is None else replace(heading, problem=unknown)

    def read(self, raw: bytes, settings: Mapping[str, Any], leftovers: Leftovers = Leftovers.NONE) -> list[Converted]:
        """Return the document, tolerantly checked.

        Raises:
            Unreadable: no JSON object with a Meta, or, in strict mode, a breach of the schema.
        """
        document = parse(raw)
        meta = document.get("Meta")
        if not isinstance(meta, dict):
            raise Unreadable("Meta is missing")
        heading = _heading(document, meta)
        issues = check(document, heading.data_model or "", heading.event_type or "")
        breach = next((issue for issue in issues if issue.severity != "information"), None)
        if settings.get("strict") and breach is not None:
            raise Unreadable(f"the document breaks its schema at {breach.target}")
        return [Converted(document, issues)]

    def explain(self, raw: bytes, settings: Mapping[str, Any]) -> list[list[Reason]]:
        """Nothing was mapped by rows on the way in."""
        return []

    def write(self, document: Document, settings: Mapping[str, Any], message_id: str, origin: Origin = NOWHERE) -> tuple[bytes, list[Issue]]:
        """Write JSON; what breaks the event's schema is reported."""
        meta = document.get("Meta")
        names = (str(meta.get("DataModel")), str(meta.get("EventType"))) if isinstance(meta, dict) else ("", "")
        if settings.get("leftovers") != "carry":
            document = without_leftovers(document)
        issues = check(document, *names)
        if settings.get("required", "empty") == "empty" and any(issue.code == "required-missing" for issue in issues):
            document = with_required(document, *names)
        return orjson.dumps(document), issues

    def quick(self, settings: Mapping[str, Any], size: int) -> bool:
        """Nothing is mapped, so nothing has to be compiled."""
        return True

    def acknowledge(self, raw: bytes, outcome: Outcome, problem: Problem | None, now: datetime, reply_id: str) -> bytes:
        """Echo ``Meta`` with a log entry per destination; on refusal, ``Meta.Errors``."""
        meta = _meta_of(raw)
        if outcome in (Outcome.STORED, Outcome.DUPLICATE):
            named = meta.get("Destinations")
            meta["Logs"] = [{"ID": reply_id} for _ in named] if isinstance(named, list) and named else [{"ID": reply_id}]
        elif problem:
            meta["Errors"] = [{"ID": 1, "Text": problem.text, "Type": "message", "Module": problem.code}]
        return orjson.dumps({"Meta": meta})

    def judge(self, sent: bytes, reply: bytes, settings: Mapping[str, Any]) -> Judgement:
        """A 2xx delivered, whatever the body says; the transport has already judged the status."""
        return Judgement(Verdict.DELIVERED)


def parse(raw: bytes) -> Document:
    """Read a JSON object.

    Raises:
        Unreadable: not UTF-8 JSON, no object at the top, or nested too deep.
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"the body is not valid JSON: error at line {error.lineno}, column {error.colno}") from None
    if not isinstance(document, dict):
        raise Unreadable("the body is JSON, but no object")
    if raw.count(b"{") + raw.count(b"[") > _MOST_DEPTH and _depth(document) > _MOST_DEPTH:
        raise Unreadable(f"the document is nested deeper than {_MOST_DEPTH}")
    return document


def _depth(document: Any) -> int:
    deepest, waiting = 0, [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        deepest = max(deepest, depth)
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting.extend((one, depth + 1) for one in inner if isinstance(one, dict | list))
    return deepest


def _meta_of(raw: bytes) -> dict[str, Any]:
    try:
        meta = parse(raw).get("Meta")
    except Unreadable:
        return {}
    return dict(meta) if isinstance(meta, dict) else {}


def _heading(document: Document, meta: Mapping[str, Any]) -> Heading:
    model = known_model(str(meta.get("DataModel"))) or _short(meta.get("DataModel"))
    event = spelled(str(meta.get("EventType")), model_events().get(model or "", ())) or _short(meta.get("EventType"))
    destinations = meta.get("Destinations")
    named = tuple(str(one.get("ID")) for one in destinations if isinstance(one, dict)) if isinstance(destinations, list) else ()
    source = meta.get("Source")
    hint = _short(source.get("ID")) if isinstance(source, dict) else None
    return Heading(
        data_model=model,
        event_type=event,
        event_time=_short(meta.get("EventDateTime")),
        test=meta.get("Test") is True,
        kind=f"{model}.{event}",
        destinations=named,
        source_hint=hint,
        search=tuple(_search(document)),
        also=also_told(model, event),
    )


def _unknown(heading: Heading) -> Problem | None:
    """A name that is misspelled must not become a message that nobody reads: say which one may have been meant."""
    model, event = heading.data_model or "", heading.event_type or ""
    if known_model(model) is None:
        return _misnamed("unknown-data-model", "Meta.DataModel names no data model of this hub.", nearest(model, tuple(model_events())), "/Meta/DataModel")
    events = model_events().get(model, ())
    if events and event not in events:
        text = f"Meta.EventType names no event type of {model}."
        return _misnamed("unknown-event-type", text, nearest(event, events) or events, "/Meta/EventType")
    return None


def _misnamed(code: str, text: str, names: Sequence[str], location: str) -> Problem:
    pointer = f"Perhaps one of these was meant: {', '.join(names)}." if names else "The reference of the data models lists them all."
    return Problem(code, text, pointer, location)


def _search(document: Document) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    patient, visit, orders = document.get("Patient"), document.get("Visit"), document.get("Orders")
    identifiers = patient.get("Identifiers") if isinstance(patient, dict) else None
    for one in identifiers if isinstance(identifiers, list) else []:
        if isinstance(one, dict) and one.get("ID"):
            found.append(("patient", str(one["ID"])))
    if isinstance(visit, dict) and visit.get("VisitNumber"):
        found.append(("visit", str(visit["VisitNumber"])))
    for order in [*(orders if isinstance(orders, list) else []), document.get("Order")]:
        if isinstance(order, dict):
            found.extend(("order", str(order[name])) for name in ("ID", "ApplicationOrderID") if order.get(name))
    return list(dict.fromkeys(found))[:40]


def _short(value: object) -> str | None:
    if value is None or value == "":
        return None
    return "".join(character if character.isprintable() else " " for character in str(value)[:_MOST_TEXT])


FORMAT = DataModelJson()
