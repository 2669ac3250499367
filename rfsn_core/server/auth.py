"""Who may connect to the server: the key, and the Host and Origin checks that keep web pages out.

A page that the player visits runs in a browser that can reach localhost: its requests carry its own Origin,
or, after DNS rebinding, its own Host. Both are refused, so no other check depends on the network.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings.protection import is_local
from rfsn_core.settings.schema import ServerSettings


def bound_address(sockets: Iterable[socket.socket]) -> str:
    """Return the address of listening sockets; of several, one that others can reach."""
    names = [listener.getsockname() for listener in sockets]
    hosts = [str(name[0]) if isinstance(name, tuple) else "localhost" for name in names]
    return next((host for host in hosts if not is_local(host)), hosts[0] if hosts else "")


def refusal(connection: HTTPConnection, runtimes: Runtimes, *, own_port: bool = False) -> tuple[int, str] | None:
    """Return (status, reason) when this request must be refused; None when it may be served.

    :param own_port: whether it came to a dialect's own port, which only this machine reaches and which asks for no key.
    """
    settings = runtimes.current.settings.server
    host = _host(connection.headers.get("host", ""))
    if (own_port or is_local(runtimes.bound or settings.host)) and not is_local(host):
        return 421, f"Host '{host}' is not this machine"
    origin = connection.headers.get("origin")
    if origin is not None and not allowed_origin(origin, connection.headers.get("host", ""), settings):
        return 403, f"web page '{origin}' may not connect; server.origins lists those that may"
    if settings.key and not own_port:
        scheme, _, key = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            key = connection.query_params.get("key", "")
        if not hmac.compare_digest(key.encode(), settings.key.encode()):
            return 401, "a key is needed: Authorization: Bearer <key>"
    return None


def _host(header: str) -> str:
    return header.rsplit(":", 1)[0] if header.count(":") == 1 else header.partition("]")[0].lstrip("[") or header


def allowed_origin(origin: str, host: str, settings: ServerSettings) -> bool:
    """Return whether a page may connect: one that the settings name, or our own."""
    if origin in settings.origins:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == host
