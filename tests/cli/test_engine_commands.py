from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rfsn_core.cli import main
from rfsn_core.testing import make_world
from rfsn_core.testing.engine import StandIn
from rfsn_core.testing.process import Server


def rfsn(world: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--world", str(world)])


def ollama(folder: Path, url: str, model: str = "tiny") -> Path:
    text = f'[rendering]\nprovider = "ollama"\nollama.url = "{url}"\nollama.model = "{model}"\nollama.preload = false\n'
    return make_world(folder, text)


def test_the_doctor_finds_no_problem(tmp_path: Path) -> None:
    with StandIn() as engine:
        answer = rfsn(ollama(tmp_path, engine.url), "doctor")
    assert answer.exit_code == 0, answer.output
    assert "rendering, ollama: Ollama 0.5.0" in answer.output
    assert "wrong" not in answer.output


def test_the_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    with StandIn() as engine:
        answer = rfsn(ollama(tmp_path / "a", engine.url, "llama9"), "doctor")
        assert answer.exit_code == 2
        assert "ollama pull llama9" in answer.output
        url = engine.url
    answer = rfsn(ollama(tmp_path / "b", url), "doctor")
    assert answer.exit_code == 2
    assert "ollama serve" in answer.output
    assert "storage, sqlite: opens" in answer.output  # it continues after the first problem


def test_the_doctor_names_a_missing_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for provider, variable in (("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")):
        monkeypatch.delenv(variable, raising=False)
        answer = rfsn(make_world(tmp_path / provider, f'[rendering]\nprovider = "{provider}"\n'), "doctor")
        assert answer.exit_code == 2
        assert variable in answer.output


def test_keys_are_not_shown(tmp_path: Path) -> None:
    world = make_world(tmp_path, '[rendering]\nprovider = "openai"\nopenai.key = "s3cret"\n[server]\nkey = "s3cret"\n')
    answer = rfsn(world, "config", "show")
    assert answer.exit_code == 0
    assert "s3cret" not in answer.output
    assert answer.output.count("(set)") == 2
    shared = '[rendering]\nprovider = "vllm"\nvllm.adapters.redis = "redis://me:s3cret@127.0.0.1"\n'
    assert "redis://me:******@127.0.0.1" in rfsn(make_world(tmp_path / "b", shared), "config", "show").output


def test_models_are_listed(tmp_path: Path) -> None:
    with StandIn(models=["tiny", "large"]) as engine:
        world = ollama(tmp_path, engine.url)
        assert rfsn(world, "models").output.split() == ["tiny", "large"]
        assert rfsn(world, "models", "ollama").output.split() == ["tiny", "large"]
        wrong = rfsn(world, "models", "nonsense")
    assert wrong.exit_code == 2
    assert "do not choose 'nonsense'" in wrong.output
    assert "has no models" in rfsn(make_world(tmp_path / "plain"), "models").output


def test_voices_are_listed(tmp_path: Path) -> None:
    world = make_world(tmp_path, '[speech]\nprovider = "espeak"\n')
    assert "en-US" in rfsn(world, "voices").output.split()
    assert "'silent' has no voices" in rfsn(world, "voices", "silent").output


def test_a_prompt_is_shown_and_nothing_happens(tmp_path: Path) -> None:
    world = make_world(tmp_path, '[rendering]\nprovider = "openai"\n')  # it needs no key to be shown
    answer = rfsn(world, "prompt", "smith", "Where is the <ferry>?")
    assert answer.exit_code == 0, answer.output
    assert "You are Berit, smith." in answer.output
    assert "Where is the ‹ferry›?" in answer.output
    as_json = json.loads(rfsn(world, "prompt", "smith", "Hello!", "--json").output)
    assert [message["role"] for message in as_json["messages"]] == ["system", "user"]
    assert as_json["tokens"] > 0
    assert not list((world / ".rfsn" / "learning").glob("decisions*.jsonl"))
    assert rfsn(world, "prompt", "nobody", "Hello!").exit_code == 2
    assert rfsn(world, "prompt", "smith", " ").exit_code == 2


def test_adapters_need_a_running_server(tmp_path: Path) -> None:
    answer = CliRunner().invoke(main, ["adapters", "--url", "http://127.0.0.1:9"])
    assert answer.exit_code == 1
    assert "rfsn serve" in answer.output


def test_beside_a_server_that_runs(tmp_path: Path, serve: Callable[..., Server]) -> None:
    world = make_world(tmp_path / "world")
    serve(world=world, RFSN_DATA_DIR=".rfsn")
    doctor = rfsn(world, "doctor")
    assert doctor.exit_code == 0, doctor.output
    assert "in use by a running server" in doctor.output
    prompt = rfsn(world, "prompt", "smith", "Hello!")
    assert prompt.exit_code == 2
    assert "POST /api/prompt" in prompt.output


def test_signal_shows_how_a_line_is_understood(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    (tmp_path / "signals.toml").write_text('[examples]\ngreet = ["Still waters, friend"]\n')
    shown = rfsn(world, "signal", "how much for Berit's rope?").output
    assert shown.startswith("question, ")
    assert "question:     how much" in shown
    assert "Berit (npc)" in shown
    assert "by the world's signals.toml" in rfsn(world, "signal", "still waters, friend!").output
    assert json.loads(rfsn(world, "signal", "bye", "--json").output)["signal"] == "farewell"
    (tmp_path / "signals.toml").write_text('[examples]\ngret = ["x"]\n')
    refused = rfsn(world, "signal", "bye")
    assert refused.exit_code == 2
    assert "signals.toml, line 2: examples.gret: no such signal" in refused.output
