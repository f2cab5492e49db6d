"""What the demo's catalogue holds: a hospital, a vendor, their connection and its subscriptions."""

from collections.abc import Mapping

from carelane.domain.ids import OrgId
from carelane.store.catalogue.endpoint import create_endpoint, create_key
from carelane.store.catalogue.organization import create_organization, find_organization
from carelane.store.catalogue.subscription import connect, subscribe
from carelane.store.people import create_user
from carelane.store.store import Store

EMAIL = "demo@carelane.example"
MODELS = ("PatientAdmin", "Results")


async def seed(store: Store, secret: Mapping[str, str], *, mllp_port: int, vendor_port: int) -> None:
    """Create everything once; a second start finds it there."""
    database, keyring = store.database, store.keyring
    if await find_organization(database, "bright") is not None:
        return
    hospital = await find_organization(database, "lakeside") or await create_organization(
        database, keyring, slug="lakeside", name="Lakeside Hospital", kind="provider", profile={"location": "Monroe, WI", "ehr": "SimEHR"}
    )
    feed, _ = await create_endpoint(
        database,
        keyring,
        "source",
        org=hospital,
        environment="development",
        name="Lakeside ADT and lab feed",
        transport="mllp",
        format="hl7v2",
        settings={"host": "127.0.0.1", "port": mllp_port},
    )
    api, _ = await create_endpoint(
        database, keyring, "source", org=hospital, environment="development", name="Lakeside HTTP API", transport="http", format="hl7v2", settings={}
    )
    await create_key(database, org=hospital, source=api, name="demo", token=secret["key"])
    vendor = await create_organization(database, keyring, slug="bright", name="Bright Health", kind="health-tech vendor", profile={"location": "Portland, OR"})
    webhook, _ = await create_endpoint(
        database,
        keyring,
        "destination",
        org=vendor,
        environment="development",
        name="Bright Health webhook",
        transport="webhook",
        format="datamodel",
        settings={"url": f"http://127.0.0.1:{vendor_port}/carelane"},
        secret={"verification_token": secret["token"], "signing_secret": secret["signing"]},
    )
    await _connect(store, hospital, vendor, [feed, api], webhook)
    await create_user(database, email=EMAIL, name="Demo", password=secret["password"], orgs=[hospital, vendor])


async def _connect(store: Store, hospital: OrgId, vendor: OrgId, sources: list[int], webhook: int) -> None:
    connection = await connect(
        store.database,
        org=vendor,
        partner=hospital,
        models=[(hospital, vendor, model) for model in MODELS],
        purpose="Remote patient monitoring after discharge",
        actor="demo",
    )
    for source, name in zip(sources, ("feed", "API"), strict=True):
        for model in MODELS:
            await subscribe(store.database, name=f"{model} from the {name}", connection_id=connection, source=source, destination=webhook, data_model=model)
