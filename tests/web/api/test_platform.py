"""The platform API does what the dashboard does: two organizations find each other, agree, subscribe, send, stop."""

import asyncio
import io

import aiohttp
import pytest

from carelane.formats.hl7v2 import overlays
from carelane.kit.ids import public, uuid7
from tests.journeys.hubs import free_port
from tests.waiting import until


async def org_id(caller) -> str:
    return (await caller.ask("GET", "/organization", status=200))[0]["id"]


async def connected(ann, bob) -> str:
    """Ann asks for PatientAdmin out and Results in; Bob accepts."""
    body = {"partner": await org_id(bob), "purpose": "Care", "models": {"send": ["PatientAdmin"], "receive": ["Results"]}}
    made, _ = await ann.ask("POST", "/connections", body, status=201)
    await bob.ask("POST", f"/connections/{made['id']}/accept", status=200)
    return made["id"]


async def ends(ann, bob) -> tuple[str, str]:
    source, _ = await ann.ask("POST", "/sources", {"name": "ADT feed", "environment": "development", "method": "http"}, status=201)
    destination, _ = await bob.ask("POST", "/destinations", {"name": "Landing", "environment": "development", "method": "inbox"}, status=201)
    return source["id"], destination["id"]


async def test_two_organizations_connect_subscribe_send_and_end_without_a_browser(ann, bob):
    directory, _ = await ann.ask("GET", "/directory?text=bright&dataModel=PatientAdmin", status=200)
    assert ["Bright Health"] == [one["name"] for one in directory["items"]]
    connection = await connected(ann, bob)
    source, destination = await ends(ann, bob)
    made, _ = await ann.ask("POST", "/subscriptions", {"source": source, "destination": destination, "dataModels": ["PatientAdmin"]}, status=201)
    [subscription] = made["items"]
    assert ("proposed", None) == (subscription["state"], subscription["lane"])
    accepted, _ = await bob.ask("POST", f"/subscriptions/{subscription['id']}/accept", status=200)
    assert "active" == accepted["state"]
    whole, _ = await ann.ask("GET", f"/connections/{connection}", status=200)
    assert ("connected", ["PatientAdmin", "Results"]) == (whole["state"], sorted(line["dataModel"] for line in whole["agreement"]))
    sample, _ = await ann.ask("GET", "/samples/PatientAdmin/Arrival", status=200)
    message = await until_taken(ann, source, sample["body"])
    await until_received(bob, destination, message)
    ended, _ = await bob.ask("POST", f"/connections/{connection}/end", {"queued": "drain"}, status=200)
    assert "ended" == ended["state"]
    moves = [one["action"] for one in (await ann.ask("GET", f"/connections/{connection}/timeline", status=200))[0]["items"]]
    assert ["connection.end", "connection.accept", "connection.request"] == [move for move in moves if move.startswith("connection.")]


async def until_taken(ann, source: str, body: str) -> str:
    """Send until the hub has seen the new subscription."""

    async def taken():
        sent, reply = await ann.ask("POST", f"/sources/{source}/send", {"body": body})
        return sent["message"] if reply.status == 200 else None

    return await until(taken)


async def until_received(bob, destination: str, message: str) -> None:
    async def received():
        inbox, _ = await bob.ask("GET", f"/destinations/{destination}/inbox", status=200)
        return message in [one["message"] for one in inbox["items"]]

    await until(received)


async def test_without_a_live_key_nothing_is_told(ann, base):
    async with aiohttp.ClientSession(base) as stranger:
        for headers in ({}, {"authorization": "Bearer cp_wrong"}, {"authorization": f"Basic {ann.key}"}):
            async with stranger.get("/platform/v1/organization", headers=headers) as reply:
                assert (401, "application/problem+json") == (reply.status, reply.content_type)
                assert "Bearer" in reply.headers["www-authenticate"]
    [key] = (await ann.ask("GET", "/personal-keys", status=200))[0]["items"]
    assert key["lastUsedAt"] is not None
    await ann.ask("DELETE", f"/personal-keys/{key['id']}", status=204)
    await ann.ask("GET", "/organization", status=401)


async def test_a_key_has_the_roles_its_owner_has_now(office, ann, calling):
    token = await office.team.invite(ann.person, email="eve@example.org", role="member", environments={"development": "engineer"}, payloads=False)
    await office.team.join(token, name="Eve", password="harbour lamps and rain")
    eve = await calling(await office.person("eve@example.org"))
    await eve.ask("POST", "/sources", {"name": "Mine", "environment": "development", "method": "http"}, status=201)
    [member] = [one for one in (await ann.ask("GET", "/members", status=200))[0]["items"] if one["name"] == "Eve"]
    await ann.ask("PUT", f"/members/{member['id']}/roles", {"role": "member", "environments": {"development": "viewer"}}, status=200)
    await eve.ask("GET", "/sources", status=200)
    await eve.ask("POST", "/sources", {"name": "Another", "environment": "development", "method": "http"}, status=404)
    await ann.ask("DELETE", f"/members/{member['id']}", status=204)
    await eve.ask("GET", "/sources", status=401)


