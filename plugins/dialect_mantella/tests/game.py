"""A game without a game: it asks in the order of Mantella's scripts, and reads replies as the game's DLL does."""

from __future__ import annotations

import io
import json
import struct
import wave
from pathlib import Path
from typing import Any

import httpx
from rfsn_dialect_mantella import Game
from rfsn_dialect_mantella.sound import path_of

LIMITS = {"skyrim": 500, "fallout4": 447, "starfield": 447}
KINDS = {
    "mantella_init_completed", "mantella_start_conversation_completed", "mantella_npc_talk", "mantella_player_talk",
    "mantella_npc_action", "mantella_tts", "mantella_end_conversation", "error",
}  # fmt: skip
PAYLOAD: dict[str, type] = {
    "mantella_actor_speaker": str, "mantella_actor_line_to_speak": str, "mantella_is_narration": bool,
    "mantella_actor_voice_file": str, "mantella_actor_line_duration": float, "mantella_actor_actions": list,
    "mantella_topicinfofile": int,
}  # fmt: skip


def npc(name: str, reference: int, **more: Any) -> dict[str, Any]:
    """Return an actor as the game describes one."""
    return {
        "mantella_actor_baseid": reference - 1, "mantella_actor_refid": reference, "mantella_actor_name": name,
        "mantella_actor_gender": 0, "mantella_actor_race": "[Race <NordRace (00013746)>]",
        "mantella_actor_voicetype": "[VoiceType <MaleNord (00013AE6)>]", "mantella_actor_is_player": False,
        "mantella_actor_is_in_combat": False, "mantella_actor_is_enemy": False,
        "mantella_actor_relationshiprank": 0, "mantella_equipment": {"body": "Fur Armor"}, **more,
    }  # fmt: skip


PLAYER = npc("Ada", 0x14, mantella_actor_is_player=True, mantella_actor_custom_values={"mantella_pc_description": ""})
CONTEXT = {
    "mantella_location": "Whiterun", "mantella_time": 20, "mantella_gamedays": 3.5,
    "mantella_weather": {"mantella_weather_id": "12345", "mantella_weather_classification": 2},
    "mantella_ingame_events": [], "mantella_nearby_actors": [{"name": "Wolf", "distance": 12.5}],
    "mantella_config_settings": {},
}  # fmt: skip


class FakeGame:
    """One game, at its server's port."""

    def __init__(self, port: int, folder: Path, game: Game = "skyrim") -> None:
        self.http = httpx.AsyncClient(
            base_url=f"http://localhost:{port}", headers={"Authorization": "Basic dXNlcjpwYXNz"}, timeout=30
        )
        self.folder, self.game = folder, game
        self.topic = 2
        self.lines: list[dict[str, Any]] = []
        self.actions: list[Any] = []
        self._open = False
        self._files: dict[int, bytes] = {}

    async def ask(self, request_type: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return the checked reply."""
        body = {"mantella_request_type": f"mantella_{request_type}"}
        body |= {f"mantella_{key}": value for key, value in fields.items()}
        got = await self.http.post("/mantella", json=body)
        assert got.status_code == 200, "the game would end the talk without a word"
        assert '"mantella_reply_type":"' in got.text, "Starfield looks for exactly this"
        reply = json.loads(got.text)
        check_types(reply)
        assert reply["mantella_reply_type"] in KINDS
        return dict(reply)

    async def start(self, *actors: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Start a talk."""
        return await self.ask(
            "start_conversation",
            **{"worldid": "Ada1", "input_type": "mantella_text_input", "actors": list(actors), "context": CONTEXT}
            | fields,
        )

    async def next(self, **fields: Any) -> dict[str, Any]:
        """Send one `continue` and play what comes."""
        assert not self._open, "the game has one `continue` open at a time"
        self._open = True
        self.topic = 3 - self.topic
        kept = self._files.get(3 - self.topic)
        # The line of the other topic begins to play now: its file must be whole and stay as it is.
        self._check_file(3 - self.topic, kept)
        self._files.pop(self.topic, None)
        try:
            reply = await self.ask("continue_conversation", topicinfofile=self.topic, extra_actions=[], **fields)
        finally:
            self._open = False
        self._check_file(3 - self.topic, kept)
        if reply["mantella_reply_type"] == "mantella_npc_talk" and "mantella_npc_talk" in reply:
            self._play(reply["mantella_npc_talk"])
        return reply

    def _check_file(self, topic: int, expected: bytes | None) -> None:
        if expected is not None:
            assert path_of(self.folder, self.game, topic).read_bytes() == expected, "the file that plays was touched"

    def _play(self, line: dict[str, Any]) -> None:
        for key, kind in PAYLOAD.items():
            assert type(line[key]) is kind, f"{key} is {line[key]!r}"
        assert len(line["mantella_actor_line_to_speak"].encode()) <= LIMITS[self.game]
        for action in line["mantella_actor_actions"]:
            if self.game != "skyrim":
                assert isinstance(action, str), "Fallout 4 writes beyond its memory"
            else:
                assert isinstance(action["identifier"], str)
                assert isinstance(action.get("arguments", {}), dict)
        assert line["mantella_topicinfofile"] == self.topic
        data = path_of(self.folder, self.game, self.topic).read_bytes()
        seconds = sound_seconds(data, self.game)
        assert abs(seconds - line["mantella_actor_line_duration"]) < 0.05
        self._files[self.topic] = data
        self.lines.append(line)
        self.actions += line["mantella_actor_actions"]

    async def until_player(self, **fields: Any) -> list[str]:
        """Ask until it is the player's turn, or the talk ends; return the lines."""
        begin = len(self.lines)
        while (reply := await self.next(**fields))["mantella_reply_type"] == "mantella_npc_talk":
            fields = {}
            if "mantella_end_conversation" in [
                action if isinstance(action, str) else action["identifier"] for action in self.actions
            ]:
                break
        else:
            assert reply["mantella_reply_type"] == "mantella_player_talk", reply
        return [line["mantella_actor_line_to_speak"] for line in self.lines[begin:]]

    async def say(self, text: str, **fields: Any) -> list[str]:
        """Let the player say something and play the answer."""
        reply = await self.ask("player_input", player_input=text, context=CONTEXT, **fields)
        assert reply == {"mantella_reply_type": "mantella_npc_talk"}, reply
        return await self.until_player()

    async def end(self) -> None:
        """End the talk."""
        reply = await self.ask("end_conversation", end_timestamp=3.75)
        assert reply["mantella_reply_type"] == "mantella_end_conversation"


def check_types(value: Any) -> None:
    """Fail on what the game's dictionary cannot hold: null, and lists of several kinds."""
    assert value is not None, "null reads as absent"
    if isinstance(value, dict):
        for key, inner in value.items():
            assert key == key.lower()
            check_types(inner)
    elif isinstance(value, list):
        assert len({type(item) for item in value}) <= 1, "a list of mixed kinds is dropped"
        for item in value:
            check_types(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        assert -(2**31) <= value < 2**31


def sound_seconds(data: bytes, game: Game) -> float:
    """Return how long a sound file plays. Raises wave.Error, or an assertion fails, when it is not whole."""
    if game != "skyrim":
        assert data[:4] == b"FUZE"
        version, length = struct.unpack_from("<II", data, 4)
        assert version == 1
        data = data[12 + length :]
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    with wave.open(io.BytesIO(data)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        return float(sound.getnframes() / sound.getframerate())
