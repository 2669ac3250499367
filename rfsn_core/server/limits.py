"""How many connections the server takes, how many of one address, and how long a request may take to arrive."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from rfsn_core.settings.schema import ServerSettings
from rfsn_core.telemetry.logs import logger

log = logger("server")

ABORT = "rfsn.abort"
SEND_ALL = "rfsn.send_all"
"""The ASGI extension that closes a socket without a closing handshake."""
REQUEST_PLACES = 100
"""Connections besides those of `server.max_connections`: requests are answered when all websockets are taken."""
BACKLOG = 256
"""Connections that are accepted at once, each of which needs a file descriptor before it can be refused."""
RESERVE = BACKLOG + 64
"""File descriptors that connections leave for stores, logs, engines and the backlog."""
MOST_DESCRIPTORS = 65_536
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"retry-after: 5\r\ncontent-length: %d\r\n\r\n%s"
)


def raise_descriptors() -> int:
    """Raise this process's limit of open files as far as the system lets it; return the limit, 0 when there is none."""
    if os.name == "nt":
        return 0
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return 0 if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS has a limit of its own below the one it tells
        return soft
    return wanted


class ConnectionLimits:
    """Counts the connections of every kind.

    :param settings: returns the server's settings, which may change while it runs.
    :param descriptors: the process's limit of open files; 0 when there is none.
    """

    def __init__(self, settings: Callable[[], ServerSettings], descriptors: int) -> None:
        self._settings = settings
        self._most = max(descriptors - RESERVE, descriptors // 2) if descriptors else 0
        self._open: dict[object, str] = {}
        self._of_address: Counter[str] = Counter()
        self._websockets: set[object] = set()
        wanted = settings().max_connections + REQUEST_PLACES
        if self._most and self._most < wanted:
            log.warning("server.few_descriptors", connections=self._most, wanted=wanted, hint="raise `ulimit -n`")

    @property
    def request_seconds(self) -> float:
        """Seconds in which a request's headers, and then each piece of its body, must arrive."""
        return self._settings().request_seconds

    @property
    def websockets_exceeded(self) -> bool:
        """Whether there are more websockets than `server.max_connections`."""
        return len(self._websockets) > self._settings().max_connections

    def open(self, transport: asyncio.Transport) -> str:
        """Count a connection. Return why it must be refused; empty when it may stay."""
        settings = self._settings()
        total = settings.max_connections + REQUEST_PLACES
        address = str((transport.get_extra_info("peername") or ("",))[0])
        reason = ""
        if len(self._open) >= (min(total, self._most) if self._most else total):
            reason = "too many connections"
        elif self._of_address[address] >= settings.max_connections_per_address:
            reason = "too many connections from your address"
        if reason:
            log.warning("connection.refused", reason=reason)
            return reason
        self._open[transport] = address
        self._of_address[address] += 1
        return ""

    def opened_websocket(self, transport: object) -> None:
        """Note that a connection has become a websocket."""
        self._websockets.add(transport)

    def close(self, transport: object) -> None:
        """Forget a connection."""
        self._websockets.discard(transport)
        if (address := self._open.pop(transport, None)) is None:
            return
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]


class LimitedHttp(H11Protocol):
    """uvicorn's HTTP protocol with limits: of connections, and of the time for which a client may keep silent."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._check_timer: asyncio.TimerHandle | None = None
        self._headers_since: float | None = None
        self._last_data = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it at once."""
        super().connection_made(transport)
        if reason := self._limits.open(transport):
            transport.write(REFUSAL % (len(reason), reason.encode()))
            transport.close()
            return
        self._headers_since = self.loop.time()
        self._check_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_checking()
        self._limits.close(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a piece of a request."""
        self._last_data = self.loop.time()
        if self._headers_since is None and self.conn.their_state in (h11.IDLE, h11.DONE):
            self._headers_since = self._last_data
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._headers_since = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection to the websocket protocol, which keeps its place."""
        self._stop_checking()
        super().handle_websocket_upgrade(event)

    def _check_later(self) -> None:
        self._check_timer = self.loop.call_later(self._limits.request_seconds / 2, self._check)

    def _stop_checking(self) -> None:
        if self._check_timer is not None:
            self._check_timer.cancel()
            self._check_timer = None

    def _check(self) -> None:
        """Close the connection when its client keeps the server waiting for the rest of a request."""
        since = self._headers_since
        if since is None and self.conn.their_state is h11.SEND_BODY:
            since = self._last_data
        if since is not None and self.loop.time() - since >= self._limits.request_seconds:
            self.transport.abort()
        else:
            self._check_later()


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's websocket protocol with limits, and with an ASGI extension that aborts the connection."""

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection of an HTTP request."""
        super().connection_made(transport)
        self._limits.opened_websocket(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._limits.close(self.transport)
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        """Run the application."""
        extensions = self.scope.setdefault("extensions", {})
        extensions[ABORT] = self.transport.abort  # type: ignore[assignment]
        extensions[SEND_ALL] = self.send_all  # type: ignore[assignment]
        await super().run_asgi()

    async def send_all(self, contents: Sequence[str | bytes]) -> None:
        """Send several messages with one write to the socket. Raises OSError when the client is gone."""
        await self.writable.wait()
        if self.disconnected or self.close_sent:
            raise OSError("the connection is closed")
        for content in contents:
            if isinstance(content, str):
                self.conn.send_text(content.encode())
            else:
                self.conn.send_binary(content)
        self.transport.write(b"".join(self.conn.data_to_send()))
