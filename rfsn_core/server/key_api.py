"""The HTTP routes of keys, and of the session of a browser in which a person has entered one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rfsn_core.server import sse
from rfsn_core.server.auth import CLIENT
from rfsn_core.server.authenticator import SESSION_SECONDS, Authenticator
from rfsn_core.server.keys import Key
from rfsn_core.server.roles import Role

Handler = Callable[[Request], Awaitable[Response]]
MOST = 4096
"""Bytes of a body."""


class Login(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/session`."""

    key: Annotated[str, Meta(max_length=1000)]


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/keys`."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    role: Role = "game"
    days: Annotated[float, Meta(ge=0, le=36_500)] = 0.0
    rate: Annotated[float, Meta(ge=0, le=1e6)] = 0.0


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /api/keys/{id}/rotate`."""

    grace: Annotated[float, Meta(ge=0, le=30 * 86_400)] = 0.0


def shown(key: Key, last_use: float | None = None) -> dict[str, Any]:
    """Return what may be shown of a key."""
    return {
        "id": key.id, "name": key.name, "role": key.role, "created": key.created, "expires": key.expires,
        "rate": key.rate, "last_use": last_use,
    }  # fmt: skip


class KeyRoutes:
    """The routes and their handlers."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def routes(self, guarded: Callable[[Handler], Handler]) -> list[Route]:
        """Return the routes, each behind `guarded`."""
        return [
            Route("/api/session", guarded(self._who), methods=["GET"]),
            Route("/api/session", guarded(self._login), methods=["POST"]),
            Route("/api/session", guarded(self._logout), methods=["DELETE"]),
            Route("/api/keys", guarded(self._list), methods=["GET"]),
            Route("/api/keys", guarded(self._create), methods=["POST"]),
            Route("/api/keys/{key_id}/rotate", guarded(self._rotate), methods=["POST"]),
            Route("/api/keys/{key_id}", guarded(self._revoke), methods=["DELETE"]),
        ]

    async def _who(self, request: Request) -> Response:
        """Tell a page whether a key is needed, and what its session may do."""
        client = request.scope[CLIENT]
        known = {"role": client.role, "key": client.key, "name": client.name} if client else {"role": None}
        return JSONResponse({"key_needed": self._authenticator.required, **known})

    async def _login(self, request: Request) -> Response:
        body = await sse.read_json(request, MOST, Login)
        session = await asyncio.to_thread(self._authenticator.login, body.key)
        if session is None:
            return sse.problem(401, "refused", "this key is not valid: it may be mistyped, expired or revoked")
        client, cookie = session
        answer = JSONResponse({"role": client.role, "key": client.key, "name": client.name})
        answer.set_cookie(
            self._authenticator.cookie_name(request), cookie, max_age=SESSION_SECONDS, httponly=True,
            samesite="strict", secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    async def _logout(self, request: Request) -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(self._authenticator.cookie_name(request), httponly=True, samesite="strict")
        return answer

    async def _list(self, request: Request) -> Response:
        uses = await asyncio.to_thread(self._authenticator.file.last_uses)
        keys = self._authenticator.file.keys.values()
        return JSONResponse({"keys": [shown(key, uses.get(key.id)) for key in keys]})

    async def _create(self, request: Request) -> Response:
        """Make a key; the answer is the only place where it can be read."""
        body = await sse.read_json(request, MOST, NewKey)
        key, text = await asyncio.to_thread(
            self._authenticator.file.create, body.name, body.role, days=body.days, rate=body.rate
        )
        return JSONResponse({**shown(key), "text": text}, 201)

    async def _rotate(self, request: Request) -> Response:
        body = await sse.read_json(request, MOST, Rotation)
        file = self._authenticator.file
        key, text = await asyncio.to_thread(file.rotate, request.path_params["key_id"], grace=body.grace)
        return JSONResponse({**shown(key), "text": text})

    async def _revoke(self, request: Request) -> Response:
        return JSONResponse(
            shown(await asyncio.to_thread(self._authenticator.file.revoke, request.path_params["key_id"]))
        )
