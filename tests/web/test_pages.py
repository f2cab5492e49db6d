"""The dashboard over HTTP: who gets in, what pages say, what they may not do."""

import asyncio
import re

import aiohttp
import orjson
import pytest

from carelane.exchange.node import DRAINING
from carelane.kit.ids import public
from carelane.store.catalogue.endpoint import create_endpoint
from carelane.store.people import create_user
from carelane.testing.partners import mllp_ask
from carelane.web.security import CSP
from carelane.web.server import running
from tests.journeys.hubs import free_port, mllp_port, running_hub
from tests.waiting import until
from tests.world import adt, make_world

EMAIL, PASSWORD = "ann@example.org", "a long pass phrase"
SAME = {"sec-fetch-site": "same-origin"}


@pytest.fixture
async def site(store):
    world = await make_world(store)
    await create_user(store.database, email=EMAIL, name="Ann", password=PASSWORD, orgs=[world.hospital, world.vendor])
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", cookie_jar=jar) as session:
            session.world, session.hub, session.store = world, hub, store  # type: ignore[attr-defined]
            yield session


async def sign_in(site, password=PASSWORD, **headers):
    async with site.post("/sign-in", data={"email": EMAIL, "password": password}, headers={**SAME, **headers}, allow_redirects=False) as reply:
        return reply.status, await reply.text()


async def get(site, path):
    async with site.get(path, allow_redirects=False) as reply:
        return reply.status, await reply.text(), reply.headers


@pytest.mark.parametrize("path", ["/connections", "/messages", "/messages/msg_" + "0" * 32, "/subscriptions", "/developer/sources", "/team"])
async def test_pages_are_for_people_who_are_signed_in(site, path):
    status, _, headers = await get(site, path)
    assert (303, "/sign-in") == (status, headers["location"])


async def test_a_right_password_opens_the_pages(site):
    assert 303 == (await sign_in(site))[0]
    status, text, _ = await get(site, "/connections")
    assert (200, True, True) == (status, "Bright Health" in text, "2 subscriptions" in text)


async def subscription(site) -> str:
    """Return the page of the subscription for Results."""
    return re.search(r'href="(/subscriptions/sub_[0-9a-f]{32})"', (await get(site, "/subscriptions?model=Results"))[1])[1]


async def connection(site) -> str:
    """Return the page of the connection."""
    return re.search(r'href="(/connections/con_[0-9a-f]{32})"', (await get(site, "/connections"))[1])[1]


async def test_a_wrong_password_and_an_unknown_user_look_the_same(site):
    wrong = await sign_in(site, "wrong")
    async with site.post("/sign-in", data={"email": "nobody@example.org", "password": "x"}, headers=SAME) as reply:
        unknown = reply.status, await reply.text()
    assert wrong[0] == unknown[0] == 401
    assert re.sub(r'value="[^"]*"', "", wrong[1]) == re.sub(r'value="[^"]*"', "", unknown[1])


async def test_guessing_is_throttled(site):
    statuses = [(await sign_in(site, f"guess {number}"))[0] for number in range(12)]
    assert (401, 429) == (statuses[0], statuses[-1])


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}])
async def test_another_site_cannot_sign_anyone_in_or_act(site, headers):
    assert 403 == (await sign_in(site, **headers))[0]
    await sign_in(site)
    async with site.post(f"{await subscription(site)}/pause", headers=headers) as reply:
        assert 403 == reply.status


async def test_without_fetch_metadata_the_origin_must_be_ours(site):
    await sign_in(site)
    async with site.post(f"{await subscription(site)}/pause", headers={"origin": "https://evil.example"}) as reply:
        assert 403 == reply.status


async def test_every_page_has_the_security_headers_and_no_inline_code(site):
    await sign_in(site)
    for path in ("/connections", "/messages", "/sign-in", "/nowhere"):
        _, text, headers = await get(site, path)
        assert (CSP, "nosniff", "same-origin") == (headers["content-security-policy"], headers["x-content-type-options"], headers["referrer-policy"])
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text), path
    assert "no-store" == (await get(site, "/connections"))[2]["cache-control"]


async def test_signing_out_ends_the_sign_in_on_the_server(site):
    await sign_in(site)
    cookie = next(iter(site.cookie_jar)).value
    async with site.post("/sign-out", headers=SAME, allow_redirects=False) as reply:
        assert "storage" in reply.headers["clear-site-data"]
    async with aiohttp.ClientSession(cookies={"carelane": cookie}) as thief, thief.get(f"{site._base_url}/connections", allow_redirects=False) as reply:
        assert 303 == reply.status


