"""`rfsn say` asks the world's server when one is running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from rfsn_core.testing.process import Server


def rfsn(data: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rfsn_core.cli", *arguments], capture_output=True, text=True, timeout=60, check=False,
        encoding="utf-8", env={**os.environ, "RFSN_DATA_DIR": str(data), **environment},
    )  # fmt: skip


@pytest.mark.parametrize("key", ["", "secret"])
def test_say_uses_the_running_server_and_its_memory(serve: Callable[..., Server], tmp_path: Path, key: str) -> None:
    settings = {"RFSN_SERVER__KEY": key} if key else {}
    server = serve(**settings)
    wav = tmp_path / "said.wav"
    said = rfsn(tmp_path / "data", "say", "Tilda Brannoch", "My name is Ada.", "--wav", str(wav), **settings)
    assert (said.returncode, said.stderr) == (0, "")
    assert "heard:" in said.stdout
    assert wav.stat().st_size > 10_000
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{server.http}/api/decisions", headers=headers)
    with urllib.request.urlopen(request) as answer:
        assert len(json.loads(answer.read())) >= 1
    unknown = rfsn(tmp_path / "data", "say", "nobody", "Hi", **settings)
    assert unknown.returncode == 2
    assert "no NPC 'nobody'" in unknown.stderr