async def test_a_change_to_an_older_version_is_refused(ann):
    for path, change in (("/organization", {"about": "One"}), (f"/sources/{(await ann.ask('GET', '/sources'))[0]['items'][0]['id']}", {"name": "Another"})):
        _, read = await ann.ask("GET", path, status=200)
        await ann.ask("PATCH", path, change, status=200, If_Match=read.headers["etag"])
        problem, reply = await ann.ask("PATCH", path, change, If_Match=read.headers["etag"])
        assert (412, "application/problem+json") == (reply.status, reply.content_type)
        assert "Read it again" in problem["pointer"]
    _, reply = await ann.ask("PATCH", "/organization", {"about": "Two"}, If_Match="nonsense")
    assert 412 == reply.status


async def test_what_a_change_leaves_out_stays(ann):
    await ann.ask("PATCH", "/organization", {"place": "Monroe, WI"}, status=200)
    found, _ = await ann.ask("GET", "/organization", status=200)
    assert ("Monroe, WI", "Epic", ["PatientAdmin"], True) == (found["place"], found["ehr"], found["offers"], found["listed"])


async def test_a_create_sent_again_answers_what_it_answered_first(ann):
    body = {"name": "Twice", "environment": "development", "method": "http"}
    key = str(uuid7())
    first, _ = await ann.ask("POST", "/sources", body, status=201, Idempotency_Key=key)
    again, reply = await ann.ask("POST", "/sources", body, status=201, Idempotency_Key=key)
    assert (first, "true") == (again, reply.headers["idempotent-replayed"])
    problem, _ = await ann.ask("POST", "/sources", {**body, "name": "Other"}, status=422, Idempotency_Key=key)
    assert ("urn:carelane:problem:idempotency-key-reused", True) == (problem["type"], "another request" in problem["detail"])
    await ann.ask("POST", "/sources", body, status=409)  # without the key it is a second one of the same name


async def test_of_many_at_once_with_one_key_only_one_creates(ann):
    body = {"name": "Race", "environment": "development", "method": "http"}
    key = str(uuid7())
    statuses = [reply.status for _, reply in await asyncio.gather(*(ann.ask("POST", "/sources", body, Idempotency_Key=key) for _ in range(8)))]
    assert {201, 409} >= set(statuses)
    assert 1 == len([one for one in (await ann.ask("GET", "/sources"))[0]["items"] if one["name"] == "Race"])


async def test_a_refused_create_may_be_mended_and_sent_again_with_its_key(ann):
    key = str(uuid7())
    await ann.ask("POST", "/sources", {"name": "X", "environment": "development", "method": "no such"}, status=422, Idempotency_Key=key)
    await ann.ask("POST", "/sources", {"name": "X", "environment": "development", "method": "http"}, status=201, Idempotency_Key=key)


async def test_pages_follow_one_another_without_gap_or_repeat(ann):
    for number in range(7):
        await ann.ask("POST", "/sources", {"name": f"S{number}", "environment": "staging", "method": "http"}, status=201)
    seen, cursor = [], ""
    while cursor is not None:
        page, _ = await ann.ask("GET", f"/sources?environment=staging&limit=3&cursor={cursor}", status=200)
        seen += [one["name"] for one in page["items"]]
        cursor = page["next"]
    assert [f"S{number}" for number in range(7)] == seen
    pages, cursor = [], ""
    while cursor is not None:
        page, _ = await ann.ask("GET", f"/subscriptions?limit=5&cursor={cursor}", status=200)
        pages, cursor = [*pages, [one["id"] for one in page["items"]]], page["next"]
    everything = (await ann.ask("GET", "/subscriptions?limit=200", status=200))[0]["items"]
    assert [one["id"] for one in everything] == [one for page in pages for one in page]
    await ann.ask("GET", "/sources?cursor=%21%21", status=400)


async def test_an_unreadable_request_is_told_part_by_part_and_without_its_values(ann):
    problem, reply = await ann.ask("POST", "/sources", {"name": "", "environment": "moon", "method": "http", "secretive": "4711-patient"}, status=422)
    assert "application/problem+json" == reply.content_type
    assert {"/name", "/environment", "/secretive"} == {one["pointer"] for one in problem["errors"]}
    assert "4711-patient" not in str(problem)
    async with ann.session.post("/platform/v1/sources", data=b"{", headers={"content-type": "application/json"}) as reply:
        assert 422 == reply.status
    async with ann.session.post("/platform/v1/sources", data=io.BytesIO(b"x" * (2 * 1024 * 1024 + 1)), headers={"content-type": "application/json"}) as reply:
        assert (413, "application/problem+json") == (reply.status, reply.content_type)


