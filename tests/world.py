"""A small world for tests: two organizations, a connection, a source, a destination, subscriptions."""

from dataclasses import dataclass

from carelane.domain.ids import ConnectionId, LaneId, OrgId, SourceId
from carelane.store.catalogue.endpoint import create_endpoint, create_key
from carelane.store.catalogue.listen_port import Claim
from carelane.store.catalogue.organization import create_organization
from carelane.store.catalogue.subscription import connect, subscribe
from carelane.store.store import Store

MODELS = ("PatientAdmin", "Results")

ADT = (
    b"MSH|^~\\&|EHR|NORTH|CARELANE|HUB|20260102030405+0000||ADT^A01^ADT_A01|C1|P|2.5.1\rEVN|A01|20260102030405+0000\r"
    b"PID|1||4711^^^NORTH^MR||Doe^Jo||19800101|F\rPV1|1|I|3N^12^A^NORTH||||||||||||||||V1\r"
)


def adt(control: str) -> bytes:
    """Return an admission with this control id."""
    return ADT.replace(b"|C1|", f"|{control}|".encode())


@dataclass
class World:
    """The ids of what was made."""

    hospital: OrgId
    vendor: OrgId
    source: SourceId
    destination: int
    destination_uid: object
    connection: ConnectionId
    lanes: dict[str, LaneId]
    key: str


async def make_world(
    store: Store,
    *,
    transport: str = "inbox",
    settings: dict[str, object] | None = None,
    secret: dict[str, object] | None = None,
    source_transport: str = "mllp",
    source_settings: dict[str, object] | None = None,
    source_format: str = "hl7v2",
    destination_format: str = "datamodel",
    models: tuple[str, ...] = MODELS,
    working_model: str = "datamodel",
    listens: Claim | None = None,
) -> World:
    """Create the world."""
    database, keyring = store.database, store.keyring
    hospital = await create_organization(database, keyring, slug="north", name="North Hospital", kind="provider")
    vendor = await create_organization(database, keyring, slug="bright", name="Bright Health", kind="health-tech vendor")
    source, _ = await create_endpoint(
        database,
        keyring,
        "source",
        org=hospital,
        environment="development",
        name="North feed",
        transport=source_transport,
        format=source_format,
        settings=source_settings or {"port": 0},
        listens=listens,
    )
    destination, uid = await create_endpoint(
        database,
        keyring,
        "destination",
        org=vendor,
        environment="development",
        name="Bright destination",
        transport=transport,
        format=destination_format,
        settings=settings or {},
        secret=secret,
    )
    connection = await connect(
        database, org=vendor, partner=hospital, models=[(hospital, vendor, model) for model in dict.fromkeys((*MODELS, *models))], purpose="", actor="test"
    )
    lanes = {}
    for model in models:
        _, lanes[model] = await subscribe(
            database, name=f"{model} to Bright", connection_id=connection, source=source, destination=destination, data_model=model, working_model=working_model
        )
    key = await create_key(database, org=hospital, source=source, name="test")
    return World(hospital, vendor, SourceId(source), destination, uid, connection, lanes, key)
