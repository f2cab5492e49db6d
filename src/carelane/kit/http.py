"""One guarded HTTP client for every outbound call.

The address guard resolves a name once, refuses every address that is not public unless the operator allowed its
range, and connects to that very address (so a name cannot be rebound between check and use). No redirects, no
proxy from the environment, and caps on time and size.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA special-purpose registries (RFC 6890 and later) that Python's ``is_global`` misses or that hide an IPv4 address.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
        "fd00:ec2::/32",
        "100::/64",
        "2001:db8::/32",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")


_PIECE_BYTES = 256 * 1024


class Refused(OSError):
    """The guard does not let this address be called."""


@dataclass(frozen=True)
class Guard:
    """Decides which addresses may be called: public ones, and the ranges the operator allowed."""

    allowed: tuple[Network, ...] = ()

    def check(self, address: str) -> str:
        """Return the address if it may be called.

        Raises:
            Refused: it is not public and lies in no allowed range.
        """
        outer = ipaddress.ip_address(address.split("%", 1)[0])
        for candidate in _faces(outer):
            if any(candidate.version == net.version and candidate in net for net in self.allowed):
                continue
            if not candidate.is_global or any(candidate.version == net.version and candidate in net for net in _NEVER):
                raise Refused(f"{address} is not a public address; the operator can allow its range (CARELANE_ALLOWED_NETWORKS)")
        return address


def _faces(address: Address) -> list[Address]:
    """Return the address and every IPv4 address hidden in it (mapped, 6to4, Teredo, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    hidden: list[Address] = [address]
    if address.sixtofour:
        hidden.append(address.sixtofour)
    if address.teredo:
        hidden.extend(address.teredo)
    if address in _NAT64 or address in _NAT64_LOCAL:
        hidden.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return hidden[1:]
    return hidden


class _GuardedResolver(AbstractResolver):
    """Resolves names and passes on only addresses that the guard lets through: one bad address refuses the name."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        return [
            ResolveResult(hostname=host, host=self._guard.check(str(sockaddr[0])), port=port, family=kind, proto=proto, flags=0)
            for kind, _, proto, _, sockaddr in found
        ]

    async def close(self) -> None:
        return None


@dataclass(frozen=True)
class Answer:
    """What the far side replied. ``body`` is cut at the cap given with the call."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Departure:
    """The moment in which a request leaves. ``leave`` is called right before its first byte is written; what it raises keeps the request here."""

    leave: Callable[[], None]
    left: bool = False
    """Whether any byte may have been written."""
    kept: Exception | None = None
    """What ``leave`` raised."""

    def ask(self) -> None:
        """Ask once, with nothing between the answer and the first byte."""
        try:
            self.leave()
        except Exception as error:
            self.kept = error
            raise
        self.left = True


class _Body(aiohttp.payload.Payload):
    """A body whose first byte asks before it goes. The headers go out together with it, so without it nothing has gone."""

    _autoclose = True

    def __init__(self, body: bytes, departure: Departure | None) -> None:
        super().__init__(body)
        self._size = len(body)
        self._bytes = body
        self._departure = departure

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write all of it, in pieces that can be waited for."""
        if self._departure is not None:
            self._departure.ask()
        view = memoryview(self._bytes)
        await writer.write(view[:_PIECE_BYTES])
        for at in range(_PIECE_BYTES, len(view), _PIECE_BYTES):
            await writer.write(view[at : at + _PIECE_BYTES])

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._bytes.decode(encoding, errors)


@dataclass
class HttpClient:
    """A pool of guarded connections; open it once, close it at the end. Whoever calls bounds how many calls run at once."""

    guard: Guard
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        most_bytes: int = 64 * 1024,
        tls: ssl.SSLContext | None = None,
        departure: Departure | None = None,
    ) -> Answer:
        """Send one POST and read at most ``most_bytes`` of the reply; redirects are answers, never followed.

        After an error ``departure`` says whether anything had left.

        Raises:
            Refused: the address guard said no.
            TimeoutError: no complete reply in time.
            aiohttp.ClientError, OSError: the connection could not be made or broke.
        """
        return await self.call("POST", url, body, headers, timeout_s=timeout_s, most_bytes=most_bytes, tls=tls, departure=departure)

    async def call(
        self,
        method: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
        most_bytes: int = 64 * 1024,
        tls: ssl.SSLContext | None = None,
        departure: Departure | None = None,
    ) -> Answer:
        """Send one request; see ``post``."""
        self._check_literal(url)
        extra: dict[str, Any] = {} if tls is None else {"ssl": tls}
        async with self._open().request(
            method,
            url,
            data=_Body(body, departure) if body or departure is not None else None,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            **extra,
        ) as reply:
            content = await _read_capped(reply, most_bytes)
            return Answer(reply.status, {name.lower(): value for name, value in reply.headers.items()}, content)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _check_literal(self, url: str) -> None:
        """Literal addresses never reach a resolver, so they are checked here."""
        host = URL(url).host or ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return
        self.guard.check(str(address))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_GuardedResolver(self.guard), limit=0, limit_per_host=0, keepalive_timeout=30, ttl_dns_cache=10)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
        return self._session


async def _read_capped(reply: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    room = most_bytes
    while room > 0 and (part := await reply.content.read(room)):
        parts.append(part)
        room -= len(part)
    if room == 0 and not reply.content.at_eof():
        reply.close()  # the rest is not wanted: give up the connection rather than read it
    return b"".join(parts)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read CIDR ranges.

    Raises:
        ValueError: one of them is no range; the text is named.
    """
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts if text.strip())