async def test_an_address_that_is_none_and_a_thing_that_is_not_answer_alike(ann, bob):
    source = (await bob.ask("GET", "/sources"))[0]["items"][0]["id"]
    answers = [await ann.ask("GET", f"/sources/{which}") for which in (source, public("src", uuid7()), "src_zz", "con_" + "0" * 32)]
    assert {404} == {reply.status for _, reply in answers}
    assert 1 == len({str(problem) for problem, _ in answers})
    _, reply = await ann.ask("GET", "/nowhere")
    assert (404, "application/problem+json") == (reply.status, reply.content_type)


async def test_lanes_are_paused_and_resumed_by_number(ann):
    lane = (await ann.ask("GET", "/lanes", status=200))[0]["items"][0]["lane"]
    paused, _ = await ann.ask("POST", f"/lanes/{lane}/pause", status=200)
    assert "paused" == paused["state"]
    resumed, _ = await ann.ask("POST", f"/lanes/{lane}/resume", status=200)
    assert "paused" != resumed["state"]
    await ann.ask("POST", f"/lanes/{lane}/skip", {"reason": "nothing"}, status=409)
    await ann.ask("GET", "/lanes/99999999", status=404)


async def test_a_key_made_over_the_api_posts_messages(ann, base):
    source = (await ann.ask("GET", "/sources"))[0]["items"][0]
    made, _ = await ann.ask("POST", f"/sources/{source['id']}/keys", {"name": "engine"}, status=201)
    sample, _ = await ann.ask("GET", "/samples/PatientAdmin/Arrival", status=200)
    async with aiohttp.ClientSession(base, headers={"authorization": f"Bearer {made['key']}"}) as engine:

        async def known():
            async with engine.post("/endpoint", data=sample["body"]) as reply:
                return reply.status != 401

        await until(known)
    keys, _ = await ann.ask("GET", f"/keys?source={source['id']}", status=200)
    assert made["id"] in [one["id"] for one in keys["items"]]
    assert made["key"] not in str(keys)
    await ann.ask("DELETE", f"/keys/{made['id']}", status=204)


HOSTILE = {
    "anchors": ("a: &x [1,1]\nb: [*x,*x]", "line 1: the anchor &x is not allowed"),
    "depth": ("- " * 30_000, "line 1: it is nested deeper than 14"),
    "bytes": ("ü" * 40_000, "at most 65,536 bytes"),
    "tag": ("overlay: !!python/name:os.system x", "line 1: the tag"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_overlay_is_refused_with_line_and_bound(ann, bob, case):
    overlay, reason = HOSTILE[case]
    await connected(ann, bob)
    source, destination = await ends(ann, bob)
    made, _ = await ann.ask("POST", "/subscriptions", {"source": source, "destination": destination, "dataModels": ["PatientAdmin"]}, status=201)
    problem, _ = await ann.ask("PATCH", f"/subscriptions/{made['items'][0]['id']}", {"overlay": overlay}, status=409)
    assert reason in problem["detail"]


async def test_a_body_nested_without_end_is_refused(ann):
    body = io.BytesIO(b'{"name": ' + b"[" * 1_000_000)
    async with ann.session.patch("/platform/v1/organization", data=body, headers={"content-type": "application/json"}) as reply:
        assert reply.status in (400, 422)


async def test_while_an_overlay_is_checked_the_hub_answers_others(ann, bob):
    await connected(ann, bob)
    source, destination = await ends(ann, bob)
    made, _ = await ann.ask("POST", "/subscriptions", {"source": source, "destination": destination, "dataModels": ["PatientAdmin"]}, status=201)
    change = {"overlay": 'overlay: a\nversion: "1"\npack: v2-patientadmin\nchanges: [{disable: pid.8}]'}
    with overlays._COMPILING:
        saving = asyncio.ensure_future(ann.ask("PATCH", f"/subscriptions/{made['items'][0]['id']}", change, status=200))
        for _ in range(5):
            await bob.ask("GET", "/organization", status=200)
        assert not saving.done()
    assert "disable: pid.8" in (await saving)[0]["overlay"]


async def test_a_source_s_port_is_refused_when_taken_and_its_trouble_is_told(ann, bob, base):
    port = free_port()
    other = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
    new = {"name": "ADT feed", "environment": "development", "method": "mllp", "settings": {"port": port}}
    made, _ = await ann.ask("POST", "/sources", new, status=201)

    async def trouble():
        return (await ann.ask("GET", f"/sources/{made['id']}", status=200))[0]["trouble"]

    assert "is another program using the port?" in await until(trouble)
    problem, _ = await bob.ask("POST", "/sources", new, status=409)
    assert f"Port {port} is taken; free ports in your range:" in problem["detail"]
    await bob.ask("POST", "/sources", {**new, "settings": {"port": 99999}}, status=422)
    other.close()
