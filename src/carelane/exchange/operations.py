"""Running the exchange: lanes and messages as one's environment roles reach them. Pages and the platform API come through here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from carelane.domain.ids import LaneId
from carelane.domain.permissions import Right, demand, may, nothing_here
from carelane.domain.views import LaneView, MessageView, Opened, Person, Search
from carelane.exchange.desk import Desk
from carelane.exchange.replay import Replay


@dataclass(frozen=True)
class Operations:
    """Rights are checked against the environment of the lane or the message; what is out of reach is not there."""

    desk: Desk
    replays: Replay

    async def lanes(self, person: Person) -> list[LaneView]:
        """Return the lanes of one's organization, either end, in the environments one sees."""
        demand(person, Right.SEE)
        return [lane for lane in await self.desk.lanes(person.org_id) if may(person, Right.SEE, lane.environment)]

    async def lane(self, person: Person, number: LaneId, right: Right = Right.SEE) -> LaneView:
        """Return one lane; raises ``NotFound``."""
        found = next((lane for lane in await self.lanes(person) if lane.id == number), None)
        if found is None:
            raise nothing_here()
        demand(person, right, found.environment)
        return found

    async def pause(self, person: Person, number: LaneId) -> None:
        """Stop sending; messages go on queuing."""
        await self.lane(person, number, Right.OPERATE)
        await self.desk.pause(number, person.org_id, person.email)

    async def resume(self, person: Person, number: LaneId) -> None:
        """Send again after a pause; raises ``Conflict``."""
        await self.lane(person, number, Right.OPERATE)
        await self.desk.resume(number, person.org_id, person.email)

    async def release(self, person: Person, number: LaneId) -> None:
        """Try the head again now; raises ``Conflict``."""
        await self.lane(person, number, Right.OPERATE)
        await self.desk.release(number, person.org_id, person.email)

    async def skip(self, person: Person, number: LaneId, reason: str) -> int:
        """Put the head into the dead letters and return its number; raises ``Conflict``."""
        await self.lane(person, number, Right.OPERATE)
        return await self.desk.skip(number, person.org_id, person.email, reason)

    async def messages(self, person: Person, search: Search, texts: Mapping[str, str] | None = None) -> list[MessageView]:
        """Return messages of the environments one sees, newest first."""
        demand(person, Right.SEE)
        seen = tuple(one for one in person.environments if search.environments is None or one in search.environments)
        return await self.desk.messages(person.org_id, replace(search, environments=seen), texts)

    async def open(self, person: Person, message: UUID) -> Opened:
        """Return one message with its deliveries; with its content where one has the right to it. Raises ``NotFound``."""
        found = await self._heading(person, message, Right.SEE)
        if not may(person, Right.PAYLOADS, found.message.environment):
            return found
        return await self.desk.open(person.org_id, message, person.email, payload=True) or found

    async def watch(self, person: Person, message: UUID) -> Opened:
        """Return one message with its deliveries, without content. Raises ``NotFound``."""
        return await self._heading(person, message, Right.SEE)

    async def replay(self, person: Person, message: UUID) -> Mapping[LaneId, int]:
        """Queue a stored message again where it would go if it came today; raises ``NotFound`` or ``Conflict``."""
        await self._heading(person, message, Right.OPERATE)
        return await self.replays.again(person.org_id, message, person.email)

    async def _heading(self, person: Person, message: UUID, right: Right) -> Opened:
        demand(person, right)
        found = await self.desk.open(person.org_id, message, person.email, payload=False)
        if found is None or not may(person, right, found.message.environment):
            raise nothing_here()
        return found
