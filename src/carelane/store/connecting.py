"""Connects to the PostgreSQL server that takes writes, whichever of the URL's hosts that is by now."""

import asyncio
import socket
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from carelane.store.trouble import LOST

_CONNECT_S = 5.0
_DEAD_AFTER_S = 12


class Connection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that notices a peer without a sign of life, instead of waiting for its answer for ever."""

    era = 0

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        watch_peer(transport.get_extra_info("socket"))


class EngineConnection(Connection):
    """A connection whose session never changes: no LISTEN, no session locks, no SET; so nothing is to be reset when it goes back to the pool.

    asyncpg asks the server for a reset after every use otherwise: one more round trip for every statement of the journey.
    """

    def get_reset_query(self) -> str:
        """Nothing to reset; an open transaction is rolled back all the same."""
        return ""


async def connect(dsn: str, *, connection_class: type[Connection] = Connection, **rest: Any) -> Connection:
    """Connect to the server that takes writes, asking every host of the URL at once: a dead one costs no time.

    ``target_session_attrs`` in the URL overrides what is looked for.
    """
    if "target_session_attrs=" not in dsn:
        rest["target_session_attrs"] = "read-write"
    hosts = hosts_of(dsn) or [{}]
    trying = {asyncio.ensure_future(asyncpg.connect(dsn, connection_class=connection_class, timeout=_CONNECT_S, **host, **rest)) for host in hosts}
    errors: list[BaseException] = []
    try:
        while trying:
            done, trying = await asyncio.wait(trying, return_when=asyncio.FIRST_COMPLETED)
            errors += [error for one in done if (error := one.exception()) is not None]
            made: list[Connection] = [one.result() for one in done if one.exception() is None]
            for spare in made[1:]:
                spare.terminate()
            if made:
                return made[0]
    finally:
        await _abandon(trying)
    raise next((error for error in errors if not isinstance(error, LOST)), errors[0])


async def _abandon(trying: "set[asyncio.Future[Connection]]") -> None:
    for one in trying:
        one.cancel()
    for late in await asyncio.gather(*trying, return_exceptions=True):
        if isinstance(late, Connection):
            late.terminate()


def hosts_of(dsn: str) -> list[dict[str, object]]:
    """Return host and port of each server when the URL names several; nothing when it names one."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    named = parts.netloc.rpartition("@")[2] or (query.get("host") or [""])[-1]
    ports = [int(port) for port in (query.get("port") or [""])[-1].split(",") if port] or [5432]
    names = named.split(",")
    if len(names) < 2:
        return []
    ports = ports if len(ports) == len(names) else ports[:1] * len(names)
    return [_host(name, port) for name, port in zip(names, ports, strict=True)]


def _host(name: str, port: int) -> dict[str, object]:
    host, colon, own = name.rpartition(":")
    if colon and own.isdigit() and "/" not in name and (":" not in host or host.endswith("]")):
        return {"host": host.strip("[]"), "port": int(own)}
    return {"host": name.strip("[]"), "port": port}


def watch_peer(peer: socket.socket | None) -> None:
    """Let the kernel end a TCP connection whose other side is gone without a word; a local socket needs no watching."""
    if peer is None or peer.family not in (socket.AF_INET, socket.AF_INET6):
        return
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", _DEAD_AFTER_S * 1000)):
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
