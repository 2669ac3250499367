"""The one route: five requests, each answered with status 200, errors too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rfsn_core import DialectHost, RfsnError
from rfsn_dialect_mantella import Settings, overrides, sound
from rfsn_dialect_mantella.replies import error, reply, talk
from rfsn_dialect_mantella.requests import actors_of, plain, scene_of, text_of
from rfsn_dialect_mantella.talk import Talk, TalkFailed

LARGEST = 4_000_000
"""Bytes of a request."""
NO_TALK = "No running conversation."
NO_MICROPHONE = "RFSN cannot listen. Choose text input in Mantella's menu."


class Mantella:
    """The talk of one game: there is one at a time."""

    def __init__(self, settings: Settings, host: DialectHost) -> None:
        self._settings, self._host = settings, host
        self._talk: Talk | None = None
        self._overrides = overrides.read(host.world_dir / settings.overrides, host) if settings.overrides else []
        self._folder = host.world_dir / Path(settings.folder) if settings.folder else None
        self._newest = 0  # number of the newest `continue`

    def routes(self) -> list[BaseRoute]:
        """Return the route."""
        return [Route("/mantella", self.serve, methods=["POST"])]

    async def close(self) -> None:
        """End the talk: the server stops."""
        await self._end()

    async def serve(self, request: Request) -> Response:
        """Answer a request of the game. Errors are answers, too: the game shows them."""
        try:
            body = await _read(request)
            kind = text_of(body.get("request_type")).removeprefix("mantella_")
            answer = {
                "initialize": self._initialize,
                "start_conversation": self._start,
                "continue_conversation": self._continue,
                "player_input": self._input,
                "end_conversation": self._finish,
            }.get(kind)
            if answer is None:
                return error(f"RFSN does not know the request '{kind[:60]}'.")
            return await answer(body)
        except (TalkFailed, RfsnError) as failure:
            return error(str(failure))
        except Exception:  # a status of 500 would end the talk without a word
            self._host.log.exception("a request of the game failed")
            return error("RFSN could not answer. See its log.")

    async def _initialize(self, body: Mapping[str, Any]) -> Response:
        return reply("mantella_init_completed")

    async def _start(self, body: Mapping[str, Any]) -> Response:
        await self._end()
        new = Talk(self._settings, self._host, self._overrides, text_of(body.get("worldid"))[:200] or "default")
        self._talk = new
        scene = scene_of(body)
        new.place(scene)
        new.join(actors_of(body))
        await new.see(scene)
        return reply("mantella_start_conversation_completed", use_narrator=False)

    async def _continue(self, body: Mapping[str, Any]) -> Response:
        talking = self._running()
        self._newest += 1
        number = self._newest
        await self._update(talking, body)
        talking.wake()
        line = await talking.line(lambda: self._newest == number)
        if talking.over or self._newest != number:
            return reply("mantella_npc_talk")  # the game has stopped asking, or asks again
        if line is None:
            return reply("mantella_player_talk")
        topic = 2 if body.get("topicinfofile") == 2 else 1
        if self._folder is not None:
            try:
                await sound.write(self._folder, self._settings.game, topic, line.pcm, line.sample_rate)
            except OSError as failure:
                self._host.log.error("the sound of a line was not written: %s", failure)
        return talk(line, topic, self._settings.game)

    async def _input(self, body: Mapping[str, Any]) -> Response:
        talking = self._running()
        await self._update(talking, body)
        text = text_of(body.get("player_input"))
        if not text:
            return error(NO_MICROPHONE)
        await talking.hear(text)
        return reply("mantella_npc_talk")

    async def _finish(self, body: Mapping[str, Any]) -> Response:
        await self._end()
        return reply("mantella_end_conversation")

    def _running(self) -> Talk:
        if self._talk is None or self._talk.over:
            raise TalkFailed(NO_TALK)
        return self._talk

    async def _update(self, talking: Talk, body: Mapping[str, Any]) -> None:
        scene = scene_of(body)
        talking.place(scene)
        if actors := actors_of(body):
            talking.join(actors)
        await talking.see(scene)

    async def _end(self) -> None:
        ending, self._talk = self._talk, None
        if ending is not None:
            await ending.end()


async def _read(request: Request) -> Mapping[str, Any]:
    data = bytearray()
    with suppress(ClientDisconnect):
        async for chunk in request.stream():
            data += chunk
            if len(data) > LARGEST:
                raise TalkFailed(f"The game sent more than {LARGEST} bytes.")
    try:
        body = plain(json.loads(data.decode("utf-8", "replace") or "{}"))
    except (ValueError, RecursionError) as failure:
        raise TalkFailed(f"The game sent no JSON: {failure}") from failure
    if not isinstance(body, Mapping):
        raise TalkFailed("The game sent no JSON object.")
    return body
