"""The HTTP API as its clients meet it: a real server, a real database."""

import asyncio

import aiohttp
import orjson
import pytest

from carelane.kit.ids import public
from carelane.testing.transport_suite import PluginSuite
from carelane.web.server import running
from tests.journeys.hubs import running_hub
from tests.waiting import until
from tests.world import adt, make_world


class TestHttpApi(PluginSuite):
    name = "http"


@pytest.fixture
async def api(store):
    world = await make_world(store, source_transport="http", source_settings={"most_bytes": 100_000}, source_format="datamodel")
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def post(path, body, key=world.key, **headers):
            async with session.post(path, data=body, headers={"authorization": f"Bearer {key}", **headers}) as reply:
                return reply.status, await reply.read(), reply.headers

        post.world, post.store, post.hub, post.port = world, store, hub, port
        yield post


def document(world, **meta):
    return orjson.dumps({
        "Meta": {"DataModel": "PatientAdmin", "EventType": "Arrival", "Destinations": [{"ID": public("dst", world.destination_uid)}], **meta},
        "Patient": {"Identifiers": [{"ID": "7", "IDType": "MR"}]},
    })  # fmt: skip


async def count(api, table="message"):
    return await api.store.database.engine.fetchval(f"SELECT count(*) FROM {table}")


async def test_a_document_is_stored_before_the_200_and_answered_with_its_log(api):
    status, body, headers = await api("/endpoint", document(api.world))
    meta = orjson.loads(body)["Meta"]
    assert (200, headers["carelane-message-id"], "PatientAdmin", 1) == (status, meta["Logs"][0]["ID"], meta["DataModel"], await count(api, "delivery"))


async def test_a_raw_message_gets_its_acknowledgement(api):
    status, body, _ = await api("/hl7v2", adt("C1"))
    assert (200, True) == (status, b"MSA|AA|C1" in body)


async def test_an_idempotency_key_makes_a_repeat_harmless(api):
    first = await api("/endpoint", document(api.world), **{"Idempotency-Key": "k1"})
    second = await api("/endpoint", document(api.world), **{"Idempotency-Key": '"k1"'})
    assert (first[1], "true", 1) == (second[1], second[2]["carelane-duplicate"], await count(api))


PATIENT = b'{"resourceType": "Patient", "id": "%d"}'


@pytest.mark.parametrize(
    ("path", "bodies"),
    [("/endpoint", None), ("/hl7v2", (adt("C1"), adt("C2"))), ("/fhir", (PATIENT % 1, PATIENT % 2))],
)  # fmt: skip
async def test_a_key_that_came_with_another_body_is_refused(api, path, bodies):
    first, second = bodies or (document(api.world), document(api.world, Test=True))
    assert 200 == (await api(path, first, **{"Idempotency-Key": "k1"}))[0]
    status, reply, headers = await api(path, second, **{"Idempotency-Key": "k1"})
    assert (422, 1, True) == (status, await count(api), b"Idempotency-Key came before" in reply)
    assert "carelane-message-id" not in headers


async def test_a_reused_key_is_told_as_a_problem_of_its_own(api):
    await api("/endpoint", document(api.world), **{"Idempotency-Key": "k1"})
    _, reply, headers = await api("/endpoint", document(api.world, Test=True), **{"Idempotency-Key": "k1"})
    assert ("urn:carelane:problem:idempotency-key-reused", "application/problem+json") == (orjson.loads(reply)["type"], headers["content-type"])


@pytest.mark.parametrize("key", ["x" * 256, "a b", '"open', ""])
async def test_a_key_that_is_none_is_refused(api, key):
    status, reply, _ = await api("/endpoint", document(api.world), **{"Idempotency-Key": key})
    assert (400, "urn:carelane:problem:bad-idempotency-key", 0) == (status, orjson.loads(reply)["type"], await count(api))


async def test_a_batch_with_a_key_is_refused_for_a_key_speaks_for_one_message(api):
    status, reply, _ = await api("/hl7v2", adt("C1") + adt("C2"), **{"Idempotency-Key": "k1"})
    assert (400, True, 0) == (status, b"MSA|AR|C1" in reply, await count(api))


