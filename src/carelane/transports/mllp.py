"""MLLP: HL7's minimal lower layer protocol, release 1, over TCP or TLS, in and out.

Maturity: silver.
"""

import asyncio
import ipaddress
import ssl
from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.endpoint import Destination, Source
from carelane.domain.errors import Misconfigured
from carelane.domain.message import PLAIN, Arrival, Outcome, Problem
from carelane.exchange.ports import Accept, Ambiguous, NotSent, Parcel, Reply, Tools
from carelane.kit.answering import Answer, Answering, Door
from carelane.kit.asking import Asking, Unanswered
from carelane.kit.framing import END, START, Flaw, Frame
from carelane.kit.hosts import check_host
from carelane.kit.http import Guard, Refused, networks

TITLE = "MLLP (HL7 v2 over TCP)"
REQUIRES = ""
FORMATS = ("hl7v2",)
LISTENS = ("host", "port")

MOST_FRAME_BYTES = 64 * 1024 * 1024
_READY_S = 10.0
_TLS_S = 10.0
_ARRIVALS = {
    None: PLAIN,
    Flaw.NO_CR: Arrival(("mllp-no-cr",)),
    Flaw.CUT: Arrival(
        ("mllp-cut",),
        Problem("mllp-cut", "A new start block (VT) came before the end block (FS CR) of this message.", "Send the message again, whole."),
    ),
    Flaw.END_INSIDE: Arrival(
        ("mllp-end-inside",),
        Problem("mllp-end-inside", "An end block (FS) stands inside the message: no CR follows it.", "Take hexadecimal 1C out of the data, or escape it."),
    ),
}


class Settings(BaseModel):
    """Where to listen, or where to connect."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on, or host to connect to.", examples=["127.0.0.1", "lab.example.org"])
    port: int = Field(2575, ge=0, le=65535, description="TCP port; 2575 is the registered one.", examples=[2575])
    allowed_networks: list[str] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1/128"], description="Ranges that may connect, in CIDR notation.", examples=[["10.20.0.0/16"]]
    )
    most_frame_bytes: int = Field(
        30 * 1024 * 1024, ge=1024, le=MOST_FRAME_BYTES, description="Largest message taken; a larger one closes the connection.", examples=[31457280]
    )
    frame_timeout_s: float = Field(10.0, gt=0, le=300, description="Seconds a started message may take to arrive whole.", examples=[10])
    most_connections: int = Field(512, ge=1, le=4096, description="Connections open at once; one more is closed at once.", examples=[512])
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
        self._tell = tools.tell
        self._told: Counter[str] = Counter()
        self._ranges = networks(settings.allowed_networks)
        self._shared = tools.workers > 1
        self._server: asyncio.Server | None = None
        self._door = Door(
            self._take,
            self._oddity,
            self._allows,
            tools.rooms,
            settings.most_frame_bytes,
            settings.frame_timeout_s,
            -(-settings.most_connections // tools.workers),
        )

    async def start(self) -> None:
        """Open the port."""
        settings = self._settings
        try:
            context = _server_tls(settings) if settings.tls else None
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: Answering(self._door),
                settings.host,
                settings.port,
                ssl=context,
                ssl_handshake_timeout=_TLS_S if context else None,
                backlog=512,
                start_serving=False,
                reuse_port=self._shared or None,
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
        await asyncio.gather(*(connection.finish() for connection in list(self._door.connections)))

    async def _take(self, frame: Frame) -> Answer:
        """Hand in one frame, with what was wrong with it."""
        if frame.flaw is None:
            receipt = await self._accept(self._source.id, frame.data)
        else:
            self._oddity(frame.flaw)
            receipt = await self._accept(self._source.id, frame.data, arrival=_ARRIVALS[frame.flaw])
        if receipt.outcome is Outcome.UNAVAILABLE and self._settings.on_store_trouble == "close":
            return None
        return receipt.reply

    def _oddity(self, what: str) -> None:
        """Tell the first, the second, the fourth, the eighth time: a log that a broken sender cannot flood."""
        self._told[what] += 1
        count = self._told[what]
        if count & (count - 1) == 0:
            self._tell(f"mllp.{what}", f"source {self._source.id}: {count} so far")

    def _allows(self, peer: str) -> bool:
        address = ipaddress.ip_address(peer.split("%", 1)[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address.version == one.version and address in one for one in self._ranges)


class Sender:
    """Delivers to one receiver over persistent connections, one message in flight on each."""

    def __init__(self, destination: Destination, settings: Settings, tools: Tools) -> None:
        self._settings = settings
        self._guard = tools.guard
        self._ready_s = min(_READY_S, settings.timeout_s)
        self._free: asyncio.Queue[Asking | None] = asyncio.Queue()
        for _ in range(settings.concurrency):
            self._free.put_nowait(None)
        _ = destination

    @property
    def longest_s(self) -> float:
        """The wait for a connection, and the wait for the acknowledgement."""
        return self._ready_s + self._settings.timeout_s

    @property
    def concurrency(self) -> int:
        """Each connection carries one message at a time."""
        return self._settings.concurrency

    async def send(self, parcel: Parcel) -> Reply:
        """Send one message and wait for its acknowledgement; after any trouble the connection is closed."""
        if START in parcel.body or END in parcel.body:
            return Reply(judgement=Judgement(Verdict.HELD, "the message holds a start or end block (hexadecimal 0B or 1C), which MLLP cannot carry"))
        try:
            async with asyncio.timeout(self._ready_s):
                line = await self._line()
        except TimeoutError:
            raise NotSent(f"no free connection within {self._ready_s:g} s") from None
        usable: Asking | None = None
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                reply = await line.ask(parcel.body, parcel.leave)
            usable = line if _answers(parcel.body[:400], reply) else None
        except TimeoutError:
            raise Ambiguous("no acknowledgement in time") from None
        except Unanswered as error:
            raise Ambiguous(str(error)) from None
        except ConnectionError as error:
            raise NotSent(str(error)) from None
        finally:
            if usable is None:
                line.close()
            self._free.put_nowait(usable)
        return Reply(reply, summary=f"{len(reply)} bytes")

    async def _line(self) -> Asking:
        """Wait for a free connection, and connect where there is none."""
        line = await self._free.get()
        if line is not None and line.usable:
            return line
        try:
            _close(line)
            return await _connect(self._settings, self._guard)
        except BaseException:
            self._free.put_nowait(None)
            raise

    async def reset(self) -> None:
        """Close every idle connection; the next send opens a new one."""
        for _ in range(self._free.qsize()):
            _close(self._free.get_nowait())
            self._free.put_nowait(None)

    async def close(self) -> None:
        """Close for good."""
        await self.reset()


async def _connect(settings: Settings, guard: Guard) -> Asking:
    try:
        address = await _resolve(settings.host, settings.port, guard)
        context = _client_tls(settings) if settings.tls else None
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(
            lambda: Asking(settings.most_frame_bytes), address, settings.port, ssl=context, server_hostname=settings.host if context else None
        )
    except (OSError, ssl.SSLError) as error:
        raise NotSent(explain(error, settings.host, settings.port)) from None
    return line


def _close(line: Asking | None) -> None:
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
