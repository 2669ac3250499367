from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rfsn_core.kit import list_backups, new_backup, prune_backups


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the year."""
    return lambda year: monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((year, 1, 1, 0, 0, 0, 0, 1, 0)))


def test_a_clock_that_is_set_back_changes_no_order(tmp_path: Path, clock: Callable[[int], None]) -> None:
    made: list[str] = []
    for year in (1970, 2026, 2036, *[2026] * 12, 2037):
        clock(year)
        path = new_backup(tmp_path, "", ".db")
        path.write_text(str(len(made)))
        made.append(path.name)
        prune_backups(tmp_path, "*.db", 10)
        assert path.exists()
    assert len(set(made)) == len(made)
    assert [backup.name for backup in list_backups(tmp_path, "*.db")] == made[:-11:-1]


def test_files_with_other_names_are_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "before-the-update.db").touch()
    for _ in range(3):
        new_backup(tmp_path, "", ".db").touch()
    prune_backups(tmp_path, "*.db", 1)
    assert len(list(tmp_path.iterdir())) == 2
    assert (tmp_path / "before-the-update.db").exists()
