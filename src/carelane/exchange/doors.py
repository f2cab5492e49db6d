"""Keeps a listener open for every source that needs one, as the catalogue changes."""

import asyncio

from carelane.domain.endpoint import Source
from carelane.domain.errors import Misconfigured
from carelane.domain.ids import SourceId
from carelane.exchange.ports import Accept, Catalogue, Listener, Tools, Transports


class Doors:
    """Opens, reopens and closes listeners. One that cannot open does not stop the others: ``troubles`` says why."""

    def __init__(self, catalogue: Catalogue, transports: Transports, accept: Accept, tools: Tools) -> None:
        self._catalogue = catalogue
        self._transports = transports
        self._accept = accept
        self._tools = tools
        self._open: dict[SourceId, tuple[Source, Listener]] = {}
        self.troubles: dict[SourceId, str] = {}

    async def follow(self) -> None:
        """Make what is open match the catalogue."""
        wanted = {identity: source for identity, source in self._catalogue.snapshot.sources.items() if source.enabled}
        for identity, (source, listener) in list(self._open.items()):
            if wanted.get(identity) != source:
                await listener.stop()
                del self._open[identity]
        for identity, source in wanted.items():
            if identity not in self._open:
                await self._try(source)
        self.troubles = {identity: text for identity, text in self.troubles.items() if identity in wanted}

    async def _try(self, source: Source) -> None:
        try:
            listener = self._transports.listener(source, self._accept, self._tools)
            if listener is not None:
                await listener.start()
                self._open[source.id] = (source, listener)
            self.troubles.pop(source.id, None)
        except Misconfigured as error:
            self.troubles[source.id] = str(error)

    async def close(self) -> None:
        """Close every listener, each answering what it has taken."""
        await asyncio.gather(*(listener.stop() for _, listener in self._open.values()))
        self._open.clear()
