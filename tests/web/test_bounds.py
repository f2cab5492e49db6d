import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from carelane.web import server as web
from carelane.web.server import running

GET = b"GET / HTTP/1.1\r\nhost: hub\r\n"


async def size(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def sleepy(request: Request) -> PlainTextResponse:
    await asyncio.sleep(0.3)
    return PlainTextResponse("awake")


@pytest.fixture
async def port():
    app = Starlette(routes=[Route("/", size, methods=["GET", "POST"]), Route("/sleepy", sleepy)])
    async with running(app, "127.0.0.1", 0) as found:
        yield found


async def talk(port: int, *chunks: bytes) -> bytes:
    """Write, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


def status(answer: bytes) -> bytes:
    return answer[9:12]


async def test_a_hundred_header_fields_are_taken(port):
    fields = b"".join(b"x-%d: y\r\n" % number for number in range(98))
    assert b"200" == status(await talk(port, GET + fields + b"connection: close\r\n\r\n"))


@pytest.mark.parametrize(
    "head",
    [
        GET + b"".join(b"x-%d: y\r\n" % number for number in range(100)) + b"\r\n",
        GET + b"x: " + b"y" * 33_000 + b"\r\n\r\n",
        GET + b"".join(b"x-%d: %s\r\n" % (number, b"y" * 1000) for number in range(40)) + b"\r\n",
        b"GET /" + b"y" * 33_000 + b" HTTP/1.1\r\nhost: hub\r\n\r\n",
    ],
    ids=["fields", "one large field", "many middling fields", "path"],
)
async def test_a_head_over_the_limits_is_refused(port, head):
    answer = await talk(port, head)
    assert (b"431", True) == (status(answer), b"urn:carelane:problem:head-too-large" in answer)


async def test_a_header_field_that_never_ends_is_refused_before_it_does(port):
    assert b"431" == status(await talk(port, GET + b"x: ", *[b"y" * 9000] * 5))


async def test_a_header_field_may_come_in_many_pieces(port):
    assert b"200" == status(await talk(port, GET + b"connection: close\r\nx: ", *[b"y" * 900] * 10, b"\r\n\r\n"))


async def test_a_body_does_not_count_as_head(port):
    answer = await talk(port, b"POST / HTTP/1.1\r\nhost: hub\r\nconnection: close\r\ncontent-length: 200000\r\n\r\n", *[b"y" * 50_000] * 4)
    assert (b"200", True) == (status(answer), answer.endswith(b"200000"))


async def test_every_request_of_a_connection_has_its_own_head(port):
    once = GET + b"x: " + b"y" * 20_000 + b"\r\n"
    answer = await talk(port, once + b"\r\n", once + b"\r\n", once + b"connection: close\r\n\r\n")
    assert 3 == answer.count(b"HTTP/1.1 200")


async def test_trailers_count_too(port):
    trailers = b"".join(b"x-%d: y\r\n" % number for number in range(200))
    answer = await talk(port, b"POST / HTTP/1.1\r\nhost: hub\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + trailers + b"\r\n")
    assert b"HTTP/1.1 200" not in answer


async def test_a_few_requests_may_follow_one_another_without_waiting(port):
    answer = await talk(port, (GET + b"\r\n") * 10 + GET + b"connection: close\r\n\r\n")
    assert 11 == answer.count(b"HTTP/1.1 200")


async def test_too_many_requests_behind_one_another_close_the_connection(port):
    assert b"awake" not in await talk(port, b"GET /sleepy HTTP/1.1\r\nhost: hub\r\n\r\n" * 100)


async def test_a_refusal_is_never_mixed_into_an_earlier_answer(port):
    answer = await talk(port, b"GET /sleepy HTTP/1.1\r\nhost: hub\r\n\r\n" + GET + b"x: " + b"y" * 33_000 + b"\r\n\r\n")
    assert b"431" not in answer


async def test_one_connection_too_many_is_closed(port, monkeypatch):
    monkeypatch.setattr(web, "MOST_CONNECTIONS", 1)
    _, first = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.05)
    assert b"200" != status(await talk(port, GET + b"\r\n"))
    first.close()
