"""Memory that has disappeared is not replaced by an empty one in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rfsn_core.testing import kernel, make_world, turn


@pytest.mark.parametrize("how", ["emptied", "deleted"])
async def test_an_empty_database_next_to_logged_decisions_is_reported_with_the_backups(
    tmp_path: Path, how: str
) -> None:
    make_world(tmp_path)
    settings = {"rendering": {"provider": "scripted"}}
    with capture_logs() as logs:
        async with kernel(tmp_path, settings=settings) as running:
            await turn(running)
            await running.maintenance.backup()
    assert [entry for entry in logs if entry["event"] == "store.empty"] == []
    file = tmp_path / ".rfsn" / "memory.db"
    file.write_bytes(b"") if how == "emptied" else file.unlink()
    with capture_logs() as logs:
        async with kernel(tmp_path, settings=settings) as running:
            await turn(running)
    (warning,) = [entry for entry in logs if entry["event"] == "store.empty"]
    assert warning["file"] == str(file)
    assert len(warning["backups"]) == 1
    assert "rfsn memory restore" in warning["hint"]


async def test_a_note_of_the_store_that_is_no_text_does_not_stop_the_server(tmp_path: Path) -> None:
    make_world(tmp_path)
    (tmp_path / ".rfsn").mkdir()
    (tmp_path / ".rfsn" / "store").write_bytes(b"\xff\xfe\x00")
    async with kernel(tmp_path) as running:
        await turn(running)
    assert (tmp_path / ".rfsn" / "store").read_text("utf-8") == "sqlite\n"
