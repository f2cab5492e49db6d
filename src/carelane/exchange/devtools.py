"""Dev tools: send a test message as one of one's sources, or have the Engine send one to one of one's destinations."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import orjson

from carelane.domain.endpoint import Destination, Snapshot, Source
from carelane.domain.errors import Conflict
from carelane.domain.message import Outcome, Receipt
from carelane.domain.permissions import Right, demand, nothing_here
from carelane.domain.views import Person
from carelane.exchange.ports import Accept
from carelane.kit.ids import public
from carelane.models.events import questions
from carelane.models.examples import example
from carelane.models.schemas import model_events

_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class DevTools:
    """Goes through the front door: a test message travels, is stored and is delivered like any other."""

    accept: Accept
    snapshot: Callable[[], Snapshot]

    def events(self) -> dict[str, tuple[str, ...]]:
        """Return every data model with the event types one can send: neither questions nor the answers to them."""
        found = {}
        for model, events in model_events().items():
            asked = questions(model)
            found[model] = tuple(event for event in events if event not in asked and event not in asked.values())
        return found

    def sample(self, model: str, event: str) -> str:
        """Return an invented document of an event type, indented; raises ``NotFound``."""
        if event not in self.events().get(model, ()):
            raise nothing_here()
        return orjson.dumps(example(model, event), option=orjson.OPT_INDENT_2).decode()

    async def send(self, person: Person, source: UUID, body: str) -> Receipt:
        """Send as one of one's own sources, in the source's format.

        Raises:
            Conflict: it is too large, or no JSON where JSON is wanted.
            NotFound: there is no such source, or one's role does not reach it.
        """
        found = next((one for one in self.snapshot().sources.values() if one.uid == source and one.org_id == person.org_id), None)
        if found is None:
            raise nothing_here()
        demand(person, Right.BUILD, found.environment)
        if found.format != "datamodel":
            return await self._accept(found, body.replace("\r\n", "\r").replace("\n", "\r").encode())
        return await self._accept(found, orjson.dumps(self._addressed(found, _json_object(body))))

    async def receive(self, person: Person, destination: UUID, body: str) -> Receipt:
        """Have the Engine send a document to one of one's own destinations, over the subscription that leads there.

        Raises:
            Conflict: it is no JSON object, or there is no such subscription.
            NotFound: there is no such destination, or one's role does not reach it.
        """
        snapshot = self.snapshot()
        found: Destination | None = next((one for one in snapshot.destinations.values() if one.uid == destination and one.org_id == person.org_id), None)
        if found is None:
            raise nothing_here()
        demand(person, Right.BUILD, found.environment)
        engine = self._engine_of(found)
        document = _json_object(body)
        meta = document.get("Meta")
        document["Meta"] = {**(meta if isinstance(meta, dict) else {}), "Destinations": [{"ID": public("dst", found.uid)}], "Test": True}
        return await self._accept(engine, orjson.dumps(document))

    def _addressed(self, source: Source, document: dict[str, object]) -> dict[str, object]:
        """Where the document names no destination, name that of every subscription of the source for its model."""
        meta = document.get("Meta")
        if not isinstance(meta, dict) or meta.get("Destinations") is not None:
            return document
        snapshot = self.snapshot()
        routes = snapshot.routes.get((source.id, str(meta.get("DataModel"))), ())
        named = [{"ID": public("dst", snapshot.destinations[one.destination_id].uid)} for one in routes if one.destination_id in snapshot.destinations]
        return {**document, "Meta": {**meta, "Destinations": named}} if named else document

    def _engine_of(self, destination: Destination) -> Source:
        """Return the built-in source with a subscription to this destination: only the Engine sends to others from a source the hub owns."""
        snapshot = self.snapshot()
        for route in snapshot.lanes.values():
            source = snapshot.sources.get(route.source_id)
            if route.destination_id == destination.id and source is not None and source.built_in:
                return source
        raise Conflict(f"No subscription leads from the Engine to {destination.name}; create one in the connection to Carelane Engine.")

    async def _accept(self, source: Source, raw: bytes) -> Receipt:
        if len(raw) > _MOST_BYTES:
            raise Conflict("A test message has at most 1 MB.")
        if source.format == "datamodel":
            _json_object(raw.decode())
        receipt = await self.accept(source.id, raw, anew=True)  # trying the same twice is meant
        if receipt.outcome is Outcome.REFUSED and receipt.problem is not None:
            raise Conflict(f"{receipt.problem.text} {receipt.problem.pointer}")
        return receipt


def _json_object(text: str) -> dict[str, object]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Conflict(f"This is no JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    if not isinstance(found, dict):
        raise Conflict("A document is a JSON object with Meta at its top.")
    return found
