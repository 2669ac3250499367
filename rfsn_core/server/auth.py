"""Who may connect to the server: the key, and the Host and Origin checks that keep web pages out.

A page that the player visits runs in a browser that can reach localhost: its requests carry its own Origin,
or, after DNS rebinding, its own Host. Both are refused, so no other check depends on the network.
"""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from rfsn_core.contract.errors import ConfigError
from rfsn_core.settings.schema import ServerSettings


def is_local(host: str) -> bool:
    """Return whether an address can only be reached from this machine."""
    if host in ("localhost", ""):
        return host == "localhost"
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(settings: ServerSettings) -> None:
    """Raise ConfigError for an address that others can reach when no key is set."""
    if not is_local(settings.host) and not settings.key:
        raise ConfigError(
            [
                f"server.host is {settings.host}: others can reach it, so it needs a key. Set RFSN_SERVER__KEY to a"
                " long random text, or listen on 127.0.0.1"
            ]
        )


def refusal(connection: HTTPConnection, settings: ServerSettings) -> tuple[int, str] | None:
    """Return (status, reason) when this request must be refused; None when it may be served."""
    host = _host(connection.headers.get("host", ""))
    if is_local(settings.host) and not is_local(host):
        return 421, f"Host '{host}' is not this machine"
    origin = connection.headers.get("origin")
    if origin is not None and not _allowed_origin(origin, connection.headers.get("host", ""), settings):
        return 403, f"web page '{origin}' may not connect; server.origins lists those that may"
    if settings.key:
        scheme, _, given = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            given = connection.query_params.get("key", "")
        if not hmac.compare_digest(given.encode(), settings.key.encode()):
            return 401, "a key is needed: Authorization: Bearer <key>"
    return None


def _host(header: str) -> str:
    return header.rsplit(":", 1)[0] if header.count(":") == 1 else header.partition("]")[0].lstrip("[") or header


def _allowed_origin(origin: str, host: str, settings: ServerSettings) -> bool:
    if origin in settings.origins:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == host
