"""A world on disk: what is right, and where what is wrong is."""

from __future__ import annotations

from pathlib import Path

import pytest

from rfsn_core.cli.options import example_world
from rfsn_core.contract.errors import UnknownNpc, WorldError
from rfsn_core.testing import make_world
from rfsn_core.world.actions import STYLES, Actions
from rfsn_core.world.files import read_world


def test_the_example_world_is_right_and_complete() -> None:
    world = read_world(example_world(), Actions())
    assert set(world.npcs) == {"innkeeper", "sergeant", "ferryman", "peddler", "healer"}
    assert len(world.lore) == 2
    for npc in world.npcs.values():
        assert npc.file.title
        assert npc.file.persona
        assert npc.file.fallback
        assert len(npc.file.knows) >= 4
        assert set(npc.file.styles) <= set(STYLES)
        assert npc.initial.violations() == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "name: Field required"),
        ('name = ""', "name: String should have at least 1 character"),
        ('name = " "', "name: String should match pattern"),
        ('name = "S"\nnmae = 1', "nmae: Extra inputs are not permitted"),
        ('name = "S"\n[state]\ntrust = 7', "state.trust: Input should be less than or equal to 1"),
        ('name = "S"\n[voice]\nrate = 0', "voice.rate: Input should be greater than or equal to 0.25"),
        ('name = "S"\n[lines]\ndance = ["x"]', "lines.dance: no such action"),
        ('name = "S"\n[actions]\ndance = 1', "actions.dance: no such action"),
        ('name = "S"\n[lines]\ngreet = ["{% for %}"]', "lines.greet: line 1: broken template"),
        ('name = "S"\n[lines.greet]\nterse_direct = ["{{"]', "lines.greet.terse_direct: line 1: broken template"),
        ("name = 'S", "not valid TOML"),
    ],
)
def test_a_broken_npc_file_is_told_by_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    make_world(tmp_path, npcs={"good": 'name = "G"', "bad": text})
    with pytest.raises(WorldError) as refused:
        read_world(tmp_path, Actions())
    assert str(refused.value).startswith(str(tmp_path / "npcs" / "bad.toml"))
    assert says in str(refused.value)


def test_every_broken_file_is_told_at_once(tmp_path: Path) -> None:
    make_world(tmp_path, npcs={"a": "x", "b": "name = 1"})
    for folder in ("lines", "prompts"):
        (tmp_path / folder).mkdir()
    (tmp_path / "lines" / "all.toml").write_text('[lines]\ngreet = ["{{"]', "utf-8")
    (tmp_path / "prompts" / "turn.j2").write_text("{% endif %}", "utf-8")
    (tmp_path / "npcs" / "c.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(WorldError) as refused:
        read_world(tmp_path, Actions())
    told = str(refused.value)
    assert all(name in told for name in ("a.toml", "b.toml", "c.toml", "all.toml", "turn.j2"))


@pytest.mark.parametrize("made", ["nothing", "an empty npcs folder"])
def test_a_folder_that_is_no_world_is_refused(tmp_path: Path, made: str) -> None:
    if made != "nothing":
        (tmp_path / "npcs").mkdir()
    with pytest.raises(WorldError, match="npcs"):
        read_world(tmp_path)


def test_npcs_are_found_by_id_and_by_name(tmp_path: Path) -> None:
    world = read_world(make_world(tmp_path))
    assert world.npc("smith") is world.npc("Berit") is world.npc("BERIT")
    with pytest.raises(UnknownNpc, match=r"no NPC 'x{60}…' in this world. There are: smith"):
        world.npc("x" * 1000)


def test_a_windows_editor_may_have_written_it(tmp_path: Path) -> None:
    make_world(tmp_path)
    (tmp_path / "npcs" / "smith.toml").write_bytes('\ufeffname = "Bérit"\r\n'.encode())
    assert read_world(tmp_path).npc("smith").name == "Bérit"
