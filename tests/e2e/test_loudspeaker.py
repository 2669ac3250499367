"""`rfsn chat`, heard: a real device of ALSA that writes down what it is given."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest

pytestmark = pytest.mark.engines
DEVICE = """\
pcm.silence {{ type null }}
pcm.!default {{ type file slave.pcm "silence" file "{file}" format "raw" }}
ctl.!default {{ type null }}
"""


def rfsn(*arguments: str, cwd: Path, typed: str = "", **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-m", "rfsn_core.cli", *arguments],
        cwd=cwd,
        input=typed,
        env={
            **os.environ,
            "RFSN_SPEECH__PROVIDER": "espeak",
            "RFSN_DATA_DIR": str(cwd / "data"),
            "LEARNING_DISABLED": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    return ran.stdout


def test_what_the_npc_says_comes_out_of_the_loudspeaker(tmp_path: Path) -> None:
    heard, one, two = tmp_path / "heard.raw", tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (tmp_path / "asound.conf").write_text(DEVICE.format(file=heard))
    chatted = rfsn(
        "chat", "innkeeper", cwd=one, typed="Good evening!\n\n", ALSA_CONFIG_PATH=str(tmp_path / "asound.conf")
    )
    assert "no sound" not in chatted
    rfsn("say", "innkeeper", "Good evening!", "--wav", "said.wav", cwd=two)
    with wave.open(str(two / "said.wav")) as file:
        said = file.readframes(file.getnframes())
    assert len(said) > 20_000
    assert heard.read_bytes().startswith(said)  # then silence, until the device's buffer is full


def test_a_device_that_will_not_open_ends_in_a_line_and_the_talk_goes_on(tmp_path: Path) -> None:
    (tmp_path / "asound.conf").write_text(DEVICE.format(file=tmp_path / "no" / "such" / "folder"))
    chatted = rfsn(
        "chat",
        "innkeeper",
        cwd=tmp_path,
        typed="Good evening!\nGoodbye!\n\n",
        ALSA_CONFIG_PATH=str(tmp_path / "asound.conf"),
    )
    assert chatted.count("(no sound: ") == 1
    assert "farewell ·" in chatted
