"""`rfsn setup`, against engines that really listen."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from rfsn_core.cli import machine, main
from rfsn_core.testing.engine import Fault, StandIn
from rfsn_core.testing.isolated import make_world


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look only where a test says: this machine may have engines of its own."""
    monkeypatch.setattr(machine, "ENGINES", ())


def rfsn(world: Path, *options: str) -> str:
    return CliRunner().invoke(main, ["setup", "--world", str(world), *options], catch_exceptions=False).output


@pytest.mark.parametrize(("path", "provider"), [("", "ollama"), ("/v1", "vllm")])
def test_an_engine_is_found_tried_and_written_into_the_settings(tmp_path: Path, path: str, provider: str) -> None:
    world = make_world(tmp_path)
    with StandIn(["Good ", "evening."], models=["nomic-embed-text", "tiny"]) as engine:
        text = rfsn(world, "--at", engine.url + path)
        assert "tiny: “Good evening.”" in text
        settings = tomllib.loads((world / "rfsn.toml").read_text("utf-8"))
        assert settings["rendering"] == {
            "provider": provider, provider: {"model": "tiny", "url": engine.url + path},
        }  # fmt: skip
        assert settings["speech"] == {"provider": "espeak"}
        again = rfsn(world, "--at", engine.url + path)
        assert "has [rendering] already" in again
        assert 'model = "tiny"' in again


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    with StandIn(["Good evening."], models=["tiny"]) as engine:
        assert 'model = "tiny"' in rfsn(world, "--at", engine.url, "--dry-run")
    assert not (world / "rfsn.toml").exists()


def test_an_engine_that_does_not_answer_is_passed_over(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    with StandIn(["Hm."], models=["broken"]) as bad, StandIn(["Hello."], models=["good"]) as good:
        bad.faults += [Fault("refuse", status=500)] * 5
        text = rfsn(world, "--at", bad.url, "--at", good.url, "--at", "http://127.0.0.1:9")
        assert "broken: does not answer" in text
        settings = tomllib.loads((world / "rfsn.toml").read_text("utf-8"))
        assert settings["rendering"]["ollama"]["model"] == "good"


def test_other_settings_stay_as_they_are(tmp_path: Path) -> None:
    world = make_world(tmp_path, "# mine\n[world]\nseed = 3\n")
    rfsn(world)
    text = (world / "rfsn.toml").read_text("utf-8")
    assert text.startswith("# mine\n[world]\nseed = 3\n\n[speech]")
