"""Every command, given paths and files that are wrong: one line or click's usage error, exit code 2, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Rfsn = Callable[..., Result]
FILES = {
    "empty": b"",
    "binary": bytes(range(256)) * 20,
    "list": b"[]\n",
    "deep": b"[" * 100_000,
}
COMMANDS = [
    ["say", "innkeeper", "Hi", "--state", "FILE"],
    ["say", "innkeeper", "Hi", "--config", "FILE"],
    ["say", "innkeeper", "Hi", "--wav", "missing/folder/x.wav"],
    ["say", "innkeeper", "Hi", "--world", "FILE"],
    ["prompt", "innkeeper", "Hi", "--state", "FILE"],
    ["config", "check", "--config", "FILE"],
    ["config", "show", "--config", "FILE"],
    ["doctor", "--config", "FILE"],
    ["init", "FILE"],
    ["memory", "import", "FILE"],
    ["memory", "export", "missing/folder/x"],
    ["memory", "show", "innkeeper", "--world", "FILE"],
    ["episode", "innkeeper", "--turns", "1", "--script", "FILE", "--out", "out"],
    ["episode", "innkeeper", "--turns", "1", "--out", "FILE"],
    ["episode", "innkeeper", "--turns", "1", "--out", "FILE/out"],
    ["episode", "compare", "FILE", "FILE"],
    ["evaluate", "FILE"],
    ["evaluate", "log", "--json"],
    ["decision", "x", "--log", "log"],
    ["replay", "--log", "log"],
    ["replay", "--log", "FILE"],
    ["plugins", "--world", "FILE"],
    ["exam", "compare", "FILE", "FILE"],
    ["dataset", "--consent", "FILE", "--out", "out"],
    ["setup", "--world", "FILE"],
    ["serve", "--config", "FILE", "--host", "0.0.0.0"],
]
VALUES = [
    ["exam", "run", "--arm", "a:rendering=1,rendering.provider=x"],
    ["report", "--output", "missing/folder/x.zip"],
    ["keys", "create", "--name", "x", "--days", "nan"],
    ["keys", "create", "--name", " "],
    ["what-if", "innkeeper", "Hi", "--affinity", "nan"],
    ["new", "npc", " "],
    ["gate", "review", "--status", "silly"],
    ["gate", "test", "BINARY"],
]


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_wrong_file_is_a_mistake_and_no_traceback(rfsn: Rfsn, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "given"
    file.write_bytes(content)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "000000000001.jsonl").write_bytes(content)
    commands = [[argument.replace("FILE", str(file)) for argument in command] for command in COMMANDS]
    assert _faults(rfsn, commands) == []


def test_a_folder_where_a_file_should_be_is_a_mistake(rfsn: Rfsn, tmp_path: Path) -> None:
    for command in COMMANDS:
        if "FILE" in command and "--world" not in command and "--out" not in command and command[0] != "init":
            result = rfsn(*(argument.replace("FILE", str(tmp_path)) for argument in command))
            assert result.exit_code == 2, (command, result.output)
            assert result.stderr.strip()


def test_a_broken_address_of_a_server_is_not_asked(rfsn: Rfsn, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for content in (b"", b"\xff\xfe", b"nonsense\n", b"http://[::1\n", b"http://127.0.0.1:1\n"):
        (tmp_path / "data" / "address").write_bytes(content)
        assert rfsn("memory", "show", "innkeeper").exit_code == 0


def test_a_wrong_value_is_a_mistake_and_no_traceback(rfsn: Rfsn, tmp_path: Path) -> None:
    file = tmp_path / "given"
    file.write_bytes(FILES["binary"])
    commands = [[argument.replace("BINARY", str(file)) for argument in command] for command in VALUES]
    assert _faults(rfsn, commands, codes=(2,)) == []


def _faults(rfsn: Rfsn, commands: list[list[str]], codes: tuple[int, ...] = (0, 2)) -> list[str]:
    """Run commands; return those that break, or that fail without a word."""
    wrong: list[str] = []
    for command in commands:
        try:
            result = rfsn(*command)
        except Exception as error:  # noqa: BLE001  whatever the command let through
            wrong.append(f"{command}: {type(error).__name__}: {str(error)[:200]}")
            continue
        if result.exit_code not in codes or bool(result.exit_code) != bool(result.stderr.strip()):
            wrong.append(f"{command}: {result.exit_code}, {result.output[-200:]}")
    return wrong
