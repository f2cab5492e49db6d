import asyncio
import socket

from carelane.kit.sockets import keep_alive


async def test_the_kernel_asks_after_a_peer_that_says_nothing():
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        keep_alive(writer.transport)
        found = writer.get_extra_info("socket")
        assert (1, 60) == (found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
        writer.close()


async def test_a_transport_without_a_socket_is_left_alone():
    assert keep_alive(asyncio.Transport()) is None
