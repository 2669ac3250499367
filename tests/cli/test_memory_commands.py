"""`rfsn memory` gives the same answers with and without a running server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from rfsn_core.cli import main
from rfsn_core.testing import make_world
from rfsn_core.testing.process import Server

Run = Callable[..., str]


def runner(world: Path) -> Run:
    def rfsn(*arguments: str, code: int = 0) -> str:
        ran = CliRunner().invoke(main, [*arguments, "--world", str(world)], env={"COLUMNS": "200"})
        assert ran.exit_code == code, ran.output
        assert "Traceback" not in ran.output
        return ran.output

    return rfsn


@pytest.fixture(params=["alone", "with a running server"])
def rfsn(request: pytest.FixtureRequest, tmp_path: Path, serve: Callable[..., Server]) -> Run:
    world = make_world(tmp_path / "world")
    run = runner(world)
    run("say", "smith", "My name is Aldric. I love plums.")
    if request.param != "alone":
        serve(world=world, RFSN_DATA_DIR=str(world / ".rfsn"))
    return run


def test_a_modder_sees_what_an_npc_knows_and_judges_it(rfsn: Run) -> None:
    shown = rfsn("memory", "show", "smith")
    assert "The player likes plums." in shown
    assert "player, preference" in shown
    assert "My name is Aldric. I love plums." in rfsn("memory", "search", "smith", "plums")
    assert rfsn("memory", "search", "smith", "dragons").strip() == "Nothing found."
    added = rfsn("memory", "tell", "smith", "The player limps.")
    assert added.strip().endswith("active")
    memory_id = added.split(":")[0]
    rfsn("memory", "judge", "smith", memory_id, "quarantined", "--reason", "hearsay")
    known = json.loads(rfsn("memory", "show", "smith", "--json"))
    (limps,) = [memory for memory in known["memories"] if memory["memory_id"] == memory_id]
    assert (limps["status"], limps["reason"]) == ("quarantined", "hearsay")
    assert "quarantined: hearsay" in rfsn("memory", "show", "smith")
    assert "turns: 1" in rfsn("memory", "stats", "smith")
    assert "They have not met." in rfsn("memory", "show", "smith", "--player", "nobody")


def test_saves_backups_and_erasing(rfsn: Run, tmp_path: Path) -> None:
    assert "default: early, 1 turns" in rfsn("memory", "snapshot", "early")
    rfsn("memory", "tell", "smith", "The player limps.")
    assert "1 turns" in rfsn("memory", "rollback", "early")
    assert "limps" not in rfsn("memory", "show", "smith")
    assert "early" in rfsn("memory", "snapshots")
    assert rfsn("memory", "check").strip() == "No damage found."
    file = tmp_path / "out.ndjson"
    assert "1 turns" in rfsn("memory", "export", str(file), "--npc", "smith")
    name = rfsn("memory", "reset", "smith").strip().split()[-1]
    assert name in rfsn("memory", "backups")
    assert "They have not met." in rfsn("memory", "show", "smith")
    assert "1 turns" in rfsn("memory", "import", str(file))
    assert "plums" in rfsn("memory", "show", "smith")
    rfsn("memory", "restore", name)
    assert "1 turns" in rfsn("memory", "erase", "--player", "player", "--backups", "--yes")
    assert "They have not met." in rfsn("memory", "show", "smith")
    done = rfsn("memory", "stats", "smith")
    assert "1 turns were erased" in done
    assert "restored from" in done
    assert len(rfsn("memory", "backups", "--make").splitlines()) >= 3


MISTAKES = [
    (["show", "nobody"], "no NPC 'nobody'"),
    (["judge", "smith", "nothing", "active"], "has no memory 'nothing'"),
    (["rollback", "never"], "has no snapshot 'never'"),
    (["restore", "nothing.db"], "no backup 'nothing.db'"),
    (["restore", "../memory.db"], "no backup"),
    (["erase", "--yes"], "name a save, an NPC or a player"),
]


def test_what_is_refused_changes_nothing(rfsn: Run, tmp_path: Path) -> None:
    for arguments, message in MISTAKES:
        printed = rfsn("memory", *arguments, code=2)
        assert message in printed
        assert len(printed.strip().splitlines()) == 1
    (tmp_path / "odd.ndjson").write_bytes(b"PK\x03\x04 a zip, or what not")
    assert "line 1 is not a turn" in rfsn("memory", "import", str(tmp_path / "odd.ndjson"), code=2)
    assert "This cannot be undone" in rfsn("memory", "erase", "--player", "player", code=1)
    assert "plums" in rfsn("memory", "show", "smith")


def test_a_server_that_was_killed_is_not_asked(tmp_path: Path, serve: Callable[..., Server]) -> None:
    world = make_world(tmp_path / "world")
    server = serve(world=world, RFSN_DATA_DIR=str(world / ".rfsn"))
    server.kill()
    assert (world / ".rfsn" / "address").exists()
    assert "They have not met." in runner(world)("memory", "show", "smith")
