"""FHIR on the way in, on the way out, and as the working model of a subscription."""

import orjson

from carelane.models.fhir import check_resource
from carelane.testing.partners import FakeWebhook, mllp_ask
from tests.journeys.hubs import mllp_port, running_hub
from tests.world import adt, make_world

RESOURCE = {
    "resourceType": "Bundle", "type": "collection",
    "entry": [{"resource": {"resourceType": "Patient", "id": "p", "identifier": [{"value": "7", "type": {"coding": [{"code": "MR"}]}}], "name": [{"family": "Doe"}]}},
              {"resource": {"resourceType": "Encounter", "status": "in-progress", "class": {"code": "IMP"}, "subject": {"reference": "Patient/p"}}}],
}  # fmt: skip


async def test_an_admission_over_mllp_reaches_a_fhir_destination_as_a_valid_bundle(store):
    async with FakeWebhook() as partner:
        world = await make_world(store, transport="webhook", settings={"url": partner.url}, destination_format="fhir")
        async with running_hub(store) as running:
            await mllp_ask(mllp_port(running, world.source), adt("C1"))
            [body] = await partner.wait_for(1)
        headers = partner.received[0][0]
    bundle = orjson.loads(body)
    assert ("application/fhir+json", "message", []) == (headers["content-type"].split(";")[0], bundle["type"], check_resource(bundle))


async def test_a_fhir_subscription_delivers_the_notification_in_the_envelope(store):
    async with FakeWebhook() as partner:
        world = await make_world(store, transport="webhook", settings={"url": partner.url}, models=("FHIR.Event.PatientAdmin",))
        async with running_hub(store) as running:
            assert b"MSA|AA|C1" in await mllp_ask(mllp_port(running, world.source), adt("C1"))
            [body] = await partner.wait_for(1)
    document = orjson.loads(body)
    assert ("FHIR.Event.PatientAdmin", "patient-arrived", "North feed") == (
        document["Meta"]["DataModel"], document["Meta"]["EventType"], document["Meta"]["Source"]["Name"])  # fmt: skip
    assert "MessageHeader" == document["Resource"]["entry"][0]["resource"]["resourceType"]


async def test_a_bundle_in_is_routed_to_classic_and_fhir_subscriptions_alike(store):
    async with FakeWebhook() as partner:
        world = await make_world(
            store, transport="webhook", settings={"url": partner.url}, source_transport="http", source_settings={}, source_format="fhir",
            models=("PatientAdmin", "FHIR.Encounter"),
        )  # fmt: skip
        async with running_hub(store) as running:
            receipt = await running.hub.devtools.accept(world.source, orjson.dumps(RESOURCE), format="fhir")
            assert "stored" == receipt.outcome and "OperationOutcome" == orjson.loads(receipt.reply)["resourceType"]
            bodies = [orjson.loads(body) for body in await partner.wait_for(2)]
    classic = next(one for one in bodies if one["Meta"]["DataModel"] == "PatientAdmin")
    assert ("Arrival", "7") == (classic["Meta"]["EventType"], classic["Patient"]["Identifiers"][0]["ID"])
    fhir = next(one for one in bodies if one["Meta"]["DataModel"].startswith("FHIR."))
    assert RESOURCE == fhir["Resource"]
