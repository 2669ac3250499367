"""The server: the application with its routes and middleware, and the sockets it listens on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles

from rfsn_core import protocol
from rfsn_core.kernel import Kernel, running
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.runtime.loop_watch import watched
from rfsn_core.runtime.reload import Stamp, reloads, stamps
from rfsn_core.runtime.store_notice import note_store
from rfsn_core.server.alerts import Alerts
from rfsn_core.server.api import Api
from rfsn_core.server.auth import Authentication, bound_address
from rfsn_core.server.authenticator import Authenticator
from rfsn_core.server.collector import Collector
from rfsn_core.server.cors import Pages
from rfsn_core.server.dialects import dialects
from rfsn_core.server.limits import BACKLOG, ConnectionLimits, LimitedHttp, LimitedWebSocket, raise_descriptors
from rfsn_core.server.live import Live
from rfsn_core.server.page_api import STATIC
from rfsn_core.server.redaction import Redacting
from rfsn_core.server.roles import Routes
from rfsn_core.server.websocket import Connections
from rfsn_core.server.worker_metrics import WorkerMetrics
from rfsn_core.settings.schema import ServerSettings
from rfsn_core.telemetry import logs
from rfsn_core.telemetry.metrics import METRICS


@asynccontextmanager
async def serving(
    runtimes: Runtimes, collector: Collector | None = None, *, speaks: bool = True
) -> AsyncIterator[Starlette]:
    """Run the kernel of a world and yield its application.

    :param collector: tunes the garbage collector while the kernel runs; settled after the start and each reload.
    :param speaks: whether dialects are served, and their ports opened.
    """
    before = stamps(runtimes)
    with collector or nullcontext():
        async with running(runtimes) as kernel, _application(kernel, before, collector, speaks=speaks) as app:
            yield app


@asynccontextmanager
async def _application(
    kernel: Kernel, before: dict[Path, Stamp | None], collector: Collector | None, *, speaks: bool
) -> AsyncIterator[Starlette]:
    runtimes = kernel.runtimes
    connections = Connections(kernel)

    runtimes.announcements.subscribe(connections.broadcast)
    metrics = WorkerMetrics(METRICS, runtimes.data_dir, runtimes.worker)
    authenticator = Authenticator(runtimes)
    world = runtimes.world_dir.name
    origin = f"{world} ({runtimes.worker})" if runtimes.worker else world
    alerts = Alerts(
        lambda: runtimes.current.settings.operations.alerts, metrics.families, runtimes.data_dir, f"RFSN {origin}"
    )
    api = Api(kernel, metrics, authenticator, alerts)
    own = [
        *api.routes(),
        WebSocketRoute("/v1/ws", connections.serve),
        WebSocketRoute("/ws/metrics", Live(kernel).serve),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]

    async def stopping() -> None:
        await kernel.drain()
        await connections.close()

    def listening(sockets: list[socket.socket]) -> None:
        runtimes.bound = bound_address(sockets)

    stop = asyncio.Event()
    limits = ConnectionLimits(lambda: runtimes.current.settings.server, raise_descriptors())
    async with metrics.shared(), watched(runtimes.plugins), dialects(kernel, own, limits, speaks=speaks) as offered:
        app = Starlette(routes=[*own, *offered])
        app.state.stopping = stopping
        app.state.listening = listening
        app.state.limits = limits
        app.state.authenticator = authenticator
        routes = Routes(own, offered)
        app.add_middleware(Authentication, runtimes=runtimes, authenticator=authenticator, routes=routes, limits=limits)
        app.add_middleware(Pages, runtimes=runtimes)
        app.add_middleware(Redacting)
        outcomes = reloads(runtimes, stop, before)
        following = asyncio.create_task(_follow_reloads(kernel, connections, collector, outcomes))
        # One worker of several watches the metrics of all.
        watches = runtimes.worker in ("", "worker-0")
        watching = asyncio.create_task(alerts.run() if watches else stop.wait(), name="alerts")
        try:
            if collector:
                collector.settle()
            yield app
        finally:
            stop.set()
            watching.cancel()
            await asyncio.wait([following, watching])
            authenticator.write_uses()


async def _follow_reloads(
    kernel: Kernel,
    connections: Connections,
    collector: Collector | None,
    outcomes: AsyncIterator[protocol.ConfigChanged | protocol.ConfigRejected],
) -> None:
    """Apply what concerns the process after each reload, and tell every client about it."""
    runtimes = kernel.runtimes
    async for outcome in outcomes:
        if isinstance(outcome, protocol.ConfigChanged):
            operations = runtimes.current.settings.operations
            logs.configure(operations.log_level, operations.log_format, operations.log_levels)
            note_store(runtimes)
            if collector:
                collector.settle()
        connections.broadcast(outcome)


class Server(uvicorn.Server):
    """uvicorn's server, which knows its address, and ends the turns before it closes the sockets."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.signalled: Callable[[], None] = lambda: None
        """Called when a signal arrives."""

    def stop(self) -> None:
        """Begin to end; may be called from a signal handler."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end because of a signal; a second Ctrl+C does not wait for open connections."""
        self.signalled()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the application where it listens. Raises ConfigError for an address that needs a key and has none."""
        self.config.app.state.listening(sockets or [])  # type: ignore[union-attr]
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End turns, then connections, then the server."""
        await self.config.app.state.stopping()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def http_server(app: Starlette, settings: ServerSettings) -> Server:
    """Return the server of an application; its `serve` needs a bound socket."""
    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=partial(LimitedHttp, limits=app.state.limits),  # type: ignore[arg-type]
            ws=partial(LimitedWebSocket, limits=app.state.limits),  # type: ignore[arg-type]
            backlog=BACKLOG,
            # Twice, so that a message that is a little too long gets an error, not a closed connection.
            ws_max_size=settings.max_message * 2,
            ws_per_message_deflate=False,
            server_header=False,
            timeout_graceful_shutdown=3,
        )
    )