async def test_a_subscription_is_paused_and_resumed_from_its_page_and_a_second_time_is_told_so(site):
    await sign_in(site)
    page = await subscription(site)
    for verb, told in (("pause", "It is paused."), ("resume", "It is resumed."), ("resume", "cannot be resumed")):
        async with site.post(f"{page}/{verb}", headers=SAME) as reply:
            assert told in await reply.text()
    assert told not in (await get(site, page))[1]


async def test_what_was_told_cannot_be_put_into_a_link(site):
    await sign_in(site)
    assert "Call this number" not in (await get(site, "/connections?problem=Call+this+number&told=Call+this+number"))[1]


async def test_the_live_stream_tells_each_lanes_figures(site):
    await sign_in(site)
    async with site.get(f"{await connection(site)}/live") as reply:
        event, data = (await reply.content.readline()).decode(), (await reply.content.readline()).decode()
    assert ("event: lanes\n", set(map(str, site.world.lanes.values()))) == (event, set(orjson.loads(data.removeprefix("data: "))))


async def test_the_table_comes_as_csv_without_formulas(site):
    await sign_in(site)
    async with site.post(f"{await subscription(site)}/change", data={"name": "=SUM(1)", "retry_hours": "24"}, headers=SAME) as reply:
        assert "Saved." in await reply.text()
    _, text, headers = await get(site, "/subscriptions.csv")
    assert ("text/csv; charset=utf-8", True, 3) == (headers["content-type"], "'=SUM(1)" in text, len(text.strip().splitlines()))


async def test_a_message_page_shows_bytes_document_deliveries_and_issues_as_text(site):
    await sign_in(site)
    await mllp_ask(mllp_port(site.hub, site.world.source), adt("C1").replace(b"Doe", b"<script>alert(1)</script>"))
    _, listing, _ = await get(site, "/messages")
    link = re.search(r'href="(/messages/msg_[0-9a-f]{32})"', listing)[1]
    status, text, _ = await get(site, link)
    assert 200 == status
    assert "&lt;script&gt;alert(1)" in text and "<script>alert" not in text
    assert all(part in text for part in ("MSA|AA|C1", "&#34;PatientAdmin&#34;", "Bright destination"))


OVERLAY = """
overlay: bright
version: "1"
pack: v2-patientadmin
changes:
- {replace: pid.8, with: {target: Patient.Demographics.Sex, source: PID-8, map: sex, unmapped: "default:Other"}}
- {disable: pid.11}
"""


async def test_a_subscriptions_own_overlay_changes_what_it_delivers_and_the_message_page_says_so(site):
    await sign_in(site)
    page = re.search(r'href="(/subscriptions/sub_[0-9a-f]{32})"', (await get(site, "/subscriptions?model=PatientAdmin"))[1])[1]
    form = {"name": "Admissions", "retry_hours": "24"}
    async with site.post(f"{page}/change", data={**form, "overlay": OVERLAY.replace("pid.11", "pid.999")}, headers=SAME) as reply:
        told = await reply.text()
        assert (422, True, True) == (reply.status, "no row of this id" in told, "disable: pid.999" in told)
    async with site.post(f"{page}/change", data={**form, "overlay": OVERLAY}, headers=SAME) as reply:
        assert "Saved." in await reply.text()
    assert "overlay: bright" in (await get(site, page))[1]
    while not any(route.overlay for route in site.hub.hub.snapshot().lanes.values()):  # the catalogue is followed within moments
        await asyncio.sleep(0.01)
    await mllp_ask(mllp_port(site.hub, site.world.source), adt("C1"))
    link = re.search(r'href="(/messages/msg_[0-9a-f]{32})"', (await get(site, "/messages"))[1])[1]
    text = (await get(site, link))[1]
    assert "changed by bright<" in text and "v2-patientadmin 2+bright.1" in text


@pytest.mark.parametrize(
    ("overlay", "reason"),
    [
        ("a: &x [1,1]\nb: [*x,*x]", "line 1: the anchor &amp;x is not allowed"),
        ("[" * 60_000, "line 1: it is nested deeper than 14"),
        ("x" * 80_000, "at most 65,536 bytes"),
    ],
    ids=["anchor", "depth", "length"],
)
async def test_a_hostile_overlay_is_refused_on_its_page_with_line_and_bound(site, overlay, reason):
    await sign_in(site)
    page = await subscription(site)
    async with site.post(f"{page}/change", data={"name": "Results", "retry_hours": "24", "overlay": overlay}, headers=SAME) as reply:
        assert (422, True) == (reply.status, reason in await reply.text())


