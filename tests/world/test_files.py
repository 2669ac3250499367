"""A world on disk: what is right, and where what is wrong is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rfsn_core.contract.errors import UnknownNpc, WorldError
from rfsn_core.kit.documents import Document, read_document
from rfsn_core.settings.folders import example_world
from rfsn_core.testing import make_world
from rfsn_core.world.actions import STYLES, Actions
from rfsn_core.world.files import read_world


def test_the_example_world_is_right_and_complete() -> None:
    world = read_world(example_world(), Actions())
    assert list(world.npcs) == ["innkeeper", "ferryman", "healer", "peddler", "sergeant"], "`order`, then by file"
    assert len(world.lore) >= 5
    assert world.examples
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
        ("", "name: is required"),
        ('name = ""', "name: String should have at least 1 character"),
        ('name = " "', "name: String should match pattern"),
        ('name = "S"\nnmae = 1', "line 2: nmae: no such setting; did you mean 'name'?"),
        ('name = "S"\n[state]\ntrust = 7', "line 3: state.trust: Input should be less than or equal to 1"),
        ('name = "S"\n[voice]\nrate = 0', "line 3: voice.rate: Input should be greater than or equal to 0.25"),
        ('name = "S"\n[lines]\ndance = ["x"]', "line 3: lines.dance: no such action"),
        ('name = "S"\n[lines]\ngret = "x"', "line 3: lines.gret: no such action; did you mean 'greet'?"),
        ('name = "S"\n[lines.greet]\nterse = ["x"]', "line 3: lines.greet.terse: no such style or signal; there are:"),
        ('name = "S"\n[lines.greet]\nwarm_freindly = 5', "line 3: lines.greet.warm_freindly: Input should be a valid"),
        ('name = "S"\n[lines]\ngreet = 5', "line 3: lines.greet: Input should be a valid list"),
        (
            'name = "S"\n[styles]\nwarm_freindly = 0.1',
            "styles.warm_freindly: no such style; did you mean 'warm_friendly'?",
        ),
        ('name = "S"\n[styles]\nwarm_friendly = 50', "line 3: styles.warm_friendly: Input should be less than"),
        (
            'name = "S"\n[lines]\ngreet = [\n  "Hello.",\n  "Hello, {{ plyer }}."\n]',
            "line 5: lines.greet: no variable 'plyer' in scripted lines; did you mean 'player'?",
        ),
        ('name = "S"\n[lines]\ngreet = "{{ state.trst }}"', "the state has no 'trst'; did you mean 'trust'?"),
        ('name = "S"\n[actions]\ndance = 1', "actions.dance: no such action"),
        ('name = "S"\n[lines]\ngreet = ["{% for %}"]', "line 3: lines.greet: broken template"),
        ('name = "S"\n[lines.greet]\nterse_direct = ["{{"]', "line 3: lines.greet.terse_direct: broken template"),
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


def test_a_line_may_be_a_single_text_with_conditions(tmp_path: Path) -> None:
    line = "{% if state.turns > 2 %}{{ player | upper }}{% else %}Stranger{% endif %}"
    text = f'name = "S"\nknows = "Iron rusts."\n[lines]\ngreet = "{line}"'
    make_world(tmp_path, npcs={"smith": text})
    file = read_world(tmp_path, Actions()).npc("smith").file
    assert [fact.text for fact in file.knows] == ["Iron rusts."]
    assert file.lines == {"greet": [line]}


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("npcs/mayor.toml.txt", "is not read; call it 'mayor.toml'"),
        ("npcs/mayor.yaml", "is not read; write it as TOML, in 'mayor.toml'"),
        ("npcs/guards/mayor.toml", "folders inside 'npcs' are not read; move its files up"),
        ("lore/old.txt", "is not read; call it 'old.md'"),
        ("lore/old.md.txt", "is not read; call it 'old.md'"),
        ("lines/all.toml.txt", "is not read; call it 'all.toml'"),
        ("prompts/turn.j2.txt", "is not read; call it 'turn.j2'"),
    ],
)
def test_a_file_that_is_not_read_is_told_with_its_right_name(tmp_path: Path, name: str, warning: str) -> None:
    make_world(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text('name = "Mayor"', "utf-8")
    (told,) = read_world(tmp_path, Actions()).warnings
    assert told.startswith(str(tmp_path / name.split("/")[0]))
    assert told.endswith(warning)


def test_an_editors_own_files_are_not_npcs(tmp_path: Path) -> None:
    make_world(tmp_path)
    for name in (".#smith.toml", "._smith.toml"):
        (tmp_path / "npcs" / name).write_bytes(b"\0\0")
    (tmp_path / "npcs" / "Baker.TOML").write_text('name = "Baker"', "utf-8")
    world = read_world(tmp_path, Actions())
    assert set(world.npcs) == {"smith", "Baker"}
    assert world.warnings == ()


def test_two_npcs_of_one_name_are_told_with_both_ids(tmp_path: Path) -> None:
    npcs = {"guard_a": 'name = "Town Guard"', "guard_b": 'name = "town guard "', "smith": 'name = "Guard_A"'}
    world = read_world(make_world(tmp_path, npcs=npcs), Actions())
    assert [line.partition(";")[0] for line in world.warnings] == [
        "2 NPCs are called 'Town Guard': 'guard_a', 'guard_b'",
        "2 NPCs are called 'Town Guard': 'guard_a', 'smith'",
    ]
    assert world.npc("Town Guard").id == "guard_a"
    assert world.npc("GUARD_A").id == "guard_a"


def test_ids_compare_without_case(tmp_path: Path) -> None:
    world = read_world(make_world(tmp_path, npcs={"Rosa": 'name = "R"', "Wächter Öl": 'name = "W"'}), Actions())
    assert world.npc("rosa").id == world.npc("ROSA").id == "Rosa"
    assert world.npc("wa\u0308chter ÖL").id == "Wächter Öl"


@pytest.mark.parametrize("folder", ["npcs/x.toml", "lore/x.md", "lines/x.toml", "prompts/turn.j2"])
@pytest.mark.parametrize(
    ("encoding", "says"),
    [
        ("utf-16", "is saved as UTF-16; save it as UTF-8"),
        ("utf-16-le", "is saved as UTF-16; save it as UTF-8"),
        ("utf-32", "is saved as UTF-32; save it as UTF-8"),
        ("cp1252", "is not UTF-8 (byte 0xd6), probably saved as ANSI (Windows-1252); save it as UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, folder: str, encoding: str, says: str) -> None:
    make_world(tmp_path)
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    (tmp_path / folder).write_bytes('name = "Öl"\n'.encode(encoding))
    with pytest.raises(WorldError) as refused:
        read_world(tmp_path, Actions())
    assert str(refused.value).startswith(str(tmp_path / folder))
    assert says in str(refused.value)


def test_only_files_that_changed_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_world(
        tmp_path, npcs={f"n{number}": f'name = "N {number}"\nknows = ["Fact {number}."]\n' for number in range(5)}
    )
    for file in (tmp_path / "npcs").iterdir():
        os.utime(file, (1, 1))
    parsed: list[str] = []

    def counting(file: Path) -> Document:
        parsed.append(file.name)
        return read_document(file)

    monkeypatch.setattr("rfsn_core.world.files.read_document", counting)
    first = read_world(tmp_path, Actions())
    assert len(parsed) == len(first.npcs)
    parsed.clear()
    (tmp_path / "npcs" / "n2.toml").write_text('name = "Changed"\nknows = ["Fact 2."]\n', "utf-8")
    (tmp_path / "npcs" / "n3.toml").unlink()
    second = read_world(tmp_path, Actions(), previous=first)
    assert parsed == ["n2.toml"]
    assert second.npcs["n2"].name == "Changed"
    assert second.npcs["n1"] is first.npcs["n1"]
    assert "n3" not in second.npcs
    assert second.npc("changed").id == "n2"
    parsed.clear()
    (tmp_path / "npcs" / "n2.toml").write_text('name = "Changes"\nknows = ["Fact 2."]\n', "utf-8")  # of the same length
    assert read_world(tmp_path, Actions(), previous=second).npcs["n2"].name == "Changes"
    assert parsed == ["n2.toml"]
    parsed.clear()
    read_world(tmp_path, Actions(), previous=first, language="de")
    assert len(parsed) == len(second.npcs)
