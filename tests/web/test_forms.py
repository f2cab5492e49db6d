import io

import aiohttp
import pytest

from carelane.domain.errors import TooLarge
from carelane.web.forms import MOST_FORM, BoundedForms
from carelane.web.server import running
from tests.journeys.hubs import running_hub

PIECE = 64 * 1024


class Reader:
    """An application that reads a request to its end, and a client that never comes to one."""

    def __init__(self) -> None:
        self.read = 0

    async def __call__(self, _scope, receive, _send):
        while (await receive()).get("more_body"):
            self.read += PIECE

    async def receive(self):
        return {"type": "http.request", "body": b"x" * PIECE, "more_body": self.read < 2 * MOST_FORM}


async def read(path: str) -> int:
    """Return how much was read before the end came."""
    reader = Reader()
    try:
        await BoundedForms(reader, {"/endpoint"})({"type": "http", "path": path}, reader.receive, None)
    except TooLarge:
        return reader.read
    return reader.read + PIECE


async def test_a_form_that_never_ends_is_read_no_further_than_it_may_be():
    assert MOST_FORM == await read("/subscriptions/sub_1/change")


@pytest.mark.parametrize("path", ["/endpoint", "/platform/v1/subscriptions"])
async def test_what_bounds_its_bodies_itself_is_left_alone(path):
    assert 2 * MOST_FORM < await read(path)


async def test_a_form_that_is_too_long_is_answered_and_so_is_the_next(store):
    async with running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        form = io.BytesIO(b"&".join(b"f%d=" % number + b"x" * 900_000 for number in range(5)))
        headers = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
        async with session.post("/sign-in", data=form, headers=headers) as reply:
            assert (413, True) == (reply.status, "larger than 4194304 bytes" in await reply.text())
        async with session.post("/sign-in", data={"email": "a", "password": "b"}, headers={"sec-fetch-site": "same-origin"}) as reply:
            assert 422 >= reply.status
