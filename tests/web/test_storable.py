"""Characters no database keeps, wherever a request may hold them: 400, never 500."""

import asyncio

import aiohttp
import pytest

from carelane.domain.errors import Malformed
from carelane.web.server import running
from carelane.web.storable import Storable, check_json
from tests.browser.scene import EMAIL, PASSWORD, furnish
from tests.journeys.hubs import running_hub
from tests.offices import Office


@pytest.fixture
async def site(store):
    """A hub with somebody signed in, and that person's key."""
    office = Office(store)
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
        await furnish(hub.hub)
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"sec-fetch-site": "same-origin"}
        ) as web:
            async with web.post("/sign-in", data={"email": EMAIL, "password": PASSWORD}, allow_redirects=False) as reply:
                assert 303 == reply.status
            person = await hub.hub.desk.who(web.cookie_jar.filter_cookies(web._base_url)["carelane"].value)
            _, key = await office.personal_keys.create(person, "tests", 7)
            web.port, web.bearer = port, {"authorization": f"Bearer {key}"}
            yield web
    await office.tools.http.close()


@pytest.mark.parametrize(
    "address",
    ["/messages?model=%00", "/messages?before=%00", "/messages/%00", "/sources%00", "/connections?search=a%00b", "/subscriptions?filter=%00&sort=%00", "/directory?text=%00",
     "/platform/v1/messages?dataModel=%00", "/platform/v1/messages?patient=%00", "/platform/v1/messages?cursor=%00", "/platform/v1/sources/%00", "/platform/v1/samples/%00/%00", "/%00"],
)  # fmt: skip
async def test_a_nul_in_an_address_is_a_bad_request(site, address):
    from yarl import URL

    async with site.get(URL(f"http://127.0.0.1:{site.port}{address}", encoded=True), headers=site.bearer) as reply:
        assert (400, "application/problem+json") == (reply.status, reply.content_type)


@pytest.mark.parametrize("address", ["/messages?model=%ff%fe", "/messages/%ff", "/messages?before=%ed%a0%80", "/messages/msg_%ed%a0%80", "/platform/v1/messages?dataModel=%ed%a0%80",
                                     "/platform/v1/sources/%ff", "//", "/..%2f..%2f", "/messages?model=" + "x" * 5000, "/platform/v1/lanes/99999999999999999999"])  # fmt: skip
async def test_odd_addresses_are_no_fault_of_the_hub(site, address):
    from yarl import URL

    async with site.get(URL(f"http://127.0.0.1:{site.port}{address}", encoded=True), headers=site.bearer) as reply:
        assert reply.status < 500


@pytest.mark.parametrize("line", [b"GET /messages?model=\xff\xed\xa0\x80 HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET /messages\x00 HTTP/1.1"])
async def test_bytes_that_are_no_address_are_no_fault_of_the_hub(site, line):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(line + b"\r\nhost: x\r\nconnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert not answer.startswith(b"HTTP/1.1 5")


@pytest.mark.parametrize(
    "header",
    [b"cookie: carelane=\xff\xfe", b"cookie: carelane-environment=\xff; carelane-told=%00", b"authorization: Bearer \xff", b"if-match: \xff", b"accept: \xff"],
)
async def test_odd_headers_are_no_fault_of_the_hub(site, header):
    for path in (b"/connections", b"/platform/v1/sources"):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + header + b"\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert not answer.startswith(b"HTTP/1.1 5")


@pytest.mark.parametrize(
    ("path", "form"),
    [("/organization", "name=a%00b"), ("/messages", "kind=patient&text=%00"), ("/sign-in", "email=a%00&password=b"), ("/sign-up", "email=%00")],
)
async def test_a_nul_in_a_form_is_a_bad_request(site, path, form):
    async with site.post(path, data=form, headers={"content-type": "application/x-www-form-urlencoded"}) as reply:
        assert 400 == reply.status


BODIES = [
    '{"name": "a\\u0000b", "environment": "development", "method": "http"}',
    '{"name": "A", "environment": "development", "method": "http", "settings": {"a\\u0000": 1}}',
    '{"name": "A", "environment": "development", "method": "http", "settings": {"host": "\\ud800"}}',
    '{"na\\u0000me": "A"}',
]


@pytest.mark.parametrize("body", [*BODIES, *(b'{"name": "\xed\xa0\x80"}', '{"name": "A"}'.encode("utf-16"))])
async def test_a_nul_or_half_a_character_in_json_is_a_bad_request(site, body):
    async with site.post("/platform/v1/sources", data=body, headers={**site.bearer, "content-type": "application/json"}) as reply:
        assert (400, "application/problem+json") == (reply.status, reply.content_type)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": "\\\\u0000"}', b'{"a": "\\ud83d\\ude00"}', "{'a': 'ü'}".encode()])
def test_what_can_be_kept_or_is_no_json_is_left_to_others(body):
    check_json(body)


def test_depth_is_no_reason_to_fail():
    check_json(b"[" * 100_000 + b"\\u0000")


async def test_a_nul_is_found_where_a_form_is_cut_in_two():
    parts = iter([b"name=a%", b"00b"])

    async def receive():
        return {"type": "http.request", "body": next(parts), "more_body": True}

    async def app(scope, receive, send):
        await receive()
        await receive()

    scope = {"type": "http", "path": "/x", "query_string": b"", "headers": [(b"content-type", b"application/x-www-form-urlencoded")]}
    with pytest.raises(Malformed):
        await Storable(app)(scope, receive, None)


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_value_the_database_refuses_is_the_requests_fault(wrapped, store):
    sent = []

    async def app(scope, receive, send):
        if wrapped:
            async with store.database.as_org(1) as connection:
                await connection.exec_driver_sql("SELECT $1::text::jsonb", ('"\\u0000"',))
        await store.database.engine.fetchval("SELECT $1::int8", 2**80)

    async def send(message):
        sent.append(message)

    await Storable(app)({"type": "http", "path": "/x", "query_string": b"", "headers": []}, None, send)
    assert 400 == sent[0]["status"]


async def test_a_fault_of_ours_stays_one():
    async def app(scope, receive, send):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Storable(app)({"type": "http", "path": "/x", "query_string": b"", "headers": []}, None, None)
