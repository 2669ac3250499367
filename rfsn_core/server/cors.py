"""Lets the web pages in `server.origins` read what the server answers: browsers ask for that by CORS."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings.origins import is_listed

METHODS = "GET, POST, PUT, DELETE"
SECONDS = "600"
"""For how long a browser need not ask again."""


class Pages:
    """Middleware that answers the preflight of an allowed page, and marks what it may read.

    Only pages that the settings name: our own page needs none of this, and all others are refused.
    """

    def __init__(self, app: ASGIApp, runtimes: Runtimes) -> None:
        self._app, self._runtimes = app, runtimes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        origin = headers.get("origin", "") if headers else ""
        if headers is None or not is_listed(origin, self._runtimes.current.settings.server.origins):
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            asked = headers.get("access-control-request-headers", "")
            answer = {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": asked,
                "Access-Control-Max-Age": SECONDS,
                "Vary": "Origin",
            }
            await Response(status_code=204, headers=answer)(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                allowed = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
                message["headers"] = [*message["headers"], *allowed]
            await send(message)

        await self._app(scope, receive, sending)
