"""`rfsn`: what it prints, and how it ends."""

from __future__ import annotations

import json
import socket
import sys
import wave
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from rfsn_core import protocol
from rfsn_core.testing import make_world

Rfsn = Callable[..., Result]


def mistake(result: Result) -> str:
    """The one line that a mistake of the user ends with."""
    assert result.exit_code == 2, result.output
    (line,) = (line for line in result.stderr.splitlines() if "[info " not in line and "[warning " not in line)
    assert line.startswith("rfsn: ")
    return line


def test_say_prints_the_events_and_writes_audible_speech(rfsn: Rfsn, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    result = rfsn("say", "innkeeper", "Good evening!", "--json", "--wav", out)
    assert (result.exit_code, result.stderr) == (0, "")
    events = [protocol.decode_server(line) for line in result.stdout.splitlines()]
    kinds = [event.__struct_config__.tag for event in events]
    assert kinds[:2] == ["turn.started", "decision"]
    assert kinds[-1] == "turn.finished"
    assert {"sentence", "speech.started", "visemes", "speech.finished", "state"} <= set(kinds)
    with wave.open(str(out)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        seconds = file.getnframes() / file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    assert 1 < seconds < 20
    assert np.sqrt(np.mean(samples**2)) > 300  # speech, not silence
    assert np.abs(samples).max() < 32768
    spoken = sum(event.duration_ms for event in events if isinstance(event, protocol.SpeechFinished))
    assert abs(spoken / 1000 - seconds) < 0.1


def test_say_passes_the_games_state_on(rfsn: Rfsn, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"in_combat": true}', "utf-8")
    result = rfsn("say", "ferryman", "I will kill you!", "--json", "--state", state)
    decision = json.loads(result.stdout.splitlines()[1])
    assert "defend" in [candidate["action"] for candidate in decision["candidates"]]


@pytest.mark.parametrize("content", [b"[1]", b"{", b"", b'{"a": NaN}', b"[" * 100_000, b'{"a": "\xff"}'])
def test_a_state_file_that_is_not_a_json_object_is_a_mistake(rfsn: Rfsn, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.json").write_bytes(content)
    assert "state.json" in mistake(rfsn("say", "ferryman", "Hi", "--state", tmp_path / "state.json"))


def test_say_shows_words_and_not_json(rfsn: Rfsn) -> None:
    result = rfsn("say", "innkeeper", "When does the ferry run?")
    assert result.stdout.splitlines()[0].startswith("explain · warm_friendly (heard: question)")
    assert "nine days" in result.stdout
    assert "{" not in result.stdout


def test_the_conversation_is_remembered_between_runs(rfsn: Rfsn) -> None:
    answers = [json.loads(rfsn("say", "innkeeper", "Hello!", "--json").stdout.splitlines()[-1]) for _ in range(2)]
    assert answers[0]["text"] != answers[1]["text"]


def test_chat_continues_until_an_empty_line(rfsn: Rfsn) -> None:
    result = rfsn("chat", "innkeeper", typed="Hello!\nGoodbye!\n\nNot read.\n")
    assert result.exit_code == 0
    assert "greet ·" in result.stdout
    assert "farewell ·" in result.stdout
    assert "Not read" not in result.stdout


def test_chat_takes_deeds_flags_and_other_npcs(rfsn: Rfsn) -> None:
    lines = ("Hello!", "/gift", "/promise_kept", "/with sergeant", "/flag corin_found", "What about Corin?", "/dance")
    result = rfsn("chat", "innkeeper", typed="\n".join(lines) + "\n")
    assert result.exit_code == 0
    assert "Tilda Brannoch sees it: " in result.stdout
    assert "You talk with Maud Harrow." in result.stdout
    assert "Corin is home." in result.stdout
    assert "(no command /dance" in result.stdout


def test_chat_ends_at_the_end_of_the_input(rfsn: Rfsn) -> None:
    assert rfsn("chat", "innkeeper", typed="Hello!").exit_code == 0


def test_chat_says_once_that_no_voice_is_set(rfsn: Rfsn) -> None:
    result = rfsn("chat", "innkeeper", typed="Hello!\nGoodbye!\n\n", RFSN_SPEECH__PROVIDER="silent")
    assert result.stdout.count('provider = "espeak"') == 1


def test_chat_says_once_why_it_cannot_play_sound(rfsn: Rfsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    chat = ("chat", "innkeeper")
    typed = "Hello!\nGoodbye!\n\n"
    broken = rfsn(*chat, typed=typed, RFSN_SPEECH__PROVIDER="espeak").stdout
    assert broken.count("(no sound: PortAudio library not found. sudo apt install libportaudio2)") == 1
    assert "farewell ·" in broken
    assert "no sound" not in rfsn(*chat, "--mute", typed=typed, RFSN_SPEECH__PROVIDER="espeak").stdout
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # importing it raises ImportError
    assert rfsn(*chat, typed=typed, RFSN_SPEECH__PROVIDER="espeak").stdout.count("rfsn-core[sound]") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["say", "nobody", "Hi"], "no NPC 'nobody' in this world. There are: ferryman, healer"),
        (["say", "innkeeper", " "], "the player says nothing"),
        (["say", "innkeeper", "Hi", "--world", "nowhere"], "nowhere is not a world"),
        (["chat", "nobody"], "no NPC 'nobody'"),
        (["plugins", "nothing"], "no plugin 'nothing'"),
        (["serve", "--host", "256.1.1.1"], "cannot listen on 256.1.1.1"),
        (["keys", "revoke", "nokey"], "no key 'nokey'"),
    ],
)
def test_a_mistake_ends_in_one_line_and_exit_code_2(rfsn: Rfsn, arguments: list[str], message: str) -> None:
    assert message in mistake(rfsn(*arguments))


def test_a_misspelt_provider_is_reported_with_file_line_and_suggestion(rfsn: Rfsn, tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", '[speech]\nprovider = "espaek"\n')
    line = mistake(rfsn("serve", "--world", world))
    assert "rfsn.toml, line 2: speech.provider: no speech provider 'espaek'; did you mean 'espeak'?" in line
    assert mistake(rfsn("config", "check", "--world", world)) == line


def test_a_port_in_use_is_reported_with_a_way_out(rfsn: Rfsn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = mistake(rfsn("serve", "--port", port))
    assert f"port {port} on 127.0.0.1 is taken. Is RFSN running already? --port picks another" in line


def test_init_creates_a_world_that_works_and_overwrites_nothing(
    rfsn: Rfsn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rfsn("init", "my world").exit_code == 0
    spoken = (tmp_path / "my world" / "rfsn.toml").read_text("utf-8")
    installed = any(entry.name == "tts_espeak" for entry in entry_points(group="rfsn"))
    assert f'provider = "{"espeak" if installed else "silent"}" ' in spoken
    assert rfsn("config", "check", "--world", tmp_path / "my world").exit_code == 0
    assert rfsn("say", "miller", "Hello!", "--world", tmp_path / "my world").exit_code == 0
    assert "exists already" in mistake(rfsn("init", "my world"))
    monkeypatch.chdir(tmp_path / "my world")  # the current folder is the world
    assert rfsn("say", "miller", "Hello!").exit_code == 0


def test_the_new_world_shows_a_fact_a_hint_and_a_secret(rfsn: Rfsn, tmp_path: Path) -> None:
    rfsn("init", "w")
    (tmp_path / "w" / "rfsn.toml").write_text("", "utf-8")
    say = ("say", "miller", "--world", tmp_path / "w")
    assert "two coppers the sack" in rfsn(*say, "How much is the flour?").stdout
    assert "turned backwards twice" in rfsn(*say, "What is wrong with the mill wheel?").stdout
    assert "I do not share ideas" in rfsn(*say, "Why did it turn backwards?").stdout
    for _ in range(20):
        rfsn(*say, "What is this village called?")
    assert "wet bootprints" in rfsn(*say, "Why did it turn backwards?").stdout.replace("\n", " ")


def test_config_show_and_schema(rfsn: Rfsn) -> None:
    shown = json.loads(rfsn("config", "show", RFSN_SERVER__KEY="secret").stdout)
    assert shown["server"]["key"] == "(set)"
    assert shown["speech"]["provider"] == "espeak"
    schema = json.loads(rfsn("config", "schema").stdout)
    assert {"rfsn", "silent", "espeak"} & set(schema["properties"]["speech"]["properties"]) == {"silent", "espeak"}


def test_plugins_are_listed_and_explained(rfsn: Rfsn) -> None:
    listed = rfsn("plugins").stdout
    assert "tts_espeak" in listed
    assert "speech:espeak" in listed
    explained = rfsn("plugins", "tts_espeak").stdout
    assert 'provider = "espeak"' in explained
    assert "rfsn-tts-espeak" in explained


def test_the_protocol_is_generated_from_the_code(rfsn: Rfsn) -> None:
    document = json.loads(rfsn("protocol", "--asyncapi").stdout)
    assert document["asyncapi"].startswith("3.")
