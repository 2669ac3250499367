"""The roles of keys, and which role each route asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from starlette.routing import BaseRoute, Match, Mount, Route, WebSocketRoute
from starlette.types import Scope

Role = Literal["game", "designer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most; each may do what those before it may."""
MEANING: Mapping[Role, str] = {
    "game": "play: turns, events, memories that the game brings, rewards, snapshots",
    "designer": "also inspect: decisions, prompts, what NPCs remember, metrics, feedback",
    "operator": "also change: tuning, memory, learning, gates",
    "admin": "also make, rotate and revoke keys",
}
PUBLIC = frozenset({"/", "/inspect", "/operate", "/health", "/static", "POST /api/session", "GET /api/session"})
"""What needs no key: the pages, which contain nothing secret, the sign of life, and the way to hand in a key."""
NEEDED: Mapping[str, Role] = {
    "WS /v1/ws": "game",
    "POST /chat": "game",
    "POST /api/dialogue/stream": "game",
    "POST /api/rewards": "game",
    "GET /api/health": "game",
    "GET /api/protocol": "game",
    "GET /api/world": "game",
    "DELETE /api/session": "game",
    "WS /ws/metrics": "designer",
    "GET /metrics": "designer",
    "GET /api/decisions": "designer",
    "GET /api/decisions/{decision_id}": "designer",
    "GET /api/learning": "designer",
    "GET /api/alerts": "designer",
    "GET /api/logs": "designer",
    "GET /api/tune-performance": "designer",
    "POST /api/prompt": "designer",
    "POST /api/feedback": "designer",
    "GET /api/memory/{npc}": "designer",
    "GET /api/memory/{npc}/search": "designer",
    "GET /api/memory/{npc}/stats": "designer",
    "GET /api/gate": "designer",
    "GET /api/gate/review": "designer",
    "GET /api/gate/audit": "designer",
    "POST /api/gate/check": "designer",
    "GET /api/snapshots": "designer",
    "GET /api/keys": "admin",
    "POST /api/keys": "admin",
    "POST /api/keys/{key_id}/rotate": "admin",
    "DELETE /api/keys/{key_id}": "admin",
}
"""Method and path of a route, and its role. A route that is not listed asks for `operator`."""


def allows(role: Role, needed: Role) -> bool:
    """Return whether a key of this role may do what asks for another."""
    return ROLES.index(role) >= ROLES.index(needed)


class Routes:
    """The routes of a server, and what each asks for.

    :param own: the server's own routes, those of plugins included.
    :param dialects: the routes of dialects, which games use.
    """

    def __init__(self, own: Sequence[BaseRoute], dialects: Sequence[BaseRoute] = ()) -> None:
        self._own, self._dialects = own, dialects

    def path(self, scope: Scope) -> str:
        """Return a request's path with its parameters unfilled, so that no client can invent one; `other` for none."""
        for route in (*self._own, *self._dialects):
            if isinstance(route, Route | Mount | WebSocketRoute) and route.matches(scope)[0] is Match.FULL:
                return route.path or "/"
        return "other"

    def needed(self, scope: Scope, path: str, plugins: Role) -> Role | None:
        """Return the role that a request asks for; None when it needs no key.

        :param path: what `path` returned for it.
        :param plugins: the role for the routes of plugins.
        """
        method = "WS" if scope["type"] == "websocket" else "GET" if scope["method"] == "HEAD" else scope["method"]
        if path in PUBLIC or f"{method} {path}" in PUBLIC:
            return None
        if path.startswith("/plugins/"):
            return plugins
        if any(path == getattr(route, "path", "") for route in self._dialects):
            return "game"
        return NEEDED.get(f"{method} {path}", "operator")
