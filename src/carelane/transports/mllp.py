"""MLLP: HL7's minimal lower layer protocol, release 1, over TCP or TLS, in and out.

Maturity: silver.
"""

import asyncio
import ipaddress
import ssl
from collections import deque
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.endpoint import Destination, Source
from carelane.domain.errors import Misconfigured
from carelane.domain.message import Outcome, Receipt
from carelane.exchange.ports import Accept, Ambiguous, NotSent, Parcel, Reply, Tools
from carelane.kit.framing import CR, END, START, Framing
from carelane.kit.hosts import check_host
from carelane.kit.http import Guard, Refused, networks

TITLE = "MLLP (HL7 v2 over TCP)"
REQUIRES = ""
FORMATS = ("hl7v2",)
LISTENS = ("host", "port")

_MOST_WAITING = 256


class Settings(BaseModel):
    """Where to listen, or where to connect."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on, or host to connect to.", examples=["127.0.0.1", "lab.example.org"])
    port: int = Field(2575, ge=0, le=65535, description="TCP port; 2575 is the registered one.", examples=[2575])
    allowed_networks: list[str] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1/128"], description="Ranges that may connect, in CIDR notation.", examples=[["10.20.0.0/16"]]
    )
    most_frame_bytes: int = Field(30 * 1024 * 1024, ge=1024, description="Largest message taken; a larger one closes the connection.", examples=[31457280])
    frame_timeout_s: float = Field(10.0, gt=0, description="Seconds a started message may take to arrive whole.", examples=[10])
    on_store_trouble: Literal["close", "reject"] = Field(
        "close", description="When the hub cannot store: close the connection so that the sender tries again, or answer AR.", examples=["close"]
    )
    timeout_s: float = Field(30.0, gt=0, le=300, description="Seconds to wait for the acknowledgement of a delivery.", examples=[30])
    concurrency: int = Field(1, ge=1, le=64, description="Connections kept to a destination.", examples=[1])
    on_error: Literal["hold", "again"] = Field("hold", description="What AE or CR from the receiver does to the lane.", examples=["hold"])
    tls: bool = Field(False, description="Speak TLS.", examples=[True])
    tls_certificate: str = Field("", description="Path of our certificate (PEM).", examples=["/etc/carelane/mllp.pem"])
    tls_key: SecretStr = Field(SecretStr(""), description="Path of our private key (PEM).", examples=["/etc/carelane/mllp.key"])
    tls_ca: str = Field(
        "",
        description="Path of the authority (PEM) that partners' certificates must come from; listening with it requires one.",
        examples=["/etc/carelane/partners.pem"],
    )

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        return check_host(value)

    @field_validator("allowed_networks")
    @classmethod
    def _ranges(cls, value: list[str]) -> list[str]:
        networks(value)
        return value


class Listener:
    """Serves one source: frames in, acknowledgements out in the same order, however many are in flight."""

    def __init__(self, source: Source, settings: Settings, accept: Accept, tools: Tools) -> None:
        self._source = source
        self._settings = settings
        self._accept = accept
        self._ranges = networks(settings.allowed_networks)
        self._shared = tools.workers > 1
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Open the port."""
        settings = self._settings
        try:
            context = _server_tls(settings) if settings.tls else None
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Connection(self), settings.host, settings.port, ssl=context, backlog=512, start_serving=False, reuse_port=self._shared or None
            )
            await self._server.start_serving()
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                f"cannot listen on {settings.host}:{settings.port} for {self._source.name}: {error.strerror or error}; is another program using the port?"
            ) from None

    @property
    def port(self) -> int:
        """The port that was opened (useful when 0 was asked for)."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    async def stop(self) -> None:
        """Close the port, answer what was taken, close the connections."""
        if self._server is not None:
            self._server.close()
        await asyncio.gather(*(connection.finish() for connection in list(self._connections)))

    def allows(self, peer: str) -> bool:
        """Say whether this address may connect."""
        address = ipaddress.ip_address(peer.split("%", 1)[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address.version == one.version and address in one for one in self._ranges)


class _Connection(asyncio.Protocol):
    def __init__(self, owner: Listener) -> None:
        self._owner = owner
        self._settings = owner._settings
        self._framing = Framing(owner._settings.most_frame_bytes)
        self._waiting: deque[asyncio.Task[Receipt]] = deque()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._paused = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._owner._connections.add(self)
        peer = transport.get_extra_info("peername")
        if peer and not self._owner.allows(peer[0]):
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            frames = self._framing.feed(data)
        except ValueError:
            self._close_after_answers()
            return
        for frame in frames:
            task = asyncio.get_running_loop().create_task(self._owner._accept(self._owner._source.id, frame))
            self._idle.clear()
            self._waiting.append(task)
            task.add_done_callback(self._answer)
        self._watch_frame()
        self._throttle()

    def eof_received(self) -> bool:
        """A sender that has said all it wants still gets its answers (TLS knows no half-closed connections)."""
        self._close_after_answers()
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is None

    def _answer(self, _: "asyncio.Task[Receipt]") -> None:
        """Write every answer whose turn has come."""
        while self._waiting and self._waiting[0].done():
            task = self._waiting.popleft()
            if task.cancelled() or (error := task.exception()) is not None:
                if not task.cancelled():  # a fault of ours: no acknowledgement, the sender tries again; the type is told, no content
                    asyncio.get_running_loop().call_exception_handler({"message": f"ingest failed: {type(error).__name__}"})
                self._abort()
                return
            self._write(task.result())
        self._throttle()
        if not self._waiting:
            self._idle.set()
            if self._closing and self._transport is not None:
                self._transport.close()

    def _write(self, receipt: Receipt) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if receipt.outcome is Outcome.UNAVAILABLE and self._settings.on_store_trouble == "close":
            self._abort()
        elif receipt.reply:
            self._transport.write(START + receipt.reply + END + CR)

    def _watch_frame(self) -> None:
        """A started frame has a deadline; a quiet connection has none (feeds sleep at night)."""
        if self._framing.inside and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(self._settings.frame_timeout_s, self._abort)
        elif not self._framing.inside and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _throttle(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        full = len(self._waiting) >= _MOST_WAITING
        if full and not self._paused:
            self._transport.pause_reading()
        elif not full and self._paused and not self._closing:
            self._transport.resume_reading()
        self._paused = full

    def _close_after_answers(self) -> None:
        self._closing = True
        if self._transport is not None and not self._waiting:
            self._transport.close()

    def _abort(self) -> None:
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    async def finish(self) -> None:
        """Take nothing more, answer what was taken, close."""
        self._closing = True
        try:
            await asyncio.wait_for(self._idle.wait(), 10)
        except TimeoutError:
            self._abort()
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._owner._connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()


class Sender:
    """Delivers to one receiver over persistent connections, one message in flight on each."""

    def __init__(self, destination: Destination, settings: Settings, tools: Tools) -> None:
        self._settings = settings
        self._guard = tools.guard
        self._free: asyncio.Queue[_Line | None] = asyncio.Queue()
        for _ in range(settings.concurrency):
            self._free.put_nowait(None)
        _ = destination

    @property
    def longest_s(self) -> float:
        """No send takes longer."""
        return self._settings.timeout_s

    @property
    def concurrency(self) -> int:
        """How many sends may run at once."""
        return self._settings.concurrency

    async def send(self, parcel: Parcel) -> Reply:
        """Send one message and wait for its acknowledgement; after any trouble the connection is closed."""
        line = await self._free.get()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                if line is None or line.broken:
                    line = await _connect(self._settings, self._guard)
                reply = await line.ask(parcel.body, self._settings.most_frame_bytes)
        except TimeoutError:
            reason = "no acknowledgement in time" if line is not None and line.written else "no connection in time"
            error: Exception = Ambiguous(reason) if line is not None and line.written else NotSent(reason)
            _close(line)
            line = None
            raise error from None
        except BaseException:
            _close(line)
            line = None
            raise
        finally:
            self._free.put_nowait(line)
        last = parcel.body[:400]
        if line is not None and not _answers(last, reply):
            line.close()
        return Reply(reply, summary=f"{len(reply)} bytes")

    async def reset(self) -> None:
        """Close every idle connection; the next send opens a new one."""
        for _ in range(self._free.qsize()):
            _close(self._free.get_nowait())
            self._free.put_nowait(None)

    async def close(self) -> None:
        """Close for good."""
        await self.reset()


class _Line:
    """One connection with at most one message in flight."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.written = False

    @property
    def broken(self) -> bool:
        return self._reader.at_eof() or self._writer.is_closing()

    async def ask(self, body: bytes, most: int) -> bytes:
        self.written = False
        if getattr(self._reader, "_buffer", b""):
            raise NotSent("bytes came that answer nothing; the connection was closed")
        framing = Framing(most)
        self.written = True
        try:
            self._writer.write(START + body + END + CR)
            await self._writer.drain()
            while True:
                data = await self._reader.read(65536)
                if not data:
                    raise Ambiguous("the receiver closed the connection without an acknowledgement")
                frames = framing.feed(data)
                if len(frames) == 1:
                    return frames[0]
                if frames:
                    raise Ambiguous("more than one acknowledgement came for one message")
        except (OSError, ValueError) as error:
            raise Ambiguous(f"the connection broke ({type(error).__name__})") from None

    def close(self) -> None:
        self._writer.close()


