"""A simulated health-tech vendor: a real HTTP server that receives webhooks, checks them and counts them."""

import hmac
from collections import deque
from dataclasses import dataclass, field

import orjson
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class Vendor:
    """What one vendor knows: its secrets, and what it has received so far."""

    token: str
    secret: str
    received: int = 0
    repeats: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    _seen: deque[str] = field(default_factory=lambda: deque(maxlen=10_000))

    def app(self) -> Starlette:
        """Return the receiver: ``POST /carelane`` for messages, ``GET /`` for a count."""
        return Starlette(routes=[Route("/carelane", self._take, methods=["POST"]), Route("/", self._count)])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if not hmac.compare_digest(request.headers.get("verification-token", ""), self.token):
            return JSONResponse({"problem": "the verification token is wrong"}, 401)
        if "webhook-id" not in request.headers:
            return JSONResponse({"challenge": orjson.loads(body or b"{}").get("challenge", "")})
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            return JSONResponse({"problem": "the signature is wrong"}, 401)
        identity = request.headers["webhook-id"]
        if identity in self._seen:
            self.repeats += 1
            return JSONResponse({"repeat": True})
        self._seen.append(identity)
        meta = orjson.loads(body).get("Meta", {})
        kind = f"{meta.get('DataModel')}.{meta.get('EventType')}"
        self.by_kind[kind] = self.by_kind.get(kind, 0) + 1
        self.received += 1
        return JSONResponse({"received": self.received})

    async def _count(self, _request: Request) -> Response:
        return JSONResponse({"received": self.received, "repeats": self.repeats, "by kind": self.by_kind})
