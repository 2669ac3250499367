from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from rfsn_core.cli import main
from rfsn_core.protocol import Introduce
from rfsn_core.testing.isolated import make_world
from rfsn_core.world.files import read_world
from rfsn_core.world.guests import Guests


def rfsn(*arguments: str) -> str:
    ran = CliRunner().invoke(main, arguments, catch_exceptions=False)
    return ran.output


@pytest.fixture
def world(tmp_path: Path) -> Path:
    make_world(tmp_path, 'data_dir = "data"\n')
    said = Introduce(npc="0x1A", name='Hrolf "the Red"', race="Nord", place="Helgen", persona="You\nlaugh a lot.")
    Guests(tmp_path / "data" / "guests").introduce((), said)
    return tmp_path


def test_a_guest_is_listed_and_promoted_to_a_file(world: Path) -> None:
    listed = rfsn("npc", "list", "--world", str(world))
    npc_id = listed.split()[0]
    assert 'Hrolf "the Red"  (Nord, Helgen)' in listed
    assert "wrote" in rfsn("npc", "promote", npc_id, "--world", str(world))
    npc = read_world(world).npc(npc_id)
    assert (npc.name, npc.file.title, npc.file.persona) == ('Hrolf "the Red"', "Nord", "You\nlaugh a lot.")
    assert "introduced none" in rfsn("npc", "list", "--world", str(world))


def test_an_unknown_guest_is_an_error_that_lists_them(world: Path) -> None:
    assert "There are: 0x1a_" in rfsn("npc", "promote", "nobody", "--world", str(world))
