"""An office for tests: organizations with people who act in them."""

from dataclasses import dataclass, field

from carelane.domain.listening import ListenPorts
from carelane.domain.office import Offer
from carelane.domain.views import Person
from carelane.exchange.ports import Tools
from carelane.front import name_overlay
from carelane.kit.clock import SystemClock
from carelane.kit.http import Guard, HttpClient, networks
from carelane.models.schemas import model_events
from carelane.plugins import EndpointShelf
from carelane.store import people
from carelane.store.office.endpoints import Endpoints
from carelane.store.office.partners import Partners
from carelane.store.office.personal import PersonalKeys
from carelane.store.office.subscriptions import Subscriptions
from carelane.store.office.team import Team
from carelane.store.store import Store

PASSWORD = "harbour lamps and rain"


@dataclass
class Office:
    """Every noun of the office over one store; ``mails`` is what would have been sent."""

    store: Store
    mails: list[tuple[list[str], str, str]] = field(default_factory=list)
    ports: ListenPorts = field(default_factory=lambda: ListenPorts.parse("2575,20000-20009"))

    def __post_init__(self) -> None:
        async def notify(addresses, subject, text):
            self.mails.append((list(addresses), subject, text))

        guard = Guard(networks(["127.0.0.0/8"]))
        self.tools = Tools(HttpClient(guard), guard, SystemClock(), None)
        self.team = Team(self.store.database, self.store.keyring, notify, tuple(model_events()))
        self.partners = Partners(self.store.database, notify)
        self.subscriptions = Subscriptions(self.store.database, name_overlay)
        self.personal_keys = PersonalKeys(self.store.database)
        self.endpoints = Endpoints(self.store.database, self.store.keyring, EndpointShelf(self.tools), self.ports)

    async def sign_up(self, name: str, organization: str, kind: str = "provider") -> Person:
        """Sign a person up with an organization and return them, signed in."""
        email = f"{name.lower()}@example.org"
        await self.team.sign_up(email=email, name=name, password=PASSWORD, organization=organization, kind=kind)
        return await self.person(email)

    async def person(self, email: str, password: str = PASSWORD) -> Person:
        """Sign somebody in."""
        token = await people.sign_in(self.store.database, email, password)
        found = await people.who(self.store.database, token)
        assert found is not None
        return found

    async def list_in_directory(self, person: Person, name: str, kind: str = "provider", **profile: object) -> None:
        """Put an organization into the directory."""
        await self.team.change_profile(person, name=name, kind=kind, listed=True, profile=profile)

    async def connected(self, asker: Person, partner: Person, partner_uid, *models: str):
        """Request and accept a connection: the asker sends these models."""
        uid = await self.partners.request(asker, partner_uid, purpose="care", offers=[Offer(model, outward=True) for model in models])
        await self.partners.accept(partner, uid)
        return uid
