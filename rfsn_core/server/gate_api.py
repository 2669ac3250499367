"""The HTTP routes of the gate, which `rfsn gate` and the page use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rfsn_core.contract.errors import BadMessage, NotFound
from rfsn_core.contract.gating import Utterance, Verdict
from rfsn_core.kernel import Kernel
from rfsn_core.kit.folding import fold
from rfsn_core.oversight.book import Entry, Status
from rfsn_core.oversight.patterns import Pattern
from rfsn_core.server import sse
from rfsn_core.server.auth import CLIENT
from rfsn_core.server.authenticator import COMMANDS, SERVER_KEY, Client

Handler = Callable[[Request], Awaitable[Response]]
Operator = Annotated[str, Meta(min_length=1, max_length=80)]
Words = Annotated[str, Meta(min_length=1, max_length=8000)]
Note = Annotated[str, Meta(max_length=500)]


class CheckBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/gate/check`."""

    text: Words
    side: Literal["player", "npc"] = "player"
    npc: str = ""
    before: Annotated[str, Meta(max_length=8000)] = ""


class ReviewBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/gate/review/{id}`."""

    action: Literal["approve", "reject", "rewrite", "fine", "never"]
    """`approve`, `reject` and `rewrite` are for a text that waits. `fine` labels it safe, `never` unsafe."""
    operator: Operator = "operator"
    text: Annotated[str, Meta(max_length=8000)] = ""
    """For `rewrite`: what is said instead."""
    why: Note = ""
    save: bool = True
    """False: only show the effect of a label."""


class LabelBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/gate/patterns`."""

    text: Words
    label: Literal["safe", "unsafe"]
    operator: Operator = "operator"
    reason: Annotated[str, Meta(max_length=80)] = ""
    why: Note = ""
    pinned: bool = False
    save: bool = True


class OperatorBody(msgspec.Struct, forbid_unknown_fields=True):
    """Who asks."""

    operator: Operator = "operator"


class SafeModeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/gate/safe_mode`."""

    on: bool
    operator: Operator = "operator"


