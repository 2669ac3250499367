"""The HTTP routes: health, metrics, tuning, rewards, decisions, learning."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from rfsn_core import protocol
from rfsn_core.contract.errors import NotFound, RfsnError, StoreError, UnknownDecision, UnknownNpc
from rfsn_core.contract.rendering import RenderOptions
from rfsn_core.contract.version import version
from rfsn_core.kernel import Kernel
from rfsn_core.learning.decision_words import details, why_words
from rfsn_core.learning.feedback import Verdict
from rfsn_core.learning.unknown_fields import unknown_fields
from rfsn_core.server import sse
from rfsn_core.server.alerts import Alerts
from rfsn_core.server.authenticator import Authenticator
from rfsn_core.server.gate_api import GateRoutes
from rfsn_core.server.key_api import KeyRoutes
from rfsn_core.server.memory_api import MemoryRoutes
from rfsn_core.server.page_api import PageRoutes
from rfsn_core.server.plugin_routes import mounts
from rfsn_core.server.worker_metrics import WorkerMetrics
from rfsn_core.telemetry.logs import logger

log = logger("server")


class Tune(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/tune-performance`. Fields that are left out keep their values."""

    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=4096)] | None = None
    max_queue_size: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class Judgement(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/feedback`."""

    decision_id: str
    verdict: Verdict
    action: str = ""
    """For `should`: what the NPC should have done."""


class Steer(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/learning`."""

    action: Literal["freeze", "unfreeze", "rollback"]
    reason: str = ""
    checkpoint: str = ""
    """For `rollback`: an id from `GET /api/learning`."""
    before: float = math.inf
    """For `rollback` without an id: use the newest checkpoint up to this time, in seconds since the epoch."""


class Api:
    """The routes of one server."""

    def __init__(self, kernel: Kernel, metrics: WorkerMetrics, authenticator: Authenticator, alerts: Alerts) -> None:
        self._kernel, self._worker_metrics, self._authenticator = kernel, metrics, authenticator
        self._pages = PageRoutes(kernel, alerts)
        self._started = time.time()

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        get, post = ["GET"], ["POST"]
        stream = sse.endpoint(self._kernel)
        routes: list[BaseRoute] = [
            Route("/health", self._alive, methods=get),
            Route("/api/health", self._health, methods=get),
            Route("/metrics", self._metrics, methods=get),
            Route("/chat", stream, methods=post),
            Route("/api/dialogue/stream", stream, methods=post),
            Route("/api/tune-performance", self._guarded(self._tuned), methods=get),
            Route("/api/tune-performance", self._guarded(self._tune), methods=post),
            Route("/api/rewards", self._guarded(self._reward), methods=post),
            Route("/api/feedback", self._guarded(self._feedback), methods=post),
            Route("/api/prompt", self._guarded(self._prompt), methods=post),
            Route("/api/decisions", self._guarded(self._decisions), methods=get),
            Route("/api/decisions/{decision_id}", self._guarded(self._decision), methods=get),
            Route("/api/learning", self._guarded(self._learning), methods=get),
            Route("/api/learning", self._guarded(self._steer), methods=post),
            Route("/api/protocol", self._protocol, methods=get),
            *MemoryRoutes(self._kernel).routes(self._guarded),
            *KeyRoutes(self._authenticator).routes(self._guarded),
            *GateRoutes(self._kernel).routes(self._guarded),
            *self._pages.routes(self._guarded),
        ]
        return [*routes, *mounts(self._kernel.runtimes.plugins.offers("rfsn_routes"))]

    def _guarded(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except msgspec.ValidationError as error:
                return sse.problem(400, "bad_message", str(error))
            except RfsnError as error:
                status = 404 if isinstance(error, UnknownNpc | UnknownDecision | NotFound) else 400
                if isinstance(error, StoreError):
                    log.warning("request.failed", path=request.url.path, error=str(error))
                return sse.problem(503 if isinstance(error, StoreError) else status, error.code, error.public)

        return guarded

    async def _alive(self, request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": version()})

    async def _health(self, request: Request) -> Response:
        """Report on every component; the status is 503 when the store does not answer.

        A provider whose circuit breaker is open only makes the server "degraded": its NPCs use the fallback.
        """
        runtime = self._kernel.runtimes.current
        components: dict[str, dict[str, Any]] = {}
        for opened in runtime.opened:
            stage, name = opened.key[:2]
            components.setdefault(stage, {"status": "ok", "providers": []})["providers"].append(name)
        for stage, engines in (("rendering", runtime.renderers), ("speech", runtime.voices)):
            broken = [
                {"provider": engine.name, "state": engine.breaker.state, "reason": engine.breaker.reason}
                for engine in engines
                if engine.breaker.state != "closed"
            ]
            if broken:
                components[stage] |= {"status": "degraded", "broken": broken}
        try:
            async with asyncio.timeout(2):
                await runtime.store.stats("")
        except (RfsnError, TimeoutError) as error:
            reason = error.public if isinstance(error, RfsnError) else "no answer in 2 s"
            components["storage"] |= {"status": "down", "reason": reason}
        plugins = self._kernel.runtimes.plugins
        failed = {item.name: f"{item.label}: {item.reason}" for item in plugins.found if item.state == "failed"}
        trust = self._kernel.runtimes.trust
        healthy = all(component["status"] == "ok" for component in components.values())
        return JSONResponse(
            {
                "status": "ok" if healthy else "degraded",
                "version": version(),
                "uptime_s": time.time() - self._started,
                "components": components,
                "failed_plugins": failed,
                "left_out": [risk.line for risk in trust.left_out] if trust else [],
                "npcs": sorted(runtime.world.npcs),
            },
            503 if any(component["status"] == "down" for component in components.values()) else 200,
        )

    async def _metrics(self, request: Request) -> Response:
        text = await asyncio.to_thread(self._worker_metrics.text)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _protocol(self, request: Request) -> Response:
        from rfsn_core.protocol.schema import asyncapi

        return JSONResponse(asyncapi(version()))

    async def _tune(self, request: Request) -> Response:
        limit = self._kernel.runtimes.current.settings.server.max_message
        tune = await sse.read_json(request, limit, Tune)
        old = self._kernel.turns.options
        self._kernel.turns.options = RenderOptions(
            old.temperature if tune.temperature is None else tune.temperature,
            old.max_tokens if tune.max_tokens is None else tune.max_tokens,
        )
        if tune.max_queue_size is not None:
            self._kernel.turns.speech_queue = tune.max_queue_size
        return await self._tuned(request)

    async def _tuned(self, request: Request) -> Response:
        return JSONResponse({**asdict(self._kernel.turns.options), "max_queue_size": self._kernel.turns.speech_queue})

    async def _reward(self, request: Request) -> Response:
        limit = self._kernel.runtimes.current.settings.server.max_message
        body = await sse.read_json(request, limit, dict[str, Any])
        accepted = await self._kernel.reward(msgspec.convert({**body, "type": "reward"}, protocol.Reward))
        return Response(protocol.encode(accepted), media_type="application/json")

    async def _feedback(self, request: Request) -> Response:
        """Take what a designer thinks of a decision; the answer may hold text for the NPC's file."""
        limit = self._kernel.runtimes.current.settings.server.max_message
        judgement = await sse.read_json(request, limit, Judgement)
        result = await self._kernel.feedback.give(judgement.decision_id, judgement.verdict, judgement.action)
        return sse.as_json(result)

    async def _prompt(self, request: Request) -> Response:
        """Return the prompt that a model would receive; the body is a `turn` message without its type."""
        limit = self._kernel.runtimes.current.settings.server.max_message
        body = await sse.read_json(request, limit, dict[str, Any])
        return sse.as_json(await self._kernel.preview(msgspec.convert({**body, "type": "turn"}, protocol.PlayerTurn)))

    async def _decisions(self, request: Request) -> Response:
        query = request.query_params
        try:
            limit = min(1000, max(1, int(query.get("limit", "50"))))
        except ValueError:
            return sse.problem(400, "bad_message", "limit must be a number")
        decisions = await self._kernel.turn_log.decisions(
            npc=query.get("npc", ""), conversation=query.get("conversation", ""), limit=limit
        )
        return sse.as_json({"decisions": decisions})

    async def _decision(self, request: Request) -> Response:
        """Return a decision with its rewards, and in words."""
        decision_id = request.path_params["decision_id"]
        record = await self._kernel.decisions.load(decision_id)
        if record is None:
            raise UnknownDecision(f"no decision '{decision_id[:80]}'")
        return sse.as_json(
            {
                "decision": record,
                "why": why_words(record),
                "details": list(details(record)),
                "rewards": await self._kernel.turn_log.rewards(decision_id),
            }
        )

    async def _learning(self, request: Request) -> Response:
        kernel = self._kernel
        decider = kernel.runtimes.current.decider
        return sse.as_json(
            {
                "policy": decider.policy_label,
                "enabled": kernel.runtimes.current.settings.learning.enabled,
                "state": kernel.guard.state,
                "reason": kernel.guard.reason,
                "updates": kernel.learner.updates,
                "mode": kernel.runtimes.current.settings.learning.mode,
                "trials": kernel.trials.report(),
                "unknown_fields": unknown_fields(await kernel.turn_log.decisions(limit=200)),
                "checkpoints": await kernel.learner.checkpoints.newest_first(decider.policy_name),
            }
        )

    async def _steer(self, request: Request) -> Response:
        """Freeze, unfreeze or roll back learning, as an operator asks."""
        limit = self._kernel.runtimes.current.settings.server.max_message
        steer = await sse.read_json(request, limit, Steer)
        if steer.action == "freeze":
            self._kernel.guard.freeze(steer.reason or "by an operator")
        elif steer.action == "unfreeze":
            self._kernel.guard.unfreeze()
        else:
            try:
                await self._kernel.learner.rollback(steer.checkpoint, before=steer.before)
            except ValueError as error:
                return sse.problem(400, "bad_message", str(error))
        return await self._learning(request)
