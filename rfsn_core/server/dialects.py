"""Serves dialects: opens them, checks that no two claim one route, and listens on their own ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rfsn_core.contract.errors import ConfigError, UserError, contained
from rfsn_core.kernel import Kernel
from rfsn_core.runtime.plan import DialectChoice
from rfsn_core.server.auth import foreign
from rfsn_core.server.dialect_host import Host
from rfsn_core.server.limits import ConnectionLimits, LimitedHttp, LimitedWebSocket
from rfsn_core.server.listener import listen
from rfsn_core.telemetry.logs import logger

log = logger("dialects")

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def dialects(
    kernel: Kernel, taken: Iterable[BaseRoute], limits: ConnectionLimits, *, speaks: bool = True
) -> AsyncIterator[list[BaseRoute]]:
    """Open the dialects and yield the routes for the server's port; those with a port of their own listen.

    :param taken: the server's own routes.
    :param limits: of the connections of all ports together.
    :param speaks: False opens none.

    Raises ConfigError when two claim one route, and UserError when a port is taken.
    """
    plan = await kernel.runtimes.check()
    claims = _Claims(taken)
    async with AsyncExitStack() as stack:
        routes: list[BaseRoute] = []
        for choice in plan.dialects if speaks else ():
            if choice.settings.port and kernel.runtimes.worker not in ("", "worker-0"):
                continue  # one process of several has the port
            with contained():
                opening = choice.dialect.open(choice.settings, Host(kernel, choice.dialect.name))
                opened = [_contained(route) for route in await stack.enter_async_context(opening)]
            if choice.settings.port:
                await stack.enter_async_context(_listening(kernel, choice, opened, limits))
            else:
                claims.add(opened, choice)
                routes += opened
            log.info("dialect.opened", dialect=choice.dialect.name, port=choice.settings.port)
        yield routes


class _Claims:
    """Which routes are taken, and by what."""

    def __init__(self, taken: Iterable[BaseRoute]) -> None:
        self._owners = dict.fromkeys(_claims_of(taken), "the server")

    def add(self, routes: Iterable[BaseRoute], choice: DialectChoice) -> None:
        """Add a dialect's routes. Raises ConfigError when one is taken."""
        own = f"dialect '{choice.dialect.name}' ({choice.plugin.label})"
        for claim in _claims_of(routes):
            if claim in self._owners:
                problem = f"{own} and {self._owners[claim]} both claim {' '.join(claim)}"
                raise ConfigError([f"{problem}; switch one off: [dialects.{choice.dialect.name}] enabled = false"])
            self._owners[claim] = own


def _claims_of(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        for method in sorted(getattr(route, "methods", None) or ("WS",)):
            if method != "HEAD":
                yield method, str(getattr(route, "path", ""))


def _contained(route: BaseRoute) -> BaseRoute:
    """Return a route whose code cannot end the server."""
    if isinstance(route, Route):
        inner = route.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with contained():
                await inner(scope, receive, send)

        route.app = app
    return route


class _OwnPort(uvicorn.Server):
    """The server of one dialect, next to the main one, which handles the signals."""

    def capture_signals(self) -> Any:
        """Leave the signals alone."""
        return nullcontext()


@asynccontextmanager
async def _listening(
    kernel: Kernel, choice: DialectChoice, routes: list[BaseRoute], limits: ConnectionLimits
) -> AsyncIterator[None]:
    """Serve a dialect's routes on its own port. Raises UserError when it is taken."""
    port, name = choice.settings.port, choice.dialect.name
    try:
        listener = listen(LOOPBACK, port)
    except UserError as error:
        hint = f"Another program has it. Stop that, or set `port` in [dialects.{name}]"
        raise UserError(f"dialect '{name}': port {port} is taken", hint=hint) from error
    app = Starlette(routes=routes)
    app.add_middleware(_NoPages, kernel=kernel)
    config = uvicorn.Config(
        app,
        http=partial(LimitedHttp, limits=limits),  # type: ignore[arg-type]
        ws=partial(LimitedWebSocket, limits=limits),  # type: ignore[arg-type]
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _OwnPort(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]), name=f"dialect {name}")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([serving])
        listener.close()


class _NoPages:
    """Middleware of a port on which no key is asked for: web pages that the player visits are kept out."""

    def __init__(self, app: ASGIApp, kernel: Kernel) -> None:
        self._app, self._kernel = app, kernel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = foreign(HTTPConnection(scope), self._kernel.runtimes, own_port=True)
        if refused:
            await JSONResponse({"error": {"code": "refused", "message": refused.reason}}, refused.status)(
                scope, receive, send
            )
        else:
            await self._app(scope, receive, send)
