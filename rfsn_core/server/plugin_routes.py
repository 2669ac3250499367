"""The routes of plugins, below `/plugins/<plugin name>/`; one that fails answers 500 and harms nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import BaseRoute, Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from rfsn_core.contract.errors import contained


def mounts(offers: Iterable[tuple[BaseRoute, Any]]) -> Iterator[Mount]:
    """Yield a mount for each plugin that offers routes.

    :param offers: (route, the plugin that offers it).
    """
    routes: dict[str, list[BaseRoute]] = {}
    for offer, plugin in offers:
        routes.setdefault(plugin.name, []).append(offer)
    for name, offered in routes.items():
        yield Mount(f"/plugins/{name}", app=_Contained(Router(offered)))


class _Contained:
    """An application whose code cannot end the server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contained():
            await self._app(scope, receive, send)