async def test_messages_are_found_by_patient_without_the_number_in_the_address(site):
    await sign_in(site)
    await mllp_ask(mllp_port(site.hub, site.world.source), adt("C1"))
    async with site.post("/messages", data={"kind": "patient", "text": "4711"}, headers=SAME) as reply:
        assert "ADT^A01" in await reply.text() and "4711" not in str(reply.url)
    async with site.post("/messages", data={"kind": "patient", "text": "0815"}, headers=SAME) as reply:
        assert "Nothing found" in await reply.text()


async def test_another_organizations_message_does_not_exist(site):
    from carelane.store.catalogue.organization import create_organization

    await sign_in(site)
    await mllp_ask(mllp_port(site.hub, site.world.source), adt("C1"))
    link = re.search(r'href="(/messages/msg_[0-9a-f]{32})"', (await get(site, "/messages"))[1])[1]
    stranger = await create_organization(site.store.database, site.store.keyring, slug="stranger", name="S", kind="payer")
    await create_user(site.store.database, email="eve@example.org", name="Eve", password=PASSWORD, orgs=[stranger])
    async with site.post("/sign-in", data={"email": "eve@example.org", "password": PASSWORD}, headers=SAME):
        pass
    assert 404 == (await get(site, link))[0] == (await get(site, "/messages/msg_" + "1" * 32))[0] == (await get(site, "/messages/x"))[0]


async def test_the_partner_sees_the_heading_and_not_the_bytes(site):
    await sign_in(site)
    await mllp_ask(mllp_port(site.hub, site.world.source), adt("C1"))
    async with site.post("/switch", data={"org": str(site.world.vendor)}, headers=SAME):
        pass
    link = re.search(r'href="(/messages/msg_[0-9a-f]{32})"', (await get(site, "/messages"))[1])[1]
    _, text, _ = await get(site, link)
    assert "ADT^A01" in text and "belong to the sender" in text and "4711" not in text


async def test_replay_from_the_page_queues_it_again(site):
    await sign_in(site)
    await mllp_ask(mllp_port(site.hub, site.world.source), adt("C1"))
    link = re.search(r'href="(/messages/msg_[0-9a-f]{32})"', (await get(site, "/messages"))[1])[1]
    async with site.post(f"{link}/replay", headers=SAME) as reply:
        assert "Queued again on 1 lane." in await reply.text()


async def test_an_empty_hub_says_what_to_do_next(site):
    await sign_in(site)
    assert "carelane send message.hl7" in (await get(site, "/messages"))[1]


async def test_health_is_for_load_balancers(site):
    assert 200 == (await get(site, "/health"))[0]
    site.hub.node.ingest.refusing = DRAINING
    assert 503 == (await get(site, "/health"))[0]


async def listening(site, name: str, port: int) -> str:
    """Write a source past the office, without a claim to its port; return its page."""
    _, uid = await create_endpoint(
        site.store.database, site.store.keyring, "source", org=site.world.hospital, environment="development", name=name, transport="mllp",
        format="hl7v2", settings={"port": port},
    )  # fmt: skip
    return f"/developer/sources/{public('src', uid)}"


async def save(site, path, port):
    async with site.post(path, data={"name": "Saved", "enabled": "on", "set-port": str(port)}, headers=SAME, allow_redirects=False) as reply:
        return reply.status, await reply.text()


async def test_a_source_s_page_says_why_it_does_not_listen_until_it_does(site):
    port = free_port()
    path = await listening(site, "Second", port)
    await sign_in(site)

    async def troubled():
        return f"Not listening: port {port} does not belong to Second" in (await get(site, path))[1]

    async def well():
        return "Not listening" not in (await get(site, path))[1]

    assert await until(troubled)
    assert 303 == (await save(site, path, port))[0]
    assert await until(well)


async def test_a_taken_port_is_refused_on_the_form_with_free_ones(site):
    first, second, port = await listening(site, "Second", 0), await listening(site, "Third", 0), free_port()
    await sign_in(site)
    assert 303 == (await save(site, first, port))[0]
    status, text = await save(site, second, port)
    assert (422, True) == (status, f"Port {port} is taken by another source of yours; free ports in your range:" in text)
