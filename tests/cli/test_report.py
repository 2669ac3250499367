"""`rfsn report`: what helps, and nothing that is nobody's business."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from rfsn_core.testing import make_world


def test_a_report_holds_versions_and_decisions_and_neither_keys_nor_words(
    rfsn: Callable[..., Result], tmp_path: Path
) -> None:
    settings = (
        '[server]\nkey = "a-long-key"\n[speech]\nprovider = "silent"\n[rendering.vllm]\nkey = "another-long-key"\n'
    )
    world = make_world(tmp_path / "w", settings)
    rfsn("say", "smith", "My secret word is pomegranate", "--player", "Aldric", "--world", world)
    told = rfsn("report", "--world", world, "--output", tmp_path / "r.zip")
    assert told.exit_code == 0, told.output
    archive = zipfile.ZipFile(tmp_path / "r.zip")
    texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "rfsn-core" in texts["versions.txt"]
    assert json.loads(texts["settings.json"])["server"]["key"] == "(set)"
    (line,) = texts["decisions.jsonl"].splitlines()
    assert json.loads(line)["npc"] == "smith"
    assert "npcs/smith.toml" in texts["world.txt"]
    for hidden in ("a-long-key", "another-long-key", "pomegranate", "Aldric"):
        assert not [name for name, text in texts.items() if hidden in text], hidden


def test_a_world_that_is_broken_has_a_report_too(rfsn: Callable[..., Result], tmp_path: Path) -> None:
    world = make_world(tmp_path / "w", '[speech]\nprovider = "nothing"\n')
    told = rfsn("report", "--world", world, "--output", tmp_path / "r.zip")
    assert told.exit_code == 0, told.output
    assert "nothing" in zipfile.ZipFile(tmp_path / "r.zip").read("check.txt").decode()
