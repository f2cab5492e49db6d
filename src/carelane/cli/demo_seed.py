"""What the demo's catalogue holds: a hospital, a vendor, their connection and its subscriptions."""

from collections.abc import Mapping

from carelane.domain.ids import OrgId
from carelane.models.schemas import model_events
from carelane.store.catalogue.endpoint import create_endpoint, create_key
from carelane.store.catalogue.listen_port import Claim
from carelane.store.catalogue.organization import create_organization, find_organization
from carelane.store.catalogue.subscription import connect, subscribe
from carelane.store.office.defaults import add_defaults
from carelane.store.people import create_user
from carelane.store.store import Store

EMAIL = "demo@carelane.example"
MODELS = ("PatientAdmin", "Results")
_HOSPITAL: dict[str, object] = {
    "place": "Monroe, WI", "ehr": "SimEHR", "about": "A community hospital with 120 beds.", "offers": ["PatientAdmin", "Results"],
}  # fmt: skip
_VENDOR: dict[str, object] = {"place": "Portland, OR", "about": "Remote monitoring after discharge.", "wants": ["PatientAdmin", "Results"]}
_OTHERS: tuple[tuple[str, str, str, dict[str, object]], ...] = (  # in the directory, to request a connection from
    ("cedar-valley-lab", "Cedar Valley Laboratory", "lab", {"place": "Cedar Rapids, IA", "about": "Reference laboratory.", "offers": ["Results"]}),
    ("harbor-county", "Harbor County Health", "public health", {"place": "Harbor, WA", "about": "Disease surveillance.", "wants": ["Results"]}),
    ("corner-pharmacies", "Corner Pharmacies", "pharmacy", {"place": "Madison, WI", "about": "Twelve pharmacies.", "wants": ["PatientAdmin"]}),
)


async def seed(store: Store, secret: Mapping[str, str], *, mllp: Claim, vendor_port: int) -> None:
    """Create everything once; a second start finds it there."""
    database, keyring = store.database, store.keyring
    if await find_organization(database, "bright") is not None:
        return
    hospital = await find_organization(database, "lakeside") or await create_organization(
        database, keyring, slug="lakeside", name="Lakeside Hospital", kind="provider", profile=_HOSPITAL, listed=True
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
        settings={"host": "127.0.0.1", "port": mllp.port},
        listens=mllp,
    )
    api, _ = await create_endpoint(
        database, keyring, "source", org=hospital, environment="development", name="Lakeside HTTP API", transport="http", format="hl7v2", settings={}
    )
    await create_key(database, org=hospital, source=api, name="demo", token=secret["key"])
    vendor = await create_organization(database, keyring, slug="bright", name="Bright Health", kind="health-tech vendor", profile=_VENDOR, listed=True)
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
    for org in (hospital, vendor):
        await add_defaults(database, keyring, org, tuple(model_events()))
    for slug, name, kind, profile in _OTHERS:
        await create_organization(database, keyring, slug=slug, name=name, kind=kind, profile=profile, listed=True)
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
