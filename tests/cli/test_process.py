"""`rfsn` as a process: exit codes, Ctrl+C, closed pipes, and consoles that lack characters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rfsn_core.testing.process import Server

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and shells")
RFSN = [sys.executable, "-m", "rfsn_core.cli"]


def start(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*RFSN, *arguments], cwd=tmp_path, capture_output=True, timeout=60, check=False,
        env={**os.environ, "RFSN_DATA_DIR": str(tmp_path / "data"), **environment},
    )  # fmt: skip


def test_a_mistake_ends_the_process_with_code_2_and_one_line(tmp_path: Path) -> None:
    done = start(tmp_path, "say", "nobody", "Hi")
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("rfsn: no NPC 'nobody'")


@pytest.mark.parametrize(
    "console",
    [{"PYTHONIOENCODING": "cp1252"}, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"}],
    ids=["cp1252", "LANG=C"],
)
def test_a_character_that_the_console_lacks_is_no_error(tmp_path: Path, console: dict[str, str]) -> None:
    done = start(tmp_path, "say", "innkeeper", "Hello \U0001f525 …", **console)
    assert (done.returncode, done.stderr) == (0, b"")
    assert start(tmp_path, "--help", **console).returncode == 0
    mistake = start(tmp_path, "s\u0151y\U0001f525", **console)
    assert mistake.returncode == 2
    assert b"No such command 's" in mistake.stderr


@posix
@pytest.mark.parametrize("arguments", ["--help", "say innkeeper Hello --json"])
def test_a_reader_that_closes_the_pipe_sees_no_error(tmp_path: Path, arguments: str) -> None:
    done = subprocess.run(
        f'"{sys.executable}" -m rfsn_core.cli {arguments} | true', shell=True, cwd=tmp_path, capture_output=True,
        timeout=60, check=False, env={**os.environ, "RFSN_DATA_DIR": str(tmp_path / "data")},
    )  # fmt: skip
    assert done.stderr == b""


@posix
@pytest.mark.parametrize("arguments", ["--help", "plugins"])
def test_a_closed_standard_output_is_no_traceback(tmp_path: Path, arguments: str) -> None:
    done = subprocess.run(
        f'"{sys.executable}" -m rfsn_core.cli {arguments} >&-', shell=True, cwd=tmp_path, capture_output=True,
        timeout=60, check=False, env={**os.environ, "RFSN_DATA_DIR": str(tmp_path / "data")},
    )  # fmt: skip
    assert b"Traceback" not in done.stderr


@posix
def test_ctrl_c_stops_the_server_with_code_0(serve: Callable[..., Server]) -> None:
    server = serve()
    assert any("web page:" in line for line in server.said)
    server.process.send_signal(signal.SIGINT)
    assert server.wait() == 0
    assert server.log.read_text("utf-8").splitlines()[-1] == "rfsn: stopped"


@posix
@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
def test_ctrl_c_ends_a_chat_that_waits_for_a_line(tmp_path: Path, terminal: bool) -> None:
    keyboard, screen = os.openpty() if terminal else os.pipe()[::-1]
    chat = subprocess.Popen(
        [*RFSN, "chat", "innkeeper", "--mute"], cwd=tmp_path, stdin=screen,
        stdout=screen if terminal else subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "RFSN_DATA_DIR": str(tmp_path / "data")},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip
    os.close(screen)
    shown = keyboard if chat.stdout is None else chat.stdout.fileno()
    try:
        os.write(keyboard, b"Good evening!\n")
        text = b""
        while b">" not in text.partition(b"trust")[2]:  # the second prompt
            text += os.read(shown, 1000)
        chat.send_signal(signal.SIGINT)
        _, stderr = chat.communicate(timeout=30)  # standard input is still open
        assert (chat.returncode, stderr.strip()) == (1, b"Aborted!")
    finally:
        chat.kill()
        chat.communicate()
        os.close(keyboard)
