"""Who may connect: Host and Origin, which keep web pages out, then the key and its role, in one place.

A page that the player visits runs in a browser that can reach localhost: its requests carry its own Origin,
or, after DNS rebinding, its own Host. Both are refused, so no other check depends on the network.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server.authenticator import Authenticator, Client
from rfsn_core.server.limits import ConnectionLimits
from rfsn_core.server.roles import Routes, allows
from rfsn_core.server.sse import problem
from rfsn_core.settings.origins import is_listed
from rfsn_core.settings.protection import is_local
from rfsn_core.settings.schema import ServerSettings
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("server")

CLIENT = "rfsn.client"
"""Where a request's scope has its `Client`."""
CLOSE = 4000
"""A websocket of a page that is refused gets the HTTP status in the close code: 4401, 4403, 4421, 4429."""
CHECK_SECONDS = 1.0
"""Between two looks at whether the keys of open websockets are still valid."""
EXPIRED = "the key was revoked or exchanged, or has expired"
GET_IN = "`rfsn keys create` makes one; in a browser, enter it on the page `/`"


def bound_address(sockets: Iterable[socket.socket]) -> str:
    """Return the address of listening sockets; of several, one that others can reach."""
    names = [listener.getsockname() for listener in sockets]
    hosts = [str(name[0]) if isinstance(name, tuple) else "localhost" for name in names]
    return next((host for host in hosts if not is_local(host)), hosts[0] if hosts else "")


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused, as an HTTP status and a sentence."""

    status: int
    reason: str
    retry_after: float = 0.0


def foreign(connection: HTTPConnection, runtimes: Runtimes, *, own_port: bool = False) -> Refusal | None:
    """Return why a request that a web page may have sent is refused; None when it is not.

    :param own_port: whether it came to a dialect's own port, which only this machine reaches and which asks for no key.
    """
    settings = runtimes.current.settings.server
    host = _host(connection.headers.get("host", ""))
    if (own_port or is_local(runtimes.bound or settings.host)) and not is_local(host):
        return Refusal(421, f"Host '{host[:60]}' is not this machine")
    origin = connection.headers.get("origin")
    if origin is not None and not allowed_origin(origin, connection.headers.get("host", ""), settings):
        return Refusal(403, f"web page '{origin[:60]}' may not connect: add it to server.origins")
    return None


def _host(header: str) -> str:
    return header.rsplit(":", 1)[0] if header.count(":") == 1 else header.partition("]")[0].lstrip("[") or header


def allowed_origin(origin: str, host: str, settings: ServerSettings) -> bool:
    """Return whether a page may connect: one that the settings name, or our own."""
    return is_listed(origin, settings.origins) or is_own(origin, host)


def is_own(origin: str, host: str) -> bool:
    """Return whether an origin is this server's own page."""
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == host


class Authentication:
    """Middleware that checks who may connect, and measures the requests."""

    def __init__(
        self, app: ASGIApp, runtimes: Runtimes, authenticator: Authenticator, routes: Routes, limits: ConnectionLimits
    ) -> None:
        self._app, self._runtimes, self._routes, self._limits = app, runtimes, routes, limits
        self._authenticator = authenticator
        self._open: dict[asyncio.Task[None] | None, tuple[Client, Send]] = {}
        self._checking: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it; a websocket is refused before its handshake, also one of a plugin."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _admit(self, scope: Scope, path: str) -> Refusal | None:
        """Put the client into the scope, or return why it is refused."""
        connection = HTTPConnection(scope)
        if refused := foreign(connection, self._runtimes):
            return refused
        settings = self._runtimes.current.settings.server
        origin, host = connection.headers.get("origin"), connection.headers.get("host", "")
        own_page = origin is None or is_own(origin, host)
        client = self._authenticator.identify(connection, own_page=own_page)
        scope[CLIENT] = client
        needed = self._routes.needed(scope, path, settings.plugin_routes)
        if needed is None:
            return None
        if client is None:
            return Refusal(401, f"a key is needed: Authorization: Bearer <key>; {GET_IN}")
        if not allows(client.role, needed):
            return Refusal(403, f"this needs a key of the role '{needed}'; yours has '{client.role}'")
        if wait := client.wait():
            return Refusal(429, f"more than {client.bucket.rate:g} requests a minute", wait)  # type: ignore[union-attr]
        return None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        path = self._routes.path(scope)
        if refused := self._admit(scope, path):
            await _answer(refused)(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)
        METRICS.requests.labels(path, str(status)).observe(time.perf_counter() - started)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._admit(scope, self._routes.path(scope))
        if not refused and self._limits.websockets_exceeded:
            refused = Refusal(503, "too many connections")
        if refused:
            await _turn_away(WebSocket(scope, receive, send), refused)
            return
        task = asyncio.current_task()
        self._open[task] = scope[CLIENT], send
        if self._checking is None:
            self._checking = asyncio.create_task(self._end_invalid(), name="check keys")
        try:
            await self._app(scope, receive, send)
        finally:
            del self._open[task]

    async def _end_invalid(self) -> None:
        """Close the websockets whose keys were revoked, rotated or have expired, while there are websockets."""
        while self._open:
            await asyncio.sleep(CHECK_SECONDS)
            for client, send in list(self._open.values()):
                if not self._authenticator.is_valid(client):
                    closing = {
                        "type": "websocket.close",
                        "code": CLOSE + 401,
                        "reason": EXPIRED,
                    }
                    with suppress(RuntimeError, OSError):
                        await send(closing)
        self._checking = None


def _answer(refused: Refusal) -> Response:
    answer = problem(refused.status, "rate_limited" if refused.status == 429 else "refused", refused.reason)
    if refused.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if refused.retry_after:
        answer.headers["Retry-After"] = str(round(refused.retry_after + 0.5))
    return answer


async def _turn_away(socket: WebSocket, refused: Refusal) -> None:
    """Refuse a websocket. A page learns the reason only from a close frame, so it gets one."""
    log.warning("connection.refused", status=refused.status, reason=refused.reason)
    if "origin" not in socket.headers or refused.status == 503:
        await socket.send_denial_response(_answer(refused))
        return
    offered = socket.scope.get("subprotocols", [])
    with suppress(RuntimeError, OSError):
        await socket.accept("rfsn.v1" if "rfsn.v1" in offered else None)
        await socket.close(CLOSE + refused.status, refused.reason.encode()[:120].decode(errors="ignore"))