async def _connect(settings: Settings, guard: Guard) -> _Line:
    try:
        address = await _resolve(settings.host, settings.port, guard)
        context = _client_tls(settings) if settings.tls else None
        reader, writer = await asyncio.open_connection(
            address, settings.port, ssl=context, server_hostname=settings.host if context else None, limit=1024 * 1024
        )
    except (OSError, ssl.SSLError) as error:
        raise NotSent(explain(error, settings.host, settings.port)) from None
    return _Line(reader, writer)


def _close(line: _Line | None) -> None:
    if line is not None:
        line.close()


def _answers(sent: bytes, reply: bytes) -> bool:
    """A cheap look whether the reply carries the message's control id; the format judges it properly."""
    fields = sent.split(b"\r", 1)[0].split(sent[3:4] or b"|")
    control = fields[9] if len(fields) > 9 else b""
    return not control or control in reply


async def _resolve(host: str, port: int, guard: Guard) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(host, port)
    checked = [guard.check(str(entry[4][0])) for entry in found]  # one bad address refuses the name
    return checked[0]


def explain(error: Exception, host: str, port: int) -> str:
    """Say in words what went wrong with a connection."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: the certificate of {host} is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'handshake failed'}"
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens on {host}:{port} (connection refused)"
    return f"cannot reach {host}:{port}: {getattr(error, 'strerror', None) or type(error).__name__}"


def _server_tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_certificate, settings.tls_key.get_secret_value() or None)
    if settings.tls_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(settings.tls_ca)
    return context


def _client_tls(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_certificate:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key.get_secret_value() or None)
    return context


async def probe(settings: Settings, tools: Tools) -> Judgement:
    """Connect and close: says whether the receiver can be reached, in words."""
    try:
        async with asyncio.timeout(settings.timeout_s):
            line = await _connect(settings, tools.guard)
    except NotSent as error:
        return Judgement(Verdict.AGAIN, str(error))
    except TimeoutError:
        return Judgement(Verdict.AGAIN, f"{settings.host}:{settings.port} did not answer in time")
    line.close()
    return Judgement(Verdict.DELIVERED, f"connected to {settings.host}:{settings.port}" + (" over TLS" if settings.tls else ""))
