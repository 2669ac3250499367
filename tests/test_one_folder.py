"""The program without Python: built once, then used as its users do."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from rfsn_core.testing.isolated import make_world

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
PLUGIN = """
from rfsn_core import Provider, hookimpl


class Echo:
    async def render(self, prompt, options):
        yield f"You said: {prompt.player_text}"


@hookimpl
def rfsn_rendering():
    yield Provider.of("echo", Echo)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, str(ROOT / "deploy" / "one_folder.py"), "--folder", str(folder)], check=True)
    return folder / "rfsn" / ("rfsn.exe" if os.name == "nt" else "rfsn")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment without Python, and without this repository."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "UV_"))}
    return kept | {"RFSN_DATA_DIR": str(tmp_path / "data"), "PATH": "/usr/bin:/bin", "RFSN_TRUST": "1"}


def run(program: Path, environment: dict[str, str], *arguments: str) -> str:
    ran = subprocess.run(
        [str(program), *arguments], cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_an_npc_answers_and_speaks(program: Path, environment: dict[str, str], tmp_path: Path) -> None:
    said = run(program, environment, "say", "innkeeper", "Good evening!", "--wav", str(tmp_path / "said.wav"))
    assert "greet" in said
    assert (tmp_path / "said.wav").stat().st_size > 10_000
    plugins = run(program, environment, "plugins")
    assert "failed" not in plugins
    assert "dialect_mantella" in plugins


def test_a_worlds_own_plugin_works(program: Path, environment: dict[str, str], tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", '[rendering]\nprovider = "echo"\n')
    (world / "plugins").mkdir()
    (world / "plugins" / "echo.py").write_text(PLUGIN, "utf-8")
    assert "You said: Ahoy!" in run(program, environment, "say", "smith", "Ahoy!", "--world", str(world))


@pytest.fixture
def server(program: Path, environment: dict[str, str]) -> Iterator[str]:
    process = subprocess.Popen(
        [str(program), "serve", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True, cwd="/"
    )
    assert process.stdout is not None
    address = next(line.split()[-1] for line in process.stdout if "web page:" in line)
    yield address
    process.terminate()
    process.wait(15)
    process.stdout.close()


def test_it_serves_the_page_and_the_models(server: str) -> None:
    with urllib.request.urlopen(server) as page:
        assert "<html" in page.read().decode()
    with urllib.request.urlopen(f"{server}static/rfsn.mjs") as script:
        assert "rfsn.v1" in script.read().decode()
    with urllib.request.urlopen(f"{server}v1/models") as models:
        assert "innkeeper" in models.read().decode()
