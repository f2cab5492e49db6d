"""Webhook: each message is one HTTP POST, signed the Standard Webhooks way, to the receiver's URL.

Maturity: silver.
"""

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlencode, urlsplit

import aiohttp
import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from standardwebhooks.webhooks import Webhook

from carelane.domain.delivery import Judgement, Verdict
from carelane.domain.endpoint import Destination
from carelane.domain.errors import Misconfigured
from carelane.exchange.ports import Ambiguous, NotSent, Parcel, Reply, Tools
from carelane.kit.hosts import check_host
from carelane.kit.http import Answer, Departure, Refused

TITLE = "Webhook (HTTP POST)"
REQUIRES = ""
FORMATS = ("datamodel", "hl7v2", "fhir")


class Settings(BaseModel):
    """Where to post, and how the receiver knows it is us."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="Where messages are posted; https outside development.", examples=["https://api.example.org/carelane"])
    verification_token: SecretStr = Field(
        SecretStr(""), description="Sent as the verification-token header with every message.", examples=["a long random text"]
    )
    signing_secret: SecretStr = Field(
        SecretStr(""),
        description="Key of the webhook-signature header (Standard Webhooks), whsec_ and base64.",
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    timeout_s: float = Field(30.0, gt=0, le=120, description="Seconds to wait for the answer.", examples=[30])
    concurrency: int = Field(32, ge=1, le=256, description="Subscriptions delivered at the same time; each one keeps its own order.", examples=[32])
    on_rejection: Literal["again", "hold"] = Field(
        "again", description="What a 4xx answer does: try again (receivers may answer 4xx to hold their queue), or hold the lane.", examples=["again"]
    )
    verify_by: Literal["POST", "GET"] = Field("POST", description="How the receiver is asked to prove that it is meant.", examples=["POST"])
    allow_test: bool = Field(False, description="Let test messages through to production.", examples=[False])

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write a whole URL, such as https://api.example.org/carelane")
        if parts.username or parts.password:
            raise ValueError("the URL must not hold a user name or password; use the verification token")
        check_host(parts.hostname)
        if parts.port == 0:
            raise ValueError("write a port from 1 to 65535, or none")
        return value.strip()

    @field_validator("signing_secret", "verification_token")
    @classmethod
    def _trimmed(cls, value: SecretStr) -> SecretStr:
        return SecretStr(value.get_secret_value().strip())


class Sender:
    """Posts to one URL."""

    def __init__(self, destination: Destination, settings: Settings, tools: Tools) -> None:
        admit(settings, destination.environment)
        secret = settings.signing_secret.get_secret_value()
        self._signer = Webhook(secret) if secret else None
        self._settings = settings
        self._http = tools.http
        self._clock = tools.clock

    @property
    def longest_s(self) -> float:
        """No send takes longer."""
        return self._settings.timeout_s

    @property
    def concurrency(self) -> int:
        """As set."""
        return self._settings.concurrency

    async def send(self, parcel: Parcel) -> Reply:
        """Post one message; only a 2xx delivers, a redirect is a failure."""
        settings, departure = self._settings, Departure(parcel.leave)
        try:
            answer = await self._http.post(settings.url, parcel.body, self._headers(parcel), timeout_s=settings.timeout_s, departure=departure)
        except (Refused, TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _failure(error, departure, settings.timeout_s) from None
        return Reply(answer.body, judge_status(answer, self._settings, self._clock.now()), f"HTTP {answer.status}")

    def _headers(self, parcel: Parcel) -> dict[str, str]:
        now = self._clock.now()
        headers = {
            "content-type": parcel.content_type,
            "user-agent": "Carelane",
            "application-name": "Carelane",
            "webhook-id": parcel.delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        token = self._settings.verification_token.get_secret_value()
        if token:
            headers["verification-token"] = token
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(parcel.delivery_id, now, parcel.body.decode("utf-8", "surrogateescape"))
        return headers

    async def reset(self) -> None:
        """Nothing is kept open by us: the pool closes what breaks."""

    async def close(self) -> None:
        """Nothing to close: the pool is the hub's."""


def _failure(error: Exception, departure: Departure, timeout_s: float) -> Exception:
    """Tell what provably did not leave from what may have arrived."""
    if departure.left:
        return Ambiguous(f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else f"the connection broke ({type(error).__name__})")
    if departure.kept is not None:
        return departure.kept
    if isinstance(error, Refused):
        return NotSent(str(error))
    if isinstance(error, TimeoutError):
        return NotSent(f"no connection within {timeout_s:g} s")
    return NotSent(f"cannot connect: {type(getattr(error, 'os_error', error)).__name__}")


