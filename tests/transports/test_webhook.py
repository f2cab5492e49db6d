import json
from collections import deque
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from standardwebhooks.webhooks import Webhook

from carelane.domain.delivery import Verdict
from carelane.domain.endpoint import Destination
from carelane.domain.errors import Misconfigured
from carelane.exchange.ports import Ambiguous, NotSent, Tools
from carelane.kit.clock import SystemClock
from carelane.kit.http import Guard, HttpClient, networks
from carelane.kit.ids import uuid7
from carelane.testing.partners import FakeWebhook
from carelane.testing.transport_suite import SenderSuite, parcel
from carelane.transports.webhook import Sender, Settings, probe, retry_after_s
from tests.transports.slow import SlowTls

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def destination(environment: str = "development") -> Destination:
    return Destination(1, uuid7(), 2, "hook", environment, "webhook", "datamodel", {})


@pytest.fixture
async def tools():
    guard = Guard(networks(["127.0.0.0/8"]))
    made = Tools(HttpClient(guard), guard, SystemClock(), None)
    yield made
    await made.http.close()


@pytest.fixture
async def partner():
    async with FakeWebhook() as made:
        yield made


@pytest.fixture
def sender(partner, tools):
    return Sender(destination(), Settings(url=partner.url, signing_secret=SECRET, verification_token=" tok \n"), tools)


class TestWebhookSender(SenderSuite):
    name = "webhook"

    @pytest.fixture
    def delivered(self, partner):
        async def bodies():
            return [body for _, body in partner.received]

        return bodies

    @pytest.fixture
    def nowhere(self, tools):
        return Sender(destination(), Settings(url="http://127.0.0.1:1/x"), tools)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, Verdict.DELIVERED), (204, Verdict.DELIVERED), (301, Verdict.AGAIN), (400, Verdict.AGAIN), (404, Verdict.AGAIN), (410, Verdict.AGAIN), (429, Verdict.AGAIN),
     (500, Verdict.AGAIN), (503, Verdict.AGAIN)],
)  # fmt: skip
async def test_a_status_decides(sender, partner, status, verdict):
    partner.script = deque([status])
    assert verdict is (await sender.send(parcel())).judgement.verdict


async def test_a_destination_may_hold_on_rejection(partner, tools):
    partner.script = deque([422])
    sender = Sender(destination(), Settings(url=partner.url, on_rejection="hold"), tools)
    assert Verdict.HELD is (await sender.send(parcel())).judgement.verdict


async def test_the_signature_verifies_and_the_id_stays_over_attempts(sender, partner):
    await sender.send(parcel(b'{"a": 1}', attempt=1))
    await sender.send(parcel(b'{"a": 1}', attempt=2))
    for headers, body in partner.received:
        Webhook(SECRET).verify(body, headers)
    assert [("dlv_1_1", "tok")] * 2 == [(headers["webhook-id"], headers["verification-token"]) for headers, _ in partner.received]


@pytest.mark.parametrize("mood", ["hang", "close"])
async def test_written_but_unanswered_is_ambiguous(partner, tools, mood):
    partner.script = deque([mood])
    sender = Sender(destination(), Settings(url=partner.url, timeout_s=1), tools)
    with pytest.raises(Ambiguous):
        await sender.send(parcel())


async def test_retry_after_is_handed_on(sender, partner):
    partner.script, partner.headers = deque([429]), {"retry-after": "17"}
    assert 17 == (await sender.send(parcel())).judgement.retry_after_s


def test_retry_after_may_be_a_date():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert (60, None, None) == (
        retry_after_s({"retry-after": (now + timedelta(seconds=60)).strftime("%a, %d %b %Y %H:%M:%S GMT")}, now), retry_after_s({"retry-after": "soon"}, now),
        retry_after_s({}, now))  # fmt: skip


async def test_no_connection_in_time_was_not_sent(tools, tmp_path):
    async with SlowTls(tmp_path) as receiver:
        sender = Sender(destination(), Settings(url=f"https://127.0.0.1:{receiver.port}/", timeout_s=0.3), tools)
        with pytest.raises(NotSent, match="no connection within"):
            await sender.send(parcel())
        receiver.release.set()


async def test_a_private_address_is_refused_without_the_operators_word(partner):
    client = HttpClient(Guard())
    sender = Sender(destination(), Settings(url=partner.url), Tools(client, Guard(), SystemClock(), None))
    with pytest.raises(NotSent, match="not a public address"):
        await sender.send(parcel())
    await client.close()
    assert [] == partner.received


@pytest.mark.parametrize("url", ["", "ftp://x/", "x.example", "https://u:p@x.example/", "file:///etc/passwd", "gopher://x"])
def test_a_url_that_cannot_work_is_refused(url):
    with pytest.raises(ValidationError):
        Settings(url=url)


def test_plain_http_is_for_development_only(tools):
    with pytest.raises(Misconfigured, match="must begin with https"):
        Sender(destination("production"), Settings(url="http://x.example/"), tools)


def test_a_signing_secret_that_is_none_is_explained(tools):
    with pytest.raises(Misconfigured, match="not base64"):
        Sender(destination(), Settings(url="http://x.example/", signing_secret="whsec_!"), tools)


def test_secrets_do_not_print():
    assert "MfKQ" not in repr(Settings(url="http://x.example/", signing_secret=SECRET))


async def test_the_probe_reaches_the_server_without_delivering(partner, tools):
    good, bad = await probe(Settings(url=partner.url), tools), await probe(Settings(url="http://127.0.0.1:1/"), tools)
    assert (Verdict.DELIVERED, Verdict.AGAIN, []) == (good.verdict, bad.verdict, partner.received)


def test_the_public_signing_vectors_hold(shared):
    for vector in json.loads((shared / "webhook-vectors" / "vectors.json").read_text()):
        if vector["op"] == "sign":
            signed = Webhook(vector["secret"]).sign(vector["id"], datetime.fromtimestamp(vector["timestamp"], UTC), vector["payload"])
            assert vector["signature"] == signed, vector["name"]


@pytest.mark.parametrize(
    "url", ["https://" + "x" * 70, "https://a..b/in", "https://hook example.org", "https://hook.example.org:99999/in", "https://hook:0/", "http://["]
)
def test_a_url_that_can_lead_nowhere_is_refused_when_it_is_saved(url):
    with pytest.raises(ValidationError, match="url"):
        Settings(url=url)
