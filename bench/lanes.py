"""Many lanes at once, written as they would be after years, for benchmarks."""

from collections.abc import Sequence

from bench.machine import MODELS
from carelane.domain.ids import DestinationId, OrgId
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.catalogue.organization import create_organization
from carelane.store.catalogue.subscription import connect
from carelane.store.store import Store

_SOURCES = """
INSERT INTO source (uid, org_id, environment, name, transport, format, settings)
SELECT gen_random_uuid(), $1, 'development', $2 || ' ' || n, 'http', 'hl7v2', '{}' FROM generate_series(1, $3) n RETURNING id
"""
_SUBSCRIPTIONS = """
INSERT INTO subscription (uid, name, connection_id, org_id, dest_org_id, environment, source_id, destination_id, data_model, working_model, state, activated_at)
SELECT gen_random_uuid(), 'bench ' || source, $1, $2, $3, 'development', source, destination, 'PatientAdmin', 'datamodel', 'active', now()
FROM unnest($4::bigint[], $5::bigint[]) AS t(source, destination)
"""
LANES = """
WITH made AS (
  INSERT INTO lane (org_id, dest_org_id, subscription_id, destination_id) SELECT s.org_id, s.dest_org_id, s.id, s.destination_id
  FROM subscription s WHERE NOT EXISTS (SELECT 1 FROM lane l WHERE l.subscription_id = s.id) RETURNING id, org_id, dest_org_id)
INSERT INTO lane_tail (lane_id, org_id, dest_org_id) SELECT id, org_id, dest_org_id FROM made RETURNING lane_id AS id
"""


class Ground:
    """A hospital and a vendor, connected; the hospital's messages go to the vendor's destinations."""

    def __init__(self, store: Store, hospital: OrgId, vendor: OrgId, link: int) -> None:
        self.store, self.hospital, self.vendor, self.link = store, hospital, vendor, link

    async def webhook(self, name: str, url: str) -> DestinationId:
        """Make a webhook of the vendor."""
        made, _ = await create_endpoint(self.store.database, self.store.keyring, "destination", org=self.vendor, environment="development", name=name,
                                        transport="webhook", format="datamodel", settings={"url": url, "timeout_s": 60})  # fmt: skip
        return DestinationId(made)

    async def lanes(self, name: str, count: int, destinations: Sequence[DestinationId]) -> tuple[list[int], list[int]]:
        """Make so many sources, each with one lane, spread over the destinations; return the sources and their lanes."""
        engine = self.store.database.engine
        sources = [row["id"] for row in await engine.fetch(_SOURCES, self.hospital, name, count)]
        spread = [destinations[number % len(destinations)] for number in range(count)]
        await engine.execute(_SUBSCRIPTIONS, self.link, self.hospital, self.vendor, sources, spread)
        return sources, [row["id"] for row in await engine.fetch(LANES)]


async def make_ground(store: Store) -> Ground:
    """Create the two organizations and their connection."""
    hospital = await create_organization(store.database, store.keyring, slug="north", name="North", kind="provider")
    vendor = await create_organization(store.database, store.keyring, slug="brisk", name="Bright", kind="health-tech vendor")
    link = await connect(store.database, org=vendor, partner=hospital, models=[(hospital, vendor, model) for model in MODELS], purpose="", actor="bench")
    await store.database.engine.execute("UPDATE connection SET state = 'connected' WHERE id = $1", link)
    return Ground(store, hospital, vendor, link)
