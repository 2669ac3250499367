"""Files of JSON lines: what a crash or a full disk leaves, and what is read of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rfsn_core.kit.jsonl import JsonLines


def lines(file: JsonLines) -> list[bytes]:
    return [line.data for line in file.read()]


@pytest.fixture
def file(tmp_path: Path) -> JsonLines:
    return JsonLines(tmp_path / "new" / "file.jsonl", sync=True)


def test_a_file_that_does_not_exist_has_no_lines(file: JsonLines) -> None:
    assert lines(file) == []
    assert file.size == 0
    file.clear()
    file.delete()
    assert not file.path.parent.exists()


def test_lines_are_read_from_an_offset_and_up_to_a_limit(file: JsonLines) -> None:
    assert file.append(b"1\n22\n") == 0
    assert file.append(b"333\n") == 5
    assert list(file.read(2)) == [(2, 5, b"22\n"), (5, 9, b"333\n")]
    assert list(file.read(2, 1)) == [(2, 5, b"22\n")]
    assert file.size == 9
    file.close()


@pytest.mark.parametrize("half", [b'{"torn', b"x" * 200_000])
def test_half_a_line_is_not_read_and_removed_by_the_next_append(file: JsonLines, half: bytes) -> None:
    file.append(b"1\n")
    file.close()
    with file.path.open("ab") as torn:
        torn.write(half)
    assert lines(file) == [b"1\n"]
    assert file.append(b"2\n") == 2
    file.close()
    assert file.path.read_bytes() == b"1\n2\n"


def test_a_file_that_is_only_half_a_line_is_emptied_by_an_append(file: JsonLines) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(b"torn")
    assert file.append(b"1\n") == 0
    file.close()
    assert file.path.read_bytes() == b"1\n"


def test_a_line_of_another_kind_is_left_out(file: JsonLines) -> None:
    file.append(b"1\nnonsense\n2\n")
    file.close()
    assert [record for _, record in file.records(int)] == [1, 2]


def test_an_append_that_fails_leaves_none_of_its_lines(file: JsonLines, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    file.append(b"1\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            file.append(b"2\n3\n")
    assert lines(file) == [b"1\n"]
    file.append(b"4\n")
    file.close()
    assert lines(file) == [b"1\n", b"4\n"]


def test_a_file_can_be_rewritten_renamed_cleared_and_deleted_between_appends(file: JsonLines) -> None:
    older = file.path.with_name("older.jsonl")
    file.append(b"1\n2\n")
    file.rewrite([b"2\n"])
    file.append(b"3\n")
    assert lines(file) == [b"2\n", b"3\n"]
    file.rename(older)
    assert file.append(b"4\n") == 0
    assert older.read_bytes() == b"2\n3\n"
    file.clear()
    assert file.append(b"5\n") == 0
    assert lines(file) == [b"5\n"]
    file.delete()
    assert not file.path.exists()
    file.append(b"6\n")
    assert lines(file) == [b"6\n"]
    file.close()
