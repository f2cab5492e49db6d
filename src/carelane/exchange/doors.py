"""Keeps a listener open for every source that needs one, as the catalogue changes."""

import asyncio
from collections.abc import Callable

from carelane.domain.endpoint import Source
from carelane.domain.errors import Misconfigured
from carelane.domain.ids import SourceId
from carelane.exchange.door import Door
from carelane.exchange.ports import Accept, Catalogue, Listener, Tools, Transports
from carelane.kit.ids import public

PATIENCE_S = 2.0
"""Seconds ``follow`` waits for what it opens and closes: slower listeners go on by themselves and hold up nobody."""


class Doors:
    """Opens, reopens and closes listeners, the oldest source first. One that cannot open stops no other, and is tried again.

    Attributes:
        troubles: why the listener of a source is not open.
    """

    def __init__(self, catalogue: Catalogue, transports: Transports, accept: Accept, tools: Tools, tell: Callable[[str, str], None]) -> None:
        self._catalogue = catalogue
        self._transports = transports
        self._accept = accept
        self._tools = tools
        self._tell = tell
        self._doors: dict[SourceId, Door] = {}
        self._leaving: set[Door] = set()
        self._troubled: dict[SourceId, Source] = {}
        self.troubles: dict[SourceId, str] = {}

    async def follow(self) -> None:
        """Make what is open match the catalogue."""
        enabled = sorted((source for source in self._catalogue.snapshot.sources.values() if source.enabled), key=lambda source: source.id)
        admitted = {source.id: (source, port) for source in enabled for port in self._admitted(source)}
        left = [door for identity, door in self._doors.items() if identity not in admitted or admitted[identity][0] != door.source]
        for door in left:
            self._leave(door)
        begun = [door for source, port in admitted.values() if source.id not in self._doors for door in self._begun(source, port)]
        for identity in set(self.troubles) - {source.id for source in enabled}:
            self._note(self._troubled[identity], "")
        await _wait([*(door.settled for door in begun), *(door.task for door in left)], PATIENCE_S)

    def listener(self, source: int) -> Listener | None:
        """Return a source's listener, which may still be opening; None where there is none."""
        door = self._doors.get(SourceId(source))
        return door.listener if door is not None else None

    async def close(self) -> None:
        """Close every listener, each answering what it has taken."""
        for door in list(self._doors.values()):
            self._leave(door)
        await _wait([door.task for door in self._leaving])

    def _admitted(self, source: Source) -> list[int | None]:
        """Return where a source listens, nothing when it may not; why is noted."""
        try:
            port = self._transports.port_of(source)
            if port and self._catalogue.snapshot.ports.get(port) != source.id:
                raise Misconfigured(f"port {port} does not belong to {source.name}: choose a free port for it and save it")
        except Exception as error:  # a plug-in's own fault must not stop the other doors
            self._note(source, _said(source, error))
            return []
        return [port]

    def _begun(self, source: Source, port: int | None) -> list[Door]:
        """Begin to open a source's door, behind those still closing that it would collide with; nothing where it needs none."""
        try:
            listener = self._transports.listener(source, self._accept, self._tools)
        except Exception as error:
            self._note(source, _said(source, error))
            return []
        if listener is None:
            self._note(source, "")
            return []
        before = [door for door in self._leaving if door.source.id == source.id or (port and door.port == port)]
        self._doors[source.id] = Door(source, port, listener, self._note, self._tools.clock).begin(before)
        return [self._doors[source.id]]

    def _leave(self, door: Door) -> None:
        del self._doors[door.source.id]
        self._leaving.add(door)
        door.task.add_done_callback(lambda _: self._leaving.discard(door))
        door.leave()

    def _note(self, source: Source, text: str) -> None:
        """Keep a source's trouble, or that it is over, and tell it once."""
        if text == self.troubles.get(source.id, ""):
            return
        if text:
            self.troubles[source.id], self._troubled[source.id] = text, source
            self._tell("listener.trouble", f"{public('src', source.uid)}: {text}")
        else:
            del self.troubles[source.id], self._troubled[source.id]
            self._tell("listener.well", public("src", source.uid))


async def _wait(futures: "list[asyncio.Future[None] | asyncio.Task[None]]", seconds: float | None = None) -> None:
    if futures:
        await asyncio.wait(futures, timeout=seconds)


def _said(source: Source, error: Exception) -> str:
    return str(error) if isinstance(error, Misconfigured) else f"{source.name} cannot listen: {type(error).__name__}; check its settings"