class GateRoutes:
    """The routes and their handlers."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def routes(self, guarded: Callable[[Handler], Handler]) -> list[Route]:
        """Return the routes, each behind `guarded`."""
        get, post = ["GET"], ["POST"]
        table: list[tuple[str, Handler, list[str]]] = [
            ("/api/gate", self._status, get),
            ("/api/gate/check", self._check, post),
            ("/api/gate/review", self._review, get),
            ("/api/gate/review/{id}", self._decide, post),
            ("/api/gate/safe_mode", self._safe_mode, post),
            ("/api/gate/audit", self._audit, get),
            ("/api/gate/patterns", self._patterns, get),
            ("/api/gate/patterns", self._label, post),
            ("/api/gate/patterns/{id}/confirm", self._confirm, post),
            ("/api/gate/patterns/{id}/undo", self._undo, post),
        ]
        return [Route(path, guarded(handler), methods=methods) for path, handler, methods in table]

    async def _body(self, request: Request, kind: type[Any]) -> Any:
        """Return the request's body. Who holds a key of their own decides under its name, and under no other."""
        body = await sse.read_json(request, self._kernel.runtimes.current.settings.server.max_message, kind)
        client: Client | None = request.scope.get(CLIENT)
        if client is not None and client.key not in ("", COMMANDS, SERVER_KEY) and hasattr(body, "operator"):
            body.operator = client.name or client.key
        return body

    @property
    def _oversight(self) -> Any:
        return self._kernel.runtimes.oversight

    async def _status(self, request: Request) -> Response:
        stage = self._kernel.runtimes.current.settings.gating
        await self._oversight.labels.nearest("hello", self._kernel.runtimes.current.embed)  # reads the newest labels
        return sse.as_json(
            {
                "providers": stage.chosen(),
                "tier": stage.tier,
                "safe_mode": self._oversight.safe_mode(stage),
                "shadow": stage.shadow,
                "waiting": len(self._oversight.book.entries("waiting")),
                "figures": self._oversight.guard.figures(),
                "patterns": self._oversight.labels.memory.figures(),
            }
        )

    async def _check(self, request: Request) -> Response:
        """Say what the gate thinks of a text, and why; nothing is recorded."""
        body: CheckBody = await self._body(request, CheckBody)
        return sse.as_json(await explained(self._kernel, Utterance(body.text, body.side, body.npc, before=body.before)))

    async def _review(self, request: Request) -> Response:
        query = request.query_params
        try:
            limit = min(1000, max(1, int(query.get("limit", "50"))))
        except ValueError:
            raise BadMessage("limit must be a number") from None
        if (status := query.get("status", "")) not in ("", *get_args(Status)):
            raise BadMessage(f"no status '{status[:40]}'; there are: {', '.join(get_args(Status))}", field="status")
        entries: list[Entry] = self._oversight.book.entries(status, limit)
        return sse.as_json({"texts": [msgspec.to_builtins(entry) for entry in entries]})

    async def _decide(self, request: Request) -> Response:
        body: ReviewBody = await self._body(request, ReviewBody)
        entry_id = request.path_params["id"]
        if body.action in ("fine", "never"):
            entry = self._oversight.book.entry(entry_id)
            if entry is None:
                raise NotFound(f"no text '{entry_id[:40]}' in the review list")
            label: Literal["safe", "unsafe"] = "safe" if body.action == "fine" else "unsafe"
            reason = entry.reasons[0] if label == "unsafe" and entry.reasons else ""
            pattern = Pattern(text=entry.text, label=label, operator=body.operator, why=body.why, reason=reason)
            return await self._saved(pattern, save=body.save)
        if body.action == "rewrite" and not body.text.strip():
            raise BadMessage("a rewriting needs 'text'", field="text")
        status = {"approve": "approved", "reject": "rejected", "rewrite": "rewritten"}[body.action]
        return sse.as_json(msgspec.to_builtins(self._oversight.decide(entry_id, status, body.operator, body.text)))

    async def _safe_mode(self, request: Request) -> Response:
        body: SafeModeBody = await self._body(request, SafeModeBody)
        self._oversight.set_safe_mode(body.on, body.operator)
        return sse.as_json({"safe_mode": self._oversight.safe_mode(self._kernel.runtimes.current.settings.gating)})

    async def _audit(self, request: Request) -> Response:
        return sse.as_json({"audit": list(self._oversight.book.audit(500))})

    async def _patterns(self, request: Request) -> Response:
        runtime, labels = self._kernel.runtimes.current, self._oversight.labels
        await labels.nearest("hello", runtime.embed)
        return sse.as_json({"patterns": [msgspec.to_builtins(pattern) for pattern in labels.memory.patterns]})

    async def _label(self, request: Request) -> Response:
        body: LabelBody = await self._body(request, LabelBody)
        pattern = Pattern(
            text=body.text,
            label=body.label,
            operator=body.operator,
            reason=body.reason,
            why=body.why,
            pinned=body.pinned,
        )
        return await self._saved(pattern, save=body.save)

    async def _saved(self, pattern: Pattern, *, save: bool) -> Response:
        """Label a text, tell the other servers, and return the effect."""
        runtime = self._kernel.runtimes.current

        async def check(text: str) -> Verdict:
            return await verdict_of(self._kernel, Utterance(text, "player", ""), labels=False)

        limit = runtime.settings.gating.labels_per_day
        effect = await self._oversight.labels.label(pattern, runtime.embed, check, per_day=limit, save=save)
        if save:
            self._tell(pattern, "")
        return sse.as_json(msgspec.to_builtins(effect))

    async def _confirm(self, request: Request) -> Response:
        body: OperatorBody = await self._body(request, OperatorBody)
        embed = self._kernel.runtimes.current.embed
        pattern = await self._oversight.labels.confirm(request.path_params["id"], body.operator, embed)
        self._tell(pattern, "")
        return sse.as_json(msgspec.to_builtins(pattern))

    async def _undo(self, request: Request) -> Response:
        body: OperatorBody = await self._body(request, OperatorBody)
        embed = self._kernel.runtimes.current.embed
        pattern = await self._oversight.labels.undo(request.path_params["id"], body.operator, embed)
        self._tell(None, pattern.id)
        return sse.as_json(msgspec.to_builtins(pattern))

    def _tell(self, pattern: Pattern | None, removed: str) -> None:
        if self._oversight.broadcast is not None:
            self._oversight.broadcast({"pattern": msgspec.to_builtins(pattern), "removed": removed})


async def verdict_of(kernel: Kernel, utterance: Utterance, *, labels: bool = True) -> Verdict:
    """Return what the gates say of a text; nothing is recorded, nobody is asked.

    :param labels: whether what operators labelled counts, too.
    """
    from rfsn_core.oversight import gates

    runtime = kernel.runtimes.current
    seconds = runtime.settings.operations.gate_timeout
    if not labels:
        return await gates.check(runtime.gates, utterance, seconds)
    return await runtime.oversight.check(runtime.gates, utterance, seconds, runtime.embed)


async def explained(kernel: Kernel, utterance: Utterance) -> dict[str, Any]:
    """Return the verdict on a text with all that explains it."""
    verdict = await verdict_of(kernel, utterance)
    runtime = kernel.runtimes.current
    near = await runtime.oversight.labels.nearest(utterance.text, runtime.embed)
    folding = fold(utterance.text)
    return {
        "verdict": verdict.kind,
        "suspicious": verdict.kind == "allow" and bool(verdict.reasons),
        "reasons": list(verdict.reasons),
        "risk": round(verdict.risk, 3),
        "evidence": list(verdict.evidence),
        "folded": folding.squeezed or folding.folded,
        "disguises": list(folding.disguises),
        "nearest": {
            label: {"cosine": round(cosine, 3), "id": pattern.id, "text": pattern.text}
            for label, cosine, pattern in (
                ("unsafe", near.unsafe, near.unsafe_pattern),
                ("safe", near.safe, near.safe_pattern),
            )
            if pattern is not None
        },
        "thresholds": {"suspicious": 0.5, "block": 0.7, "pattern": round(runtime.oversight.labels.memory.threshold, 3)},
    }
