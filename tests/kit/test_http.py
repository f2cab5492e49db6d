import asyncio
import ssl

import aiohttp
import pytest

from carelane.kit.http import Departure, Guard, HttpClient, Refused, networks
from carelane.testing.partners import FakeWebhook
from tests.transports.slow import SlowTls

LOOPBACK = Guard(networks(["127.0.0.0/8"]))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "192.0.0.8", "::1", "::", "fe80::1",
        "fd00:ec2::254", "fc00::1", "::ffff:169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1", "240.0.0.1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    with pytest.raises(Refused):
        Guard().check(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_pass(address):
    assert address == Guard().check(address)


def test_an_allowed_range_passes_and_its_neighbour_does_not():
    guard = Guard(networks(["10.20.0.0/16"]))
    assert "10.20.1.1" == guard.check("10.20.1.1")
    with pytest.raises(Refused):
        guard.check("10.21.1.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "0177.0.0.1", "127.1"])
async def test_no_spelling_of_loopback_is_called(host):
    async with FakeWebhook() as partner:
        client = HttpClient(Guard())
        try:
            with pytest.raises((Refused, aiohttp.ClientError)):
                await client.post(partner.url.replace("127.0.0.1", host), b"x", {}, timeout_s=30)
        finally:
            await client.close()
        assert [] == partner.received


async def test_a_redirect_is_an_answer_and_not_followed():
    async with FakeWebhook(script=__import__("collections").deque([302]), headers={"location": "/elsewhere"}) as partner:
        client = HttpClient(LOOPBACK)
        answer = await client.post(partner.url, b"x", {}, timeout_s=30)
        await client.close()
        assert (302, []) == (answer.status, partner.received)


async def test_a_server_that_hangs_runs_into_the_time_out():
    async with FakeWebhook(default="hang") as partner:
        client = HttpClient(LOOPBACK)
        with pytest.raises(TimeoutError):
            await client.post(partner.url, b"x", {}, timeout_s=0.2)
        await client.close()


class Permission:
    """May be withdrawn; counts how often it was asked for."""

    def __init__(self):
        self.given, self.asked = True, 0

    def __call__(self):
        self.asked += 1
        if not self.given:
            raise PermissionError("not ours any more")


@pytest.mark.parametrize("size", [0, 1, 3000, 3_000_000])
async def test_a_permission_withdrawn_while_tls_shakes_hands_keeps_every_byte_here(tmp_path, size):
    permission = Permission()
    departure = Departure(permission)
    async with SlowTls(tmp_path) as receiver:
        client = HttpClient(Guard(networks(["127.0.0.0/8", "::1/128"])))
        tls = ssl.create_default_context(cafile=receiver.authority)
        url = f"https://localhost:{receiver.port}/"
        posting = asyncio.ensure_future(client.post(url, b"x" * size, {}, timeout_s=5, tls=tls, departure=departure))
        await receiver.came.wait()
        permission.given = False
        receiver.release.set()
        with pytest.raises(aiohttp.ClientError):
            await posting
        await client.close()
        assert b"" == await asyncio.wait_for(receiver.heard, 5)
    assert (1, False, PermissionError) == (permission.asked, departure.left, type(departure.kept))


@pytest.mark.parametrize("size", [0, 1, 3000, 3_000_000])
async def test_a_body_of_any_size_leaves_whole_and_asks_once(size):
    permission = Permission()
    departure = Departure(permission)
    async with FakeWebhook() as partner:
        client = HttpClient(LOOPBACK)
        answer = await client.post(partner.url, b"x" * size, {}, timeout_s=5, departure=departure)
        await client.close()
        assert (200, [size], str(size)) == (answer.status, [len(body) for _, body in partner.received], partner.received[0][0]["content-length"])
    assert (1, True) == (permission.asked, departure.left)


async def test_a_kept_request_leaves_the_pool_usable():
    permission = Permission()
    async with FakeWebhook() as partner:
        client = HttpClient(LOOPBACK)
        await client.post(partner.url, b"1", {}, timeout_s=5, departure=Departure(permission))
        permission.given = False
        with pytest.raises(aiohttp.ClientError):
            await client.post(partner.url, b"2", {}, timeout_s=5, departure=Departure(permission))
        permission.given = True
        await client.post(partner.url, b"3", {}, timeout_s=5, departure=Departure(permission))
        await client.close()
        assert [b"1", b"3"] == [body for _, body in partner.received]


def test_a_wrong_range_is_named():
    with pytest.raises(ValueError, match="10.0.0.0/99"):
        networks(["10.0.0.0/99"])
