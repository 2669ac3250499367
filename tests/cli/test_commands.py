"""`rfsn`: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from rfsn_core import protocol
from rfsn_core.testing import make_world

PLAIN = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "160"}


def rfsn(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rfsn_core.cli", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **PLAIN, "RFSN_DATA_DIR": str(cwd / "data"), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )  # fmt: skip


def mistake(ran: subprocess.CompletedProcess[str]) -> str:
    """The one line that a person's mistake ends with."""
    assert ran.returncode == 2, ran
    (line,) = ran.stderr.splitlines()
    assert line.startswith("rfsn: ")
    return line


def test_help_is_a_tour(tmp_path: Path) -> None:
    said = rfsn("--help", cwd=tmp_path).stdout
    assert 'rfsn say innkeeper "Good evening!"' in said
    order = [said.index(f"\n  {command} ") for command in ("serve", "say", "chat", "init", "config", "plugins")]
    assert order == sorted(order)


def test_say_prints_the_wire_events_and_writes_a_voice_that_can_be_heard(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    ran = rfsn("say", "innkeeper", "Good evening!", "--json", "--wav", out, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    got = [protocol.decode_server(line) for line in ran.stdout.splitlines()]
    kinds = [item.__struct_config__.tag for item in got]
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
    spoken = sum(item.duration_ms for item in got if isinstance(item, protocol.SpeechFinished))
    assert abs(spoken / 1000 - seconds) < 0.1


def test_say_takes_the_games_state(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"in_combat": true}', "utf-8")
    ran = rfsn("say", "ferryman", "I will kill you!", "--json", "--state", state, cwd=tmp_path)
    decision = json.loads(ran.stdout.splitlines()[1])
    assert "defend" in [candidate["action"] for candidate in decision["candidates"]]
    for bad in ("[1]", "{", '{"a": NaN}', "[" * 100_000):
        state.write_text(bad, "utf-8")
        assert "state.json" in mistake(rfsn("say", "ferryman", "Hi", "--state", state, cwd=tmp_path))


def test_people_see_words_and_not_a_dump(tmp_path: Path) -> None:
    ran = rfsn("say", "innkeeper", "When does the ferry run?", cwd=tmp_path)
    assert ran.stdout.splitlines()[0].startswith("explain · warm_friendly (heard: question)")
    assert "nine days ago" in ran.stdout
    assert "{" not in ran.stdout


def test_the_conversation_is_remembered_between_runs(tmp_path: Path) -> None:
    first = rfsn("say", "innkeeper", "Hello!", "--json", cwd=tmp_path).stdout
    second = rfsn("say", "innkeeper", "Hello!", "--json", cwd=tmp_path).stdout
    texts = [json.loads(said.splitlines()[-1])["text"] for said in (first, second)]
    assert texts[0] != texts[1]


def chat(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rfsn_core.cli", "chat", "innkeeper", *arguments], cwd=cwd,
        input="Hello!\nGoodbye!\n\n",
        env={**os.environ, **PLAIN, "RFSN_DATA_DIR": str(cwd), **environment}, capture_output=True,
        text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


def test_chat_says_in_one_line_why_nothing_is_heard(tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    espeak = {"RFSN_SPEECH__PROVIDER": "espeak", "PYTHONPATH": str(tmp_path)}
    silent = chat(cwd=tmp_path, RFSN_SPEECH__PROVIDER="silent").stdout
    assert silent.count('provider = "espeak"') == 1
    broken = chat(cwd=tmp_path, **espeak).stdout
    assert broken.count("(no sound: PortAudio library not found. sudo apt install libportaudio2)") == 1
    assert "farewell ·" in broken
    (tmp_path / "sounddevice.py").write_text("raise ImportError('no such package')")
    assert chat(cwd=tmp_path, **espeak).stdout.count("rfsn-core[sound]") == 1
    assert "no sound" not in chat("--mute", cwd=tmp_path, **espeak).stdout


def test_chat_goes_on_until_an_empty_line(tmp_path: Path) -> None:
    ran = chat(cwd=tmp_path)
    assert ran.returncode == 0
    assert "greet ·" in ran.stdout
    assert "farewell ·" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["say", "nobody", "Hi"], "no NPC 'nobody' in this world. There are: ferryman, healer"),
        (["say", "innkeeper", " "], "the player says nothing"),
        (["say", "innkeeper", "Hi", "--world", "nowhere"], "nowhere is not a world"),
        (["chat", "nobody"], "no NPC 'nobody'"),
        (["plugins", "nothing"], "no plugin 'nothing'"),
        (["serve", "--host", "0.0.0.0"], "others can reach it, so it needs a key. Set RFSN_SERVER__KEY"),
        (["serve", "--host", "256.1.1.1"], "others can reach it"),
    ],
)
def test_mistakes_end_with_one_line_and_code_2(tmp_path: Path, arguments: list[str], says: str) -> None:
    assert says in mistake(rfsn(*arguments, cwd=tmp_path))


def test_a_misspelt_provider_is_told_with_file_line_and_the_right_one(tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", '[speech]\nprovider = "espaek"\n')
    line = mistake(rfsn("serve", "--world", world, cwd=tmp_path))
    assert "rfsn.toml, line 2: speech.provider: no speech provider 'espaek'; did you mean 'espeak'?" in line
    assert mistake(rfsn("config", "check", "--world", world, cwd=tmp_path)) == line


def test_a_port_in_use_is_told_with_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = mistake(rfsn("serve", "--port", str(port), cwd=tmp_path))
    assert f"port {port} on 127.0.0.1 is taken. Is RFSN running already? --port picks another" in line


def test_init_makes_a_world_that_works_and_overwrites_nothing(tmp_path: Path) -> None:
    made = rfsn("init", "my world", cwd=tmp_path)
    assert made.returncode == 0
    assert rfsn("config", "check", "--world", tmp_path / "my world", cwd=tmp_path).returncode == 0
    said = rfsn("say", "miller", "Hello!", "--world", tmp_path / "my world", cwd=tmp_path)
    assert said.returncode == 0
    assert "exists already" in mistake(rfsn("init", "my world", cwd=tmp_path))
    # A world is found from inside its folder, too.
    assert rfsn("say", "miller", "Hello!", cwd=tmp_path / "my world").returncode == 0


def test_config_show_and_schema(tmp_path: Path) -> None:
    shown = json.loads(rfsn("config", "show", cwd=tmp_path, RFSN_SERVER__KEY="secret").stdout)
    assert shown["server"]["key"] == "(set)"
    assert shown["speech"]["provider"] == "espeak"
    schema = json.loads(rfsn("config", "schema", cwd=tmp_path).stdout)
    assert {"rfsn", "silent", "espeak"} & set(schema["properties"]["speech"]["properties"]) == {"silent", "espeak"}


def test_plugins_are_listed_and_explained(tmp_path: Path) -> None:
    listed = rfsn("plugins", cwd=tmp_path).stdout
    assert "tts_espeak" in listed
    assert "speech:espeak" in listed
    explained = rfsn("plugins", "tts_espeak", cwd=tmp_path).stdout
    assert 'provider = "espeak"' in explained
    assert "rfsn-tts-espeak" in explained


def test_the_protocol_is_printed_from_the_code(tmp_path: Path) -> None:
    document = json.loads(rfsn("protocol", "--asyncapi", cwd=tmp_path).stdout)
    assert document["asyncapi"].startswith("3.")


def test_a_windows_console_that_lacks_a_character_is_no_error(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "rfsn_core.cli", "say", "innkeeper", "Hello \U0001f525"], cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "RFSN_DATA_DIR": str(tmp_path)}, capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_commands_of_plugins_are_commands(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    (world / "plugins").mkdir()
    (world / "plugins" / "mine.py").write_text(
        "import click\nfrom rfsn_core.contract.hooks import hookimpl\n\n"
        "@click.command()\ndef hey():\n    '''Say hey.'''\n    click.echo('hey there')\n\n"
        "@click.command()\ndef serve():\n    click.echo('mine')\n\n"
        "@hookimpl\ndef rfsn_commands():\n    return [hey, serve]\n",
        "utf-8",
    )
    assert rfsn("hey", cwd=world).stdout == "hey there\n"
    listed = rfsn("--help", cwd=world)
    assert "Say hey." in listed.stdout
    assert "plugin mine.py (file) offers a command 'serve', which there is already" in listed.stderr
