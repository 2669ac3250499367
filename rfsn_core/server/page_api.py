"""The pages, and what they ask for besides the routes of others: the world, the settings, alerts, logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from rfsn_core.contract.errors import BadMessage, RfsnError
from rfsn_core.kernel import Kernel
from rfsn_core.server import sse
from rfsn_core.server.alerts import Alerts
from rfsn_core.telemetry import logs
from rfsn_core.telemetry.redaction import SECRET_NAME

Handler = Callable[[Request], Awaitable[Response]]
STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'",
}
MOST_STATES = 40
"""NPCs whose feelings are part of `GET /api/world`."""
OPENINGS = ("Good day!", "Who are you?", "What is this place?", "What troubles you?")
"""For an NPC whose file suggests none."""


class LogLevel(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/logs`."""

    level: Literal["debug", "info", "warning", "error"]
    component: str = ""
    """Empty: all components that have no level of their own."""


class PageRoutes:
    """The routes and their handlers."""

    def __init__(self, kernel: Kernel, alerts: Alerts) -> None:
        self._kernel, self._alerts = kernel, alerts

    def routes(self, guarded: Callable[[Handler], Handler]) -> list[Route]:
        """Return the routes; those that can fail are behind `guarded`."""
        pages = {"/": "index.html", "/inspect": "inspect.html", "/operate": "operate.html"}
        return [
            *(Route(path, _page(name), methods=["GET"]) for path, name in pages.items()),
            Route("/api/world", guarded(self._world), methods=["GET"]),
            Route("/api/settings", guarded(self._settings), methods=["GET"]),
            Route("/api/alerts", guarded(self._alert_list), methods=["GET"]),
            Route("/api/logs", guarded(self._log_levels), methods=["GET"]),
            Route("/api/logs", guarded(self._set_log_level), methods=["POST"]),
        ]

    async def _world(self, request: Request) -> Response:
        """Return the world's name, its NPCs with what to say first, and, given a player, how they feel."""
        runtime = self._kernel.runtimes.current
        player, save = request.query_params.get("player", "")[:200], request.query_params.get("save", "default")[:200]
        npcs: list[dict[str, Any]] = []
        for npc in runtime.world.npcs.values():
            entry: dict[str, Any] = {"id": npc.id, "name": npc.name, "title": npc.file.title, "state": None}
            entry["openings"] = list(npc.file.openings or OPENINGS)
            if player and len(npcs) < MOST_STATES:
                try:
                    entry["state"] = await self._kernel.state(npc.id, player, save)
                except RfsnError:  # the store is away: the page works without
                    player = ""
            npcs.append(entry)
        name = self._kernel.runtimes.world_dir.name.replace("_", " ").replace("-", " ").title()
        return sse.as_json({"name": name, "npcs": npcs})

    async def _settings(self, request: Request) -> Response:
        """Return every setting: key, value, whether it differs from the default, and what it does."""
        plan = await self._kernel.runtimes.check()
        settings = self._kernel.runtimes.current.settings
        return JSONResponse({"file": str(plan.source.path or "") or None, "settings": list(described(settings))})

    async def _alert_list(self, request: Request) -> Response:
        return sse.as_json({"rules": len(self._alerts.rules()), "alerts": self._alerts.shown()})

    async def _log_levels(self, request: Request) -> Response:
        return JSONResponse({"levels": list(logs.LEVELS), "components": logs.levels()})

    async def _set_log_level(self, request: Request) -> Response:
        body = await sse.read_json(request, 4096, LogLevel)
        if body.component and body.component not in logs.levels():
            raise BadMessage(f"no component '{body.component[:40]}'", field="component")
        await asyncio.to_thread(logs.set_level, body.component, body.level)
        return await self._log_levels(request)


def _page(name: str) -> Handler:
    async def page(request: Request) -> Response:
        return FileResponse(STATIC / name, headers=HEADERS)

    return page


def described(model: BaseModel, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Yield every setting with its value and what it does; keys and passwords are only said to be set."""
    for name, field in type(model).model_fields.items():
        value, key = getattr(model, name), f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from described(value, f"{key}.")
            continue
        default = field.get_default(call_default_factory=True)
        yield {"key": key, "about": field.description or "", **_shown(name, value, default)}
    for name, table in (model.model_extra or {}).items():
        if isinstance(table, dict):
            for inner, value in table.items():
                yield {"key": f"{prefix}{name}.{inner}", "about": f"A setting of {name}.", **_shown(inner, value, None)}


def _shown(name: str, value: Any, default: Any) -> dict[str, Any]:
    shown = msgspec.to_builtins(value, enc_hook=_plain) if not isinstance(value, str) else value
    if SECRET_NAME.search(name) and value:
        shown = "(set)"
    return {"value": shown, "changed": value != default}


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
