"""The bulkheads: each destination works on a bounded number of its lanes at once, so a slow one delays nobody else."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from carelane.domain.endpoint import Destination, Route
from carelane.domain.errors import Misconfigured
from carelane.domain.ids import DestinationId
from carelane.exchange.lane import Lane
from carelane.exchange.ports import Catalogue, Sender, SenderOfMany, Tools, Transports

SLACK_S = 0.5
"""How much longer than its own limit a send may take until it is cut from outside."""


@dataclass(slots=True, eq=False)
class Gate:
    """One destination as it is configured now; when it changes, this gate closes for good and another one opens."""

    destination: Destination
    sender: Sender
    open: bool = True
    running: int = 0
    waiting: deque[Lane] = field(default_factory=deque)
    many: SenderOfMany | None = None
    """The sender, if it takes several deliveries of a lane at once."""

    def __post_init__(self) -> None:
        self.many = self.sender if isinstance(self.sender, SenderOfMany) else None

    @property
    def cap(self) -> int:
        """How many of its lanes may be worked on at once: what the plug-in declares."""
        return self.sender.concurrency

    @property
    def longest_s(self) -> float:
        """No send takes longer, whatever the plug-in does."""
        return self.sender.longest_s + SLACK_S


class Gates:
    """The open gates. A destination that is switched off, gone, or cannot work has none: its lanes wait for the catalogue."""

    def __init__(self, catalogue: Catalogue, transports: Transports, tools: Tools) -> None:
        self._catalogue = catalogue
        self._transports = transports
        self._tools = tools
        self._open: dict[DestinationId, Gate] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.troubles: dict[DestinationId, str] = {}

    def of(self, route: Route) -> Gate | None:
        """Return the gate of a route's destination as the catalogue has it at this moment."""
        destination = self._catalogue.snapshot.destinations.get(route.destination_id)
        gate = self._open.get(route.destination_id)
        if gate is not None:  # one whose destination has just changed is nobody's gate until ``follow``
            return gate if gate.destination is destination else None
        if destination is None or not destination.enabled:
            return None
        try:
            made = Gate(destination, self._transports.sender(destination, self._tools))
        except Misconfigured as error:
            self.troubles[destination.id] = str(error)
            return None
        self.troubles.pop(destination.id, None)
        self._open[destination.id] = made
        return made

    def follow(self) -> list[Lane]:
        """Close the gates of destinations that changed; return the lanes that waited at them."""
        destinations, turned_away = self._catalogue.snapshot.destinations, list[Lane]()
        self.troubles = {identity: text for identity, text in self.troubles.items() if identity in destinations}
        for gate in [one for one in self._open.values() if destinations.get(one.destination.id) is not one.destination]:
            turned_away += gate.waiting
            self._close(gate)
        return turned_away

    def left(self, gate: Gate) -> None:
        """A lane's turn ended; the sender of a closed gate is closed with its last one."""
        gate.running -= 1
        if not gate.open and gate.running == 0:
            self._retire(gate.sender)

    async def close(self) -> None:
        """Close every sender."""
        for gate in list(self._open.values()):
            gate.running = 0
            self._close(gate)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _close(self, gate: Gate) -> None:
        gate.open = False
        gate.waiting.clear()
        if self._open.get(gate.destination.id) is gate:
            del self._open[gate.destination.id]
        if gate.running == 0:
            self._retire(gate.sender)

    def _retire(self, sender: Sender) -> None:
        task = asyncio.get_running_loop().create_task(sender.close())
        self._closing.add(task)
        task.add_done_callback(self._retired)

    def _retired(self, task: "asyncio.Task[None]") -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # a plug-in that cannot even close concerns nobody else
