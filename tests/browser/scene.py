"""A furnished hub: two hospitals, a vendor, a lab; subscriptions in every state; messages, requests, keys. For tests that walk all pages, and for pictures."""

from carelane.domain.office import Filter, Offer
from carelane.domain.views import Person
from carelane.exchange.hub import Hub
from carelane.kit.ids import public
from tests.waiting import until

PASSWORD = "harbour lamps and rain"
EMAIL = "ann@north.example"
MODELS = ("PatientAdmin", "Results")


async def sign_up(hub: Hub, email: str, name: str, organization: str, kind: str, **profile: object) -> Person:
    await hub.team.sign_up(email=email, name=name, password=PASSWORD, organization=organization, kind=kind)
    person = await hub.desk.who(await hub.desk.sign_in(email, PASSWORD))
    await hub.team.change_profile(person, name=organization, kind=kind, listed=True, profile=profile)
    return person


async def furnish(hub: Hub) -> dict[str, str]:
    """Make everything; return the path of each page by name."""
    ann = await sign_up(hub, EMAIL, "Ann Berg", "North Hospital", "provider", place="Lakeside, WI", ehr="SimEHR", about="Two hundred beds by the lake.",
                        contact="integration@north.example", offers=["PatientAdmin", "Results"], wants=["Results"])  # fmt: skip
    bob = await sign_up(hub, "bob@bright.example", "Bob Lind", "Bright Health", "health-tech vendor", place="Portland, OR", about="Remote monitoring after discharge.",
                        offers=["Results"], wants=["PatientAdmin", "Results"])  # fmt: skip
    cedar = await sign_up(hub, "cy@cedar.example", "Cy Moe", "Cedar Valley Laboratory", "lab", place="Cedar Rapids, IA", offers=["Results"])
    await sign_up(hub, "di@harbor.example", "Di Roe", "Harbor County Health", "public health", place="Harbor, WA", wants=["Results"])
    connection = await agreed(hub, bob, ann, "Remote patient monitoring after discharge")
    asked = await hub.partners.request(cedar, (await hub.team.me(ann)).uid, purpose="Results of reference tests", offers=[Offer("Results", outward=True)],
                                       note="We can start in development next week.")  # fmt: skip
    source = await hub.endpoints.create(ann, "source", environment="development", name="North ADT feed", transport="http", settings={})
    inbox = await hub.endpoints.create(bob, "destination", environment="development", name="Bright landing zone", transport="inbox", settings={})
    down = await hub.endpoints.create(bob, "destination", environment="development", name="Bright webhook", transport="webhook",
                                      settings={"url": "http://127.0.0.1:9/carelane"})  # fmt: skip
    back = await hub.endpoints.create(bob, "source", environment="development", name="Bright device gateway", transport="http", settings={})
    own = (await hub.endpoints.find(ann, "destination", environment="development"))[0].uid
    made = [*await hub.subscriptions.create(ann, source=source, destination=inbox, models=MODELS), *await hub.subscriptions.create(ann, source=source, destination=down, models=["PatientAdmin"])]  # fmt: skip
    for uid in made:
        await hub.subscriptions.accept(bob, uid)
    await hub.subscriptions.create(bob, source=back, destination=own, models=["Results"], name="Device results for the chart")
    await hub.subscriptions.pause(ann, made[1])
    draft = await hub.endpoints.save_draft(
        ann, None, "destination", environment="staging", name="Half a destination", transport="webhook", settings={}, secret={}
    )
    await hub.endpoints.create_key(ann, source, "Integration engine")
    await hub.personal_keys.create(ann, "Nightly reconciliation", 90)
    await hub.team.invite(ann, email="eve@north.example", role="member", environments={"development": "engineer"}, payloads=True)
    message = await send(hub, ann, source)
    engine = (await hub.subscriptions.find(ann, Filter(text="Health System"))).rows[0]
    me, her = (await hub.team.members(ann))[0].uid, (await hub.team.me(bob)).uid
    return {
        "connections": "/connections", "flow": f"/connections/{public('con', connection)}", "flow-health-system": f"/connections/{public('con', engine.connection)}",
        "agreement": f"/connections/{public('con', connection)}/agreement", "requests": "/connections/requests", "request": f"/connections/{public('con', asked)}",
        "directory": "/connections/directory", "profile": f"/connections/directory/{public('org', her)}", "subscriptions": "/subscriptions",
        "subscription": f"/subscriptions/{public('sub', made[0])}", "new-subscription": f"/subscriptions/new?with={public('con', connection)}",
        "sources": "/developer/sources", "source": f"/developer/sources/{public('src', source)}", "destinations": "/developer/destinations",
        "destination": f"/developer/destinations/{public('dst', own)}", "inbox": f"/developer/destinations/{public('dst', own)}/inbox",
        "new-source": "/developer/sources/new", "draft": f"/developer/destinations/drafts/{public('dft', draft)}", "keys": "/developer/keys",
        "personal-keys": "/developer/personal-keys", "tools": "/developer/tools", "watch": f"/developer/tools/{public('msg', message)}", "messages": "/messages",
        "message": f"/messages/{public('msg', message)}", "team": "/team", "member": f"/team/{public('usr', me)}", "organization": "/organization",
        "audit": "/audit", "welcome": "/welcome", "new-organization": "/organizations/new", "missing": "/connections/con_" + "0" * 32,
    }  # fmt: skip


async def agreed(hub: Hub, asker: Person, partner: Person, purpose: str):
    offers = [Offer(model, outward=False) for model in MODELS] + [Offer("Results", outward=True)]
    uid = await hub.partners.request(asker, (await hub.team.me(partner)).uid, purpose=purpose, offers=offers, environments=["development", "staging"])
    await hub.partners.accept(partner, uid)
    return uid


async def send(hub: Hub, person: Person, source) -> object:
    """Send a few messages, once the hub has seen the source and where it leads."""

    async def seen():
        mine = [one.id for one in hub.snapshot().sources.values() if one.uid == source]
        return bool(mine) and all(hub.snapshot().routes.get((mine[0], model)) for model in ("PatientAdmin", "Results"))

    await until(seen)
    found = None
    for event in ("Arrival", "PatientUpdate", "Discharge", "Arrival"):
        found = await hub.devtools.send(person, source, hub.devtools.sample("PatientAdmin", event))
    await hub.devtools.send(person, source, hub.devtools.sample("Results", "New"))
    assert found is not None
    assert found.message_id is not None
    return found.message_id
