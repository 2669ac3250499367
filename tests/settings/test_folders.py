"""Where the server writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from rfsn_core.cli import main
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings import folders
from rfsn_core.settings.folders import data_folder, example_world
from rfsn_core.settings.schema import Settings
from rfsn_core.testing import make_world


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the user's data."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setattr("sys.platform", "linux")
    return tmp_path / "user" / "rfsn"


def test_a_world_keeps_its_data_inside(tmp_path: Path, user: Path) -> None:
    world = make_world(tmp_path / "world")
    assert data_folder(world, Settings()) == folders.DataFolder(world / ".rfsn")


def test_a_world_that_cannot_be_written_to_has_its_own_folder_among_the_users_data(tmp_path: Path, user: Path) -> None:
    one, two = (make_world(tmp_path / name / "world") for name in "ab")
    found = [data_folder(world, Settings(), writable=lambda folder: False) for world in (one, two)]
    assert {place.path.parent for place in found} == {user}
    assert found[0].path != found[1].path
    assert all(place.path.name.startswith("world-") for place in found)
    assert found[0].reason == "the world's folder is read-only"


def test_a_data_folder_in_a_read_only_world_is_used_when_it_is_writable(tmp_path: Path, user: Path) -> None:
    world = make_world(tmp_path / "world")
    (world / ".rfsn").mkdir()
    assert data_folder(world, Settings(), writable=lambda folder: folder.name == ".rfsn").path == world / ".rfsn"


def test_what_is_set_wins(tmp_path: Path, user: Path) -> None:
    world = make_world(tmp_path / "world")
    for data_dir, path in ((str(tmp_path / "data"), tmp_path / "data"), ("mine", world / "mine")):
        found = data_folder(world, Settings(data_dir=data_dir), writable=lambda folder: False)
        assert found == folders.DataFolder(path)
    assert data_folder(example_world(), Settings(data_dir=".rfsn")).path == example_world() / ".rfsn"


@pytest.mark.parametrize(
    ("platform", "variable", "parts"),
    [
        ("win32", "LOCALAPPDATA", ("rfsn",)),
        ("darwin", "HOME", ("Library", "Application Support", "rfsn")),
        ("linux", "HOME", (".local", "share", "rfsn")),
    ],
)
def test_the_users_folder_is_the_systems_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, parts: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert folders.user_data_folder() == tmp_path.joinpath(*parts)


def test_the_example_worlds_data_is_the_users(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFSN_PLUGINS", "")
    result = CliRunner().invoke(main, ["say", "innkeeper", "Good evening!"])
    assert result.exit_code == 0, result.output
    assert (user / "lantern_ford" / "memory.db").exists()


async def test_a_read_only_world_runs(tmp_path: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(tmp_path / "world")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    runtimes = Runtimes(world, discover(installed=False))
    await runtimes.start()
    await runtimes.close()
    assert not (world / ".rfsn").exists()
    assert runtimes.data_dir.parent == user
    assert (runtimes.data_dir / "memory.db").exists()