def admit(settings: Settings, environment: str) -> None:
    """Refuse settings that cannot work in an environment.

    Raises:
        Misconfigured: no https outside development, or a signing secret that is not base64.
    """
    if environment != "development" and not settings.url.startswith("https://"):
        raise Misconfigured(f"url: in {environment} it must begin with https://")
    try:
        base64.b64decode(settings.signing_secret.get_secret_value().removeprefix("whsec_"), validate=True)
    except ValueError:
        raise Misconfigured("signing_secret: it is not base64; paste it as it was shown, with whsec_") from None


def judge_status(answer: Answer, settings: Settings, now: datetime) -> Judgement:
    """Say what a status code means for the lane."""
    status = answer.status
    if 200 <= status < 300:
        return Judgement(Verdict.DELIVERED, f"HTTP {status}")
    wish = retry_after_s(answer.headers, now)
    if 300 <= status < 400:
        return Judgement(Verdict.AGAIN, f"HTTP {status}: redirects are not followed; put the final URL into the destination")
    if 400 <= status < 500 and status not in (408, 425, 429) and settings.on_rejection == "hold":
        return Judgement(Verdict.HELD, f"HTTP {status}: the receiver rejects this message")
    return Judgement(Verdict.AGAIN, f"HTTP {status}", wish)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3): seconds or a date."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds()) if text else None
    except (ValueError, TypeError):
        return None


async def probe(settings: Settings, tools: Tools) -> Judgement:
    """Ask for the URL's headers: says whether it can be reached, without sending a message."""
    try:
        answer = await tools.http.call("HEAD", settings.url, b"", {"user-agent": "Carelane"}, timeout_s=min(settings.timeout_s, 10))
    except (Refused, TimeoutError, aiohttp.ClientError, OSError) as error:
        return Judgement(Verdict.AGAIN, explain(error))
    return Judgement(Verdict.DELIVERED, f"the server answers (HTTP {answer.status})")


async def verify(settings: Settings, tools: Tools) -> Judgement:
    """Challenge the receiver, modelled on W3C WebSub: it checks the token and echoes a random text, bare or as ``{"challenge": …}``."""
    challenge, token = secrets.token_urlsafe(24), settings.verification_token.get_secret_value()
    headers = {"user-agent": "Carelane", "application-name": "Carelane", "verification-token": token, "content-type": "application/json"}
    url, body = settings.url, orjson.dumps({"verification-token": token, "challenge": challenge})
    if settings.verify_by == "GET":
        url, body = f"{url}{'&' if '?' in url else '?'}{urlencode({'challenge': challenge})}", b""
    try:
        answer = await tools.http.call(settings.verify_by, url, body, headers, timeout_s=min(settings.timeout_s, 10))
    except (Refused, TimeoutError, aiohttp.ClientError, OSError) as error:
        return Judgement(Verdict.AGAIN, explain(error))
    if answer.status in (401, 403):
        return Judgement(Verdict.AGAIN, f"HTTP {answer.status}: the receiver does not accept the verification token")
    if not 200 <= answer.status < 300:
        return Judgement(Verdict.AGAIN, f"HTTP {answer.status}: the receiver must answer the challenge with 200")
    if _echo(answer.body) != challenge:
        return Judgement(Verdict.AGAIN, 'the answer does not echo the challenge; return its value as the body, or as {"challenge": …}')
    return Judgement(Verdict.DELIVERED, "the receiver echoed the challenge")


def _echo(body: bytes) -> str:
    text = body[:4096].decode("utf-8", "replace").strip()
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return str(found.get("challenge", "")) if isinstance(found, dict) else str(found)


def explain(error: Exception) -> str:
    """Say in words where a call failed: name, address, connection, TLS or time."""
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, TimeoutError):
        return "connected, but no answer in time; is the receiver busy, or a firewall silent?"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "DNS: the host name is not known; check its spelling"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "TLS: the certificate is not trusted; is it self-signed, expired or for another name?"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "TLS: no handshake; does this port speak https?"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"TCP: cannot connect ({type(error.os_error).__name__}); is the port right, and the server running?"
    return f"the connection broke ({type(error).__name__})"
