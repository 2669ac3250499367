"""The plugins of docs/plugins.md work: each passes the suite of its stage, and hooks run in a kernel."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

from rfsn_core import Provider, TurnFinished
from rfsn_core.testing import kernel, make_world, turn
from rfsn_core.testing.suites import (
    AbstractorSuite,
    ArchiveSuite,
    EmbedderSuite,
    GateSuite,
    PolicySuite,
    RendererSuite,
    UnderstanderSuite,
    VoiceSuite,
)

PAGE = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text("utf-8")
EXAMPLES = {text.split()[1]: text for text in re.findall(r"^```python\n(# .*?)^```", PAGE, re.DOTALL | re.MULTILINE)}


def example(name: str, stage: str) -> Provider[Any, Any]:
    """Return the provider that an example of the page offers."""
    module = types.ModuleType(name)
    exec(compile(EXAMPLES[f"plugins/{name}.py"], name, "exec"), vars(module))
    (provider,) = getattr(module, f"rfsn_{stage}")()
    assert isinstance(provider, Provider)
    return provider


def test_every_stage_but_storage_has_an_example() -> None:
    hooks = set(re.findall(r"^def (rfsn_\w+)", "".join(EXAMPLES.values()), re.MULTILINE))
    stages = set(re.findall(r"^\| `(rfsn_\w+)` \| [A-Z]\w+ \|", PAGE, re.MULTILINE))
    assert stages - hooks == {"rfsn_storage"}


def test_the_shortest_plugin_is_short() -> None:
    assert len(EXAMPLES["plugins/echo.py"].splitlines()) <= 12


async def test_the_shortest_plugin_works(tmp_path: Path) -> None:
    make_world(tmp_path, next(text for text in re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "echo.py").write_text(EXAMPLES["plugins/echo.py"])
    async with kernel(tmp_path) as running:
        events = await turn(running, "Good evening!")
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].text == "You said: Good evening!"


def test_the_test_of_a_hook_passes(tmp_path: Path) -> None:
    for name in ("curfew.py", "test_curfew.py"):
        text = EXAMPLES.get(f"plugins/{name}") or EXAMPLES[name]
        (tmp_path / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "1 passed" in process.stdout, process.stdout + process.stderr


class TestEcho(RendererSuite):
    provider = example("echo", "rendering")


class TestShouting(UnderstanderSuite):
    provider = example("shouting", "understanding")


class TestPlaceOnly(AbstractorSuite):
    provider = example("place_only", "abstraction")


class TestBest(PolicySuite):
    provider = example("best", "selection")


class TestNarrator(RendererSuite):
    provider = example("narrator", "rendering")


class TestNoAle(GateSuite):
    provider = example("no_ale", "gating")


class TestHum(VoiceSuite):
    provider = example("hum", "speech")
    visemes = False
    needs_thread = False


class TestFolderArchive(ArchiveSuite):
    provider = example("folder_archive", "archive")


class TestWordVectors(EmbedderSuite):
    provider = example("word_vectors", "embedding")
