"""What every long-lived socket wants: to notice that the other side is gone."""

import asyncio
import socket

_IDLE_S, _EVERY_S, _TIMES = 60, 10, 6


def keep_alive(transport: asyncio.BaseTransport) -> None:
    """Have the kernel ask after a silent peer, so that a vanished one does not hold its place for ever."""
    found = transport.get_extra_info("socket")
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_S),
        ("TCP_KEEPINTVL", _EVERY_S),
        ("TCP_KEEPCNT", _TIMES),
        ("TCP_USER_TIMEOUT", 1000 * (_IDLE_S + _EVERY_S * _TIMES)),
    ):
        if hasattr(socket, name):  # not every system has all of them
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
