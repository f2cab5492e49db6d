"""What every organization starts with: an API endpoint each way, and connections to the two built-in organizations.

Your source → the Health System's simulated EHR, and the Engine's dev tools → your destination: one subscription per data
model, active at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from carelane.domain.ids import ConnectionId, OrgId
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.organization import create_organization, find_organization
from carelane.store.catalogue.subscription import connect, subscribe
from carelane.store.database import Database
from carelane.store.keys import Keyring

ENGINE, HEALTH_SYSTEM = "carelane-engine", "carelane-health-system"
NAMES = {ENGINE: "Carelane Engine", HEALTH_SYSTEM: "Carelane Health System"}
_ABOUT = {
    ENGINE: "The hub's own dev tools: sends test messages to you.",
    HEALTH_SYSTEM: "A simulated electronic health record: takes what you send and shows it.",
}
_FIRST = "SELECT id FROM {0} WHERE org_id = $1 AND environment = 'development' AND deleted_at IS NULL ORDER BY id LIMIT 1"


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The two built-in organizations and the ends they offer."""

    engine: OrgId
    engine_source: int
    health_system: OrgId
    health_system_destination: int


async def built_in(database: Database, keyring: Keyring) -> BuiltIn:
    """Return the built-in organizations; made on first use, also when two hubs start at once."""
    async with database.engine.acquire() as lock, lock.transaction():
        await lock.execute("SELECT pg_advisory_xact_lock(7263003)")
        engine, source = await _one(database, keyring, ENGINE, "source", "Dev tools")
        health_system, destination = await _one(database, keyring, HEALTH_SYSTEM, "destination", "Simulated EHR")
    return BuiltIn(engine, source, health_system, destination)


async def _one(database: Database, keyring: Keyring, slug: str, kind: str, name: str) -> tuple[OrgId, int]:
    org = await find_organization(database, slug)
    if org is None:
        org = await create_organization(
            database, keyring, slug=slug, name=NAMES[slug], kind="built-in", listed=False, profile={"about": _ABOUT[slug]}, actor="hub"
        )
    end = await database.engine.fetchval(_FIRST.format(kind), org)
    if end is None:
        transport = "http" if kind == "source" else "inbox"
        end, _ = await create_endpoint(
            database, keyring, "source" if kind == "source" else "destination", org=org, environment="development", name=name, transport=transport,
            format="datamodel", settings={}, actor="hub",
        )  # fmt: skip
    return org, int(end)


async def add_defaults(database: Database, keyring: Keyring, org: OrgId, models: Sequence[str]) -> None:
    """Give a new organization its endpoints and default connections."""
    base = await built_in(database, keyring)
    source, _ = await create_endpoint(
        database, keyring, "source", org=org, environment="development", name="API endpoint", transport="http", format="datamodel", settings={}, actor="hub"
    )
    destination, _ = await create_endpoint(
        database,
        keyring,
        "destination",
        org=org,
        environment="development",
        name="API endpoint",
        transport="inbox",
        format="datamodel",
        settings={},
        actor="hub",
    )
    forth = await connect(
        database, org=org, partner=base.health_system, models=[(org, base.health_system, model) for model in models], purpose="Try sending", actor="hub"
    )
    back = await connect(database, org=org, partner=base.engine, models=[(base.engine, org, model) for model in models], purpose="Try receiving", actor="hub")
    for model in models:
        await _subscribe(database, f"{model} to the simulated EHR", forth, source, base.health_system_destination, model)
        await _subscribe(database, f"{model} from the dev tools", back, base.engine_source, destination, model)


async def _subscribe(database: Database, name: str, connection: ConnectionId, source: int, destination: int, model: str) -> None:
    await subscribe(database, name=name, connection_id=connection, source=source, destination=destination, data_model=model, actor="hub")
