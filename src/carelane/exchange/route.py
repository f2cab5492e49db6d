"""Which lanes a message goes to, when it arrives and when it is replayed: pure, from a snapshot. When it goes nowhere, why, and what to do."""

from dataclasses import dataclass
from uuid import UUID

from carelane.domain.endpoint import Route, Snapshot, Source
from carelane.domain.message import Heading, Problem
from carelane.models.events import is_question


@dataclass(frozen=True, slots=True)
class Routed:
    """The lanes, or the problem."""

    lanes: tuple[int, ...] = ()
    problem: Problem | None = None


def route(heading: Heading, source: Source, snapshot: Snapshot) -> Routed:
    """Return the lanes of every live subscription this message belongs to, or the problem: there is always one of the two.

    A heading that names destinations (Data Model JSON) goes to those only, and to none unless all of them may be
    reached: half a delivery is none. A question goes nowhere, for no lane brings an answer back.
    """
    if heading.problem is not None:
        return Routed(problem=heading.problem)
    if heading.data_model is None:
        return Routed(problem=Problem("no-data-model", "The message belongs to no data model.", "Name its data model and event type, or its trigger event."))
    if is_question(heading.data_model, heading.event_type):
        return Routed(problem=_question(heading))
    routes = tuple(one for model in (heading.data_model, *heading.also) for one in snapshot.routes.get((source.id, model), ()))
    if heading.destinations is None:
        return Routed(tuple(one.lane_id for one in routes)) if routes else Routed(problem=_nobody(heading, source))
    if not heading.destinations:
        return Routed(
            problem=Problem(
                "destination-missing",
                "Meta.Destinations names no destination.",
                'Name each destination by its id: "Destinations": [{"ID": "dst_…"}]. Your subscriptions list them.',
                "/Meta/Destinations",
            )
        )
    return _addressed(heading, source, snapshot, routes)


def _addressed(heading: Heading, source: Source, snapshot: Snapshot, routes: tuple[Route, ...]) -> Routed:
    by_destination: dict[int, list[Route]] = {}
    for one in routes:
        by_destination.setdefault(one.destination_id, []).append(one)
    lanes: list[int] = []
    for number, text in enumerate(heading.destinations or ()):
        destination = snapshot.destination_uids.get(_uuid(text))
        found = by_destination.get(destination) if destination is not None else None
        if not found:
            return Routed(problem=_unreachable(heading, source, snapshot, destination, number))
        lanes.extend(one.lane_id for one in found)
    return Routed(tuple(dict.fromkeys(lanes)))


def _unreachable(heading: Heading, source: Source, snapshot: Snapshot, destination: int | None, number: int) -> Problem:
    """A destination that is not ours to reach looks the same as one that does not exist, unless it is our own organization's."""
    where = f"/Meta/Destinations/{number}/ID"
    known = snapshot.destinations.get(destination) if destination is not None else None  # type: ignore[call-overload]
    if known is not None and known.org_id == source.org_id and known.environment != source.environment:
        return Problem(
            "wrong-environment",
            f"The destination is in {known.environment}, this source in {source.environment}: nothing crosses environments.",
            f"Use a source of {known.environment}, or a destination of {source.environment}.",
            where,
            403,
        )
    return Problem(
        "no-subscription",
        f"No active subscription delivers {heading.data_model} from this source to that destination.",
        "Meta.Destinations must name a destination of an active subscription of this source; see Connections, All subscriptions.",
        where,
        404,
    )


def _question(heading: Heading) -> Problem:
    return Problem(
        "question",
        f"{heading.data_model}.{heading.event_type} asks for an answer; this hub delivers events and cannot ask yet.",
        "Ask the other side directly, or subscribe to the events that tell the same.",
        "MSH^1^9" if heading.destinations is None else "/Meta/EventType",
        501,
    )


def _nobody(heading: Heading, source: Source) -> Problem:
    return Problem(
        "no-subscription",
        f"No active subscription takes {heading.data_model} from this source.",
        f"Create or activate a subscription for {heading.data_model} with this source under Connections.",
        "MSH^1^9",
        404,
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text.removeprefix("dst_"))
    except ValueError:
        return UUID(int=0)
