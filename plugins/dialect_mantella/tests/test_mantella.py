"""Mantella's wire, by a fake game that keeps to the real one's rules."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import rfsn_dialect_mantella
from rfsn_dialect_mantella import Game
from rfsn_dialect_mantella.requests import form_id, form_name
from rfsn_dialect_mantella.sound import path_of

from rfsn_core import Prompt, TurnRecord
from rfsn_core.testing import Served, served, until
from rfsn_core.testing.isolated import SMITH, make_world, plugin
from rfsn_core.testing.scripted import Chooser, Memory, Tokens, Tone


def _module(name: str) -> ModuleType:
    # Tests are imported by path: a module next to them is not on Python's path.
    spec = importlib.util.spec_from_file_location(f"mantella_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


game_module = _module("game")
npc, PLAYER, CONTEXT = game_module.npc, game_module.PLAYER, game_module.CONTEXT
TILDA = npc("Tilda", 0x2A94)
DIALECT = ("dialect_mantella", rfsn_dialect_mantella)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def playing(
    folder: Path,
    tokens: Sequence[str] | Callable[[Prompt], Sequence[str]] = ("Mind the step. ", "It is loose. ", "Well?"),
    *,
    game: Game = "skyrim",
    voice: Any = None,
    settings: dict[str, Any] | None = None,
    key: str = "",
    **stages: Any,
) -> AsyncIterator[tuple[Any, Served]]:
    """Serve a world to a fake game."""
    port, mod = free_port(), folder / "mod"
    given = plugin(rendering={"tokens": Tokens(tokens)}, speech={"tone": voice or Tone(ms_per_character=2)}, **stages)
    own = {"enabled": True, "port": port, "game": game, "folder": str(mod), **(settings or {})}
    make_world(folder / "world", npcs={"smith": SMITH})
    options = {"dialects": {"mantella": own}, "server": {"key": key}}
    async with served(folder / "world", given, DIALECT, settings=options) as at:
        fake = game_module.FakeGame(port, mod, game)
        async with fake.http:
            yield fake, at


async def stored(at: Served, count: int) -> list[TurnRecord]:
    """Return the turns in the store, as soon as it has that many: it follows the log."""
    async with asyncio.timeout(10):
        while True:
            turns = [turn async for turn in at.runtimes.current.store.export("", "", "")]
            if len(turns) >= count:
                return sorted(turns, key=lambda turn: turn.time)
            await asyncio.sleep(0.01)


async def remembered(at: Served, count: int) -> list[tuple[str, str, str]]:
    """Return (NPC, what was said to it, what it said) of all turns."""
    return [(turn.scope.npc, turn.player_text, turn.npc_text) for turn in await stored(at, count)]


@pytest.mark.parametrize("game", ["skyrim", "fallout4", "starfield"])
async def test_a_talk_from_greeting_to_end(tmp_path: Path, game: Game) -> None:
    async with playing(tmp_path, game=game) as (fake, at):
        first, second = await asyncio.gather(fake.ask("initialize"), fake.start(PLAYER, TILDA))
        assert first["mantella_reply_type"] == "mantella_init_completed"
        assert second == {
            "mantella_reply_type": "mantella_start_conversation_completed", "mantella_use_narrator": False,
        }  # fmt: skip
        assert await fake.until_player() == ["Mind the step.", "It is loose.", "Well?"]
        assert await fake.say("Who are you?") == ["Mind the step.", "It is loose.", "Well?"]
        assert {line["mantella_actor_speaker"] for line in fake.lines} == {"Tilda"}
        await fake.end()
        ended = await fake.ask("player_input", player_input="Hello?")
        assert ended == {"mantella_reply_type": "error", "mantella_message": "No running conversation."}
        turns = await remembered(at, 2)
        assert [text for _, text, _ in turns] == ["", "Who are you?"]
        npc_file = at.runtimes.current.world.npc(turns[0][0]).file
        assert (npc_file.name, npc_file.title) == ("Tilda", "Nord")


async def test_the_player_and_the_save_are_the_games_own(tmp_path: Path) -> None:
    async with playing(tmp_path) as (fake, at):
        await fake.start(PLAYER, TILDA, worldid="Ada2")
        await fake.until_player()
        scopes = [turn.scope for turn in await stored(at, 1)]
        assert [(scope.save, scope.player) for scope in scopes] == [("Ada2", "Ada")]


async def test_a_line_is_played_while_the_next_is_made_and_ends_by_barge_in(tmp_path: Path) -> None:
    words = [f"Line number {number} of a long speech. " for number in range(30)]
    async with playing(tmp_path, words, voice=Tone(ms_per_character=2, interval=0.002)) as (fake, at):
        await fake.start(PLAYER, TILDA)
        for _ in range(3):
            await fake.next()
        assert await fake.ask("player_input", player_input="Stop that!") == {"mantella_reply_type": "mantella_npc_talk"}
        await fake.next()
        turns = await remembered(at, 1)
        assert "number 2" in turns[0][2]
        assert "number 3" not in turns[0][2]


async def test_two_guards_in_a_group_are_kept_apart(tmp_path: Path) -> None:
    def words(prompt: Prompt) -> Sequence[str]:
        return [f"I am {prompt.npc}."]

    guards = [npc("Guard", 0x1001), npc("Guard", -0x00FFEFFE), npc("Ysolda", -33554405)]  # negative form ids
    async with playing(tmp_path, words, settings={"greet": False}) as (fake, at):
        await fake.start(PLAYER, *guards)
        assert await fake.until_player() == []  # without a greeting it is the player's turn at once
        await fake.say("Guard 2, who are you?")
        await fake.say("And what do you think?")  # the one that spoke last
        await fake.say("Guard, who are you?")
        await fake.say("Ysolda, and you?")
        speakers = [line["mantella_actor_speaker"] for line in fake.lines]
        assert speakers == ["Guard 2", "Guard 2", "Guard", "Ysolda"]
        ids = [npc_id for npc_id, _, _ in await remembered(at, 4)]
        assert len(set(ids)) == 3
        await fake.end()
        await fake.start(PLAYER, guards[1])  # alone, the second guard has no suffix, and is still itself
        await fake.say("Who are you?")
        assert (await remembered(at, 5))[-1][0] == ids[0]
        assert fake.lines[-1]["mantella_actor_line_to_speak"] == fake.lines[0]["mantella_actor_line_to_speak"]


async def test_a_goodbye_ends_the_talk_with_the_last_line(tmp_path: Path) -> None:
    async with playing(tmp_path) as (fake, _):
        await fake.start(PLAYER, TILDA)
        await fake.until_player()
        assert await fake.say("Goodbye, Tilda!") == ["Mind the step.", "It is loose.", "Well?"]
        ends = [
            index for index, line in enumerate(fake.lines)
            if {"identifier": "mantella_end_conversation"} in line["mantella_actor_actions"]
        ]  # fmt: skip
        assert ends == [5]
        await fake.end()


async def test_the_game_ends_a_talk_while_it_waits_for_a_line(tmp_path: Path) -> None:
    async with playing(tmp_path, voice=Tone(interval=30)) as (fake, _):
        await fake.start(PLAYER, TILDA)
        waiting = asyncio.create_task(fake.next())
        await until(lambda: bool(fake._open))
        await fake.end()
        assert await waiting == {"mantella_reply_type": "mantella_npc_talk"}


async def test_a_second_start_ends_the_first_talk(tmp_path: Path) -> None:
    async with playing(tmp_path) as (fake, _):
        await fake.start(PLAYER, TILDA)
        await fake.next()
        await fake.start(PLAYER, npc("Ysolda", 0x77))
        await fake.until_player()
        assert fake.lines[-1]["mantella_actor_speaker"] == "Ysolda"


async def test_a_failure_is_shown_in_the_game(tmp_path: Path) -> None:
    class Broken(Memory):
        async def load(self, scope: Any, turns: int, memories: int | None = None) -> Any:
            raise RuntimeError("the disk is full")

    async with playing(tmp_path, storage={"broken": Broken()}) as (fake, _):
        await fake.start(PLAYER, TILDA)
        reply = await fake.next()
        assert reply["mantella_reply_type"] == "error"
        assert "the store failed" in reply["mantella_message"]


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b'{"mantella_request_type":"mantella_dance"}', b"\xff\xfe", b"[" * 100_000]
)
async def test_nonsense_is_answered_with_an_error(tmp_path: Path, body: bytes) -> None:
    async with playing(tmp_path) as (fake, _):
        got = await fake.http.post("/mantella", content=body)
        assert got.status_code == 200
        assert json.loads(got.text)["mantella_reply_type"] == "error"


async def test_any_key_may_be_missing_or_wrong(tmp_path: Path) -> None:
    actors: list[Any] = [{"mantella_actor_name": "Tilda"}, {}, 7, {"mantella_actor_name": 5}]
    player = {"mantella_actor_name": "Ada", "mantella_actor_is_player": True, "mantella_actor_refid": "x"}
    context = {"mantella_time": "noon", "mantella_weather": {}, "mantella_ingame_events": [1, None], "mantella_x": 1}
    async with playing(tmp_path) as (fake, _):
        got = await fake.ask("start_conversation", actors=[*actors, player], context=context)
        assert got["mantella_reply_type"] == "mantella_start_conversation_completed"
        reply = await fake.ask("continue_conversation")  # Fallout 4 may leave the topic out
        assert reply["mantella_npc_talk"]["mantella_topicinfofile"] == 1
        await fake.ask("start_conversation")  # nobody is there
        assert (await fake.ask("continue_conversation"))["mantella_reply_type"] == "mantella_player_talk"
        assert (await fake.ask("player_input", player_input="Hello?"))["mantella_reply_type"] == "error"


async def test_no_key_is_needed_on_the_games_port(tmp_path: Path) -> None:
    async with playing(tmp_path, key="secret") as (fake, _):
        await fake.start(PLAYER, TILDA)
        assert await fake.until_player()


async def test_a_microphone_is_refused_in_words(tmp_path: Path) -> None:
    async with playing(tmp_path) as (fake, _):
        await fake.start(PLAYER, TILDA, input_type="mantella_mic_input")
        await fake.until_player()
        reply = await fake.ask("player_input", player_input="")
        assert "text input" in reply["mantella_message"]


async def test_actions_reach_the_game_by_its_own_names(tmp_path: Path) -> None:
    actions = [
        {"name": "lead_to", "instruction": "Lead on.", "answers": ["request"],
         "arguments": {"target": {"sources": ["nearby"], "required": True}}},
    ]  # fmt: skip
    mapped = {"settings": {"actions": {"lead_to": "mantella_npc_leadto"}}}
    port = free_port()
    given = plugin(
        rendering={"tokens": Tokens()}, speech={"tone": Tone(ms_per_character=2)},
        selection={"chooser": Chooser("lead_to")},
    )  # fmt: skip
    own = {"enabled": True, "port": port, "folder": str(tmp_path / "mod"), **mapped["settings"], "greet": False}
    make_world(tmp_path / "world", npcs={"smith": SMITH})
    options = {"dialects": {"mantella": own}, "world": {"actions": actions}}
    async with served(tmp_path / "world", given, DIALECT, settings=options):
        fake = game_module.FakeGame(port, tmp_path / "mod")
        async with fake.http:
            await fake.start(PLAYER, TILDA)
            await fake.say("Please bring me to the wolf.")
            assert fake.actions == [{"identifier": "mantella_npc_leadto", "arguments": {"target": "Wolf"}}]


async def test_npcs_talk_among_themselves_without_a_player(tmp_path: Path) -> None:
    async with playing(tmp_path, ["Cold today."], settings={"radiant_lines": 3}) as (fake, at):
        await fake.start(TILDA, npc("Hrolf", 0x99))
        await fake.until_player()
        assert [line["mantella_actor_speaker"] for line in fake.lines] == ["Tilda", "Hrolf", "Tilda"]
        assert {"identifier": "mantella_end_conversation"} in fake.actions
        assert [text for _, text, _ in await remembered(at, 3)][1:] == ["Cold today."] * 2


async def test_what_happens_is_remembered_and_where_it_happens_is_known(tmp_path: Path) -> None:
    words = Tokens(["Hm."])
    port = free_port()
    own = {"enabled": True, "port": port, "greet": False}
    make_world(tmp_path, npcs={"smith": SMITH})
    given = plugin(rendering={"tokens": words}, speech={"tone": Tone(ms_per_character=2)})
    async with served(tmp_path, given, DIALECT, settings={"dialects": {"mantella": own}}):
        fake = game_module.FakeGame(port, tmp_path)
        async with fake.http:
            await fake.start(PLAYER, TILDA)
            context = CONTEXT | {"mantella_ingame_events": ["Ada drew a sword."]}
            await fake.ask("player_input", player_input="Hello", context=context)
            assert (await fake.ask("continue_conversation"))["mantella_reply_type"] == "mantella_npc_talk"
            text = words.prompts[-1].messages[1].content
            assert "Ada drew a sword." in text
            assert '"location": "Whiterun"' in text
            assert '"weather": "rainy"' in text
    assert "Sound" not in os.listdir(tmp_path)  # no folder, no files


async def test_overrides_of_mantella_are_used(tmp_path: Path) -> None:
    folder = tmp_path / "overrides"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps([{"name": "Tilda", "bio": "Another Tilda.", "base_id": "00ABCD"}]))
    (folder / "b.csv").write_text(
        f"\ufeffname,base_id,race,bio,voice_model\nTilda,{0x2A93:08X},Nord,You keep the inn.,FemaleNord\n", "utf-8"
    )
    (folder / "c.json").write_text("{broken")
    async with playing(tmp_path, settings={"overrides": str(folder)}) as (fake, at):
        await fake.start(PLAYER, TILDA)
        await fake.until_player()
        file = at.runtimes.current.world.npc((await remembered(at, 1))[0][0]).file
        assert file.persona == "You keep the inn."


async def test_without_a_voice_the_game_gets_time_to_read(tmp_path: Path) -> None:
    port = free_port()
    own = {"enabled": True, "port": port, "folder": str(tmp_path / "mod")}
    make_world(tmp_path / "world", npcs={"smith": SMITH})
    given = plugin(rendering={"tokens": Tokens(["A line that takes a while to read. ", "Well?"])})
    async with served(tmp_path / "world", given, DIALECT, settings={"dialects": {"mantella": own}}):
        fake = game_module.FakeGame(port, tmp_path / "mod")
        async with fake.http:
            await fake.start(PLAYER, TILDA)
            assert await fake.until_player() == ["A line that takes a while to read.", "Well?"]
            assert fake.lines[0]["mantella_actor_line_duration"] > 2


async def test_mouth_movements_of_the_mods_own_file_are_used_again(tmp_path: Path) -> None:
    for topic in (1, 2):
        path = path_of(tmp_path / "mod", "fallout4", topic)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"FUZE" + struct.pack("<II", 1, 5) + b"mouth" + b"sound")
    lip = path_of(tmp_path / "mod", "skyrim", 1).with_suffix(".lip")
    lip.write_bytes(b"old")
    async with playing(tmp_path, game="fallout4") as (fake, _):
        await fake.start(PLAYER, TILDA)
        await fake.until_player()
        assert path_of(fake.folder, "fallout4", 1).read_bytes()[8:17] == struct.pack("<I", 5) + b"mouth"
    async with playing(tmp_path) as (fake, _):
        await fake.start(PLAYER, TILDA)
        await fake.until_player()
        assert not lip.exists()


def test_form_ids_are_the_same_in_every_load_order() -> None:
    assert form_id(0x0501A694) == form_id(0x0201A694) == 0x01A694
    assert form_id(-33554405) == (-33554405 + 2**32) & (0xFFF if ((-33554405 + 2**32) >> 24) == 0xFE else 0xFFFFFF)
    assert form_name("[Race <NordRace (00013746)>]", "Race") == "Nord"
    assert form_name("HumanRace", "Race") == "Human"