async def test_a_question_is_refused_in_the_words_of_its_format_and_kept(api):
    status, reply, headers = await api("/endpoint", document(api.world, DataModel="PatientSearch", EventType="Query"))
    problem = orjson.loads(reply)
    assert (501, "urn:carelane:problem:question", "question") == (status, problem["type"], problem["Meta"]["Errors"][0]["Module"])
    assert headers["carelane-message-id"].startswith("msg_")
    status, reply, _ = await api("/hl7v2", adt("Q1").replace(b"ADT^A01^ADT_A01", b"QBP^Q22^QBP_Q21"))
    assert (501, True, True) == (
        status,
        b"MSA|AR|Q1|PatientSearch.Query asks for an answer" in reply,
        b"ERR||MSH^1^9|200^Unsupported message type^HL70357|E" in reply,
    )
    assert (2, 0) == (await count(api), await count(api, "delivery"))


@pytest.mark.parametrize(
    ("meta", "code", "hint"),
    [
        ({"EventType": "Arival"}, "unknown-event-type", "Arrival"), ({"EventType": "Teleport"}, "unknown-event-type", "Transfer"),
        ({"DataModel": "PatientAdmim"}, "unknown-data-model", "PatientAdmin"), ({"DataModel": "Weather"}, "unknown-data-model", "reference"),
    ],
)  # fmt: skip
async def test_a_misspelled_name_is_refused_and_the_nearest_are_told(api, meta, code, hint):
    status, reply, _ = await api("/endpoint", document(api.world, **meta))
    problem = orjson.loads(reply)
    assert (400, f"urn:carelane:problem:{code}", True) == (status, problem["type"], hint in problem["detail"])
    assert (1, 0) == (await count(api), await count(api, "delivery"))


@pytest.mark.parametrize(
    ("key", "meta", "body", "status", "code"),
    [
        ("wrong", {}, None, 401, "unauthorized"), ("", {}, None, 401, "unauthorized"), (None, {"Destinations": []}, None, 400, "destination-missing"),
        (None, {"Destinations": [{"ID": "dst_" + "0" * 32}]}, None, 404, "no-subscription"), (None, {"DataModel": "Order", "EventType": "New"}, None, 404, "no-subscription"),
        (None, {"Source": {"ID": "src_" + "0" * 32}}, None, 404, "unknown-source"), (None, {"EventType": None}, None, 400, "meta-missing"),
        (None, {}, b"{", 400, "unreadable"), (None, {}, b"[]", 400, "unreadable"), (None, {}, b"x" * 200_000, 413, "too-large"),
    ],
)  # fmt: skip
async def test_what_is_wrong_gets_its_own_problem_and_nothing_is_queued(api, key, meta, body, status, code):
    got, reply, headers = await api("/endpoint", document(api.world, **meta) if body is None else body, api.world.key if key is None else key)
    problem = orjson.loads(reply)
    assert (status, f"urn:carelane:problem:{code}", "application/problem+json", True) == (
        got,
        problem["type"],
        headers["content-type"],
        bool(problem["detail"]),
    )
    assert 0 == await count(api, "delivery")


async def test_a_destination_of_another_environment_is_told_as_such(api):
    from carelane.store.catalogue.endpoint import create_endpoint

    _, uid = await create_endpoint(api.store.database, api.store.keyring, "destination", org=api.world.hospital, environment="production", name="prod",
                                   transport="inbox", format="datamodel", settings={})  # fmt: skip

    async def known():
        return uid in api.hub.node.shelf.snapshot.destination_uids

    await until(known)
    status, reply, _ = await api("/endpoint", document(api.world, Destinations=[{"ID": public("dst", uid)}]))
    assert (403, "urn:carelane:problem:wrong-environment") == (status, orjson.loads(reply)["type"])


async def test_a_revoked_key_stops_working(api):
    await api.store.database.engine.execute("UPDATE api_key SET revoked_at = now()")

    async def refused():
        return 401 == (await api("/endpoint", document(api.world)))[0]

    await until(refused)


async def test_the_key_of_an_mllp_source_does_not_work_here(api):
    await api.store.database.engine.execute("UPDATE source SET transport = 'mllp'")

    async def refused():
        return 403 == (await api("/endpoint", document(api.world)))[0]

    await until(refused)


async def test_a_get_is_not_a_message(api):
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{api.port}/endpoint") as reply:
        assert 405 == reply.status


async def test_while_draining_clients_are_told_to_come_back(api):
    from carelane.exchange.node import DRAINING

    api.hub.node.ingest.refusing = DRAINING
    status, _, headers = await api("/endpoint", document(api.world))
    assert (503, "5") == (status, headers["retry-after"])


async def test_a_client_that_never_finishes_its_request_is_sent_away(api):
    async with running(api.hub.app, "127.0.0.1", 0, request_timeout_s=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /endpoint HTTP/1.1\r\nhost: x\r\nx-slow: ")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
