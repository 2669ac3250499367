"""The HTTP routes of memory, which `rfsn memory` and the page use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rfsn_core import protocol
from rfsn_core.contract.errors import BadMessage
from rfsn_core.contract.storage import MemorySource, MemoryStatus
from rfsn_core.kernel import Kernel
from rfsn_core.server import sse

Handler = Callable[[Request], Awaitable[Response]]
Text = Annotated[str, Meta(max_length=200)]
MAX_COUNT = 100
"""Turns that one answer shows."""


class Judgement(msgspec.Struct, forbid_unknown_fields=True):
    """An operator's decision about a memory."""

    status: Literal["active", "quarantined", "forgotten"]
    reason: Annotated[str, Meta(max_length=500)] = ""
    player: Text = "player"
    save: Text = "default"


class SnapshotTag(msgspec.Struct, forbid_unknown_fields=True):
    """The tag of a snapshot."""

    tag: Annotated[str, Meta(min_length=1, max_length=200)]


class BackupName(msgspec.Struct, forbid_unknown_fields=True):
    """The name of a backup."""

    name: Text


class Erasure(msgspec.Struct, forbid_unknown_fields=True):
    """What to erase; an empty name selects all."""

    npc: Text = ""
    player: Text = ""
    save: Text = ""
    backups: bool = False


class MemoryRoutes:
    """The routes and their handlers."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def routes(self, guarded: Callable[[Handler], Handler]) -> list[Route]:
        """Return the routes, each behind `guarded`."""
        get, post = ["GET"], ["POST"]
        table: list[tuple[str, Handler, list[str]]] = [
            ("/api/memory/check", self._check, get),
            ("/api/memory/backups", self._backups, get),
            ("/api/memory/backups", self._backup, post),
            ("/api/memory/restore", self._restore, post),
            ("/api/memory/rebuild", self._rebuild, post),
            ("/api/memory/erase", self._erase, post),
            ("/api/memory/export", self._export, get),
            ("/api/memory/import", self._import, post),
            ("/api/memory/{npc}", self._show, get),
            ("/api/memory/{npc}", self._remember, post),
            ("/api/memory/{npc}/search", self._search, get),
            ("/api/memory/{npc}/stats", self._stats, get),
            ("/api/memory/{npc}/backups", self._backups, get),
            ("/api/memory/{npc}/safe_reset", self._reset, post),
            ("/api/memory/{npc}/records/{memory_id}", self._judge, post),
            ("/api/snapshots", self._snapshots, get),
            ("/api/saves/{save:path}/snapshots", self._snapshot, post),  # a save's name may contain slashes
            ("/api/saves/{save:path}/rollback", self._rollback, post),
        ]
        return [Route(path, guarded(handler), methods=methods) for path, handler, methods in table]

    async def _body(self, request: Request, kind: type[Any]) -> Any:
        limit = self._kernel.runtimes.current.settings.server.max_message
        return await sse.read_json(request, limit, kind)

    async def _show(self, request: Request) -> Response:
        query = request.query_params
        player, save = query.get("player", "player"), query.get("save", "default")
        return sse.as_json(
            await self._kernel.memory.show(request.path_params["npc"], player, save, _count(query.get("turns", "10")))
        )

    async def _search(self, request: Request) -> Response:
        query = request.query_params
        turns = await self._kernel.memory.search(
            request.path_params["npc"],
            query.get("player", "player"),
            query.get("save", "default"),
            query.get("q", "")[:2000],
            _count(query.get("limit", "10")),
        )
        return sse.as_json({"turns": turns})

    async def _remember(self, request: Request) -> Response:
        """Add a memory; the body is a `remember` message without `type` and `npc`."""
        body = await self._body(request, dict[str, Any])
        message = msgspec.convert({**body, "type": "remember", "npc": request.path_params["npc"]}, protocol.Remember)
        return Response(
            protocol.encode(await self._kernel.memory.remember(message, MemorySource.OPERATOR)),
            media_type="application/json",
        )

    async def _judge(self, request: Request) -> Response:
        body = await self._body(request, Judgement)
        path = request.path_params
        task = self._kernel.memory.judge(
            path["npc"], body.player, body.save, path["memory_id"], MemoryStatus(body.status), body.reason
        )
        return sse.as_json(asdict(await task))

    async def _stats(self, request: Request) -> Response:
        return sse.as_json(await self._kernel.maintenance.stats(request.path_params["npc"]))

    async def _backups(self, request: Request) -> Response:
        if npc := request.path_params.get("npc"):
            self._kernel.runtimes.current.world.npc(npc)
        return sse.as_json({"backups": [asdict(backup) for backup in await self._kernel.maintenance.backups()]})

    async def _backup(self, request: Request) -> Response:
        return sse.as_json({"backup": asdict(await self._kernel.maintenance.backup())})

    async def _reset(self, request: Request) -> Response:
        return sse.as_json({"backup": asdict(await self._kernel.maintenance.reset(request.path_params["npc"]))})

    async def _restore(self, request: Request) -> Response:
        await self._kernel.maintenance.restore((await self._body(request, BackupName)).name)
        return sse.as_json({"backups": [asdict(backup) for backup in await self._kernel.maintenance.backups()]})

    async def _rebuild(self, request: Request) -> Response:
        return sse.as_json({"turns": await self._kernel.maintenance.rebuild()})

    async def _erase(self, request: Request) -> Response:
        body = await self._body(request, Erasure)
        return sse.as_json(await self._kernel.maintenance.erase(body.save, body.npc, body.player, backups=body.backups))

    async def _check(self, request: Request) -> Response:
        return sse.as_json({"damaged": list(await self._kernel.maintenance.check())})

    async def _export(self, request: Request) -> Response:
        query = request.query_params
        lines = self._kernel.transfer.export_lines(query.get("save", ""), query.get("npc", ""), query.get("player", ""))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    async def _import(self, request: Request) -> Response:
        return sse.as_json({"turns": await self._kernel.transfer.import_lines(request.stream())})

    async def _snapshots(self, request: Request) -> Response:
        snapshots = await self._kernel.saves.snapshots(request.query_params.get("save", ""))
        return sse.as_json({"snapshots": [asdict(snapshot) for snapshot in snapshots]})

    async def _snapshot(self, request: Request) -> Response:
        tag = (await self._body(request, SnapshotTag)).tag
        return sse.as_json(asdict(await self._kernel.saves.snapshot(request.path_params["save"], tag)))

    async def _rollback(self, request: Request) -> Response:
        tag = (await self._body(request, SnapshotTag)).tag
        return sse.as_json({"turns": await self._kernel.saves.rollback(request.path_params["save"], tag)})


def _count(text: str) -> int:
    try:
        return min(MAX_COUNT, max(1, int(text)))
    except ValueError:
        raise BadMessage(f"'{text[:40]}' is not a number") from None
