"""What the game understands. It reads types strictly: a number for a `float` needs its point, and lists one kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from rfsn_dialect_mantella import Game

END = "mantella_end_conversation"
MOST = {"skyrim": 500, "fallout4": 447, "starfield": 447}
"""Bytes of a line that the game can show."""


@dataclass(frozen=True)
class GameAction:
    """An action, as the game gets it."""

    identifier: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    """A sentence on its way to the game."""

    speaker: str
    text: str
    pcm: bytes
    sample_rate: int
    seconds: float
    actions: tuple[GameAction, ...] = ()
    turn: object = None
    sentence: int = 0


def reply(kind: str, **values: Any) -> Response:
    """Return a reply. The game takes only status 200; anything else ends the talk without a word."""
    body = {"mantella_reply_type": kind, **{f"mantella_{key}": value for key, value in values.items()}}
    return Response(json.dumps(body, ensure_ascii=False, separators=(",", ":")), media_type="application/json")


def error(message: str) -> Response:
    """Return the reply that the game shows, and after which it ends the talk."""
    return reply("error", message=message)


def talk(line: Line, topic: int, game: Game) -> Response:
    """Return the reply with a line. Its sound must be in its file already."""
    payload = {
        "mantella_actor_speaker": line.speaker,
        "mantella_actor_line_to_speak": shortened(line.text, MOST[game]),
        "mantella_is_narration": False,
        "mantella_actor_voice_file": "",
        "mantella_actor_line_duration": float(line.seconds),
        "mantella_actor_actions": actions_for(line.actions, game),
        "mantella_topicinfofile": topic,
    }
    return reply("mantella_npc_talk", npc_talk=payload)


def actions_for(actions: Sequence[GameAction], game: Game) -> list[Any]:
    """Return actions as the game reads them: Fallout 4's scripts damage their memory when they get objects."""
    if game != "skyrim":
        return [action.identifier for action in actions]
    return [
        {"identifier": action.identifier, **({"arguments": dict(action.arguments)} if action.arguments else {})}
        for action in actions
    ]


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many bytes, cut between words."""
    data = text.encode()
    if len(data) <= most:
        return text
    cut = data[: most - 3].decode(errors="ignore")
    return cut[: cut.rfind(" ")] + "…" if " " in cut else cut + "…"
