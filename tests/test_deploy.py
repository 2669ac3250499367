"""What is in `deploy/` fits the program: settings, commands, folders. (No container is built here.)"""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from rfsn_core.cli import main
from rfsn_core.cli.options import find_world
from rfsn_core.plugins.discovery import discover
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.settings.folders import EXAMPLE
from rfsn_core.testing import make_world

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def understood(arguments: list[str]) -> None:
    """Raises when the program would not take this."""
    command = main.get_command(click.Context(main), arguments[0])
    assert command is not None
    command.make_context(arguments[0], arguments[1:], parent=click.Context(main))


def test_what_the_image_copies_and_installs_is_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    for line in re.findall(r"^COPY (.+) /src", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    (installed,) = re.findall(r"pip install --no-cache-dir (.+?) &&", text)
    for path in installed.split():
        assert (ROOT / path.removeprefix("/src").lstrip("/") / "pyproject.toml").is_file(), path
    understood(["serve"])


def test_the_wheel_has_the_example_world_and_nobodys_conversations(tmp_path: Path) -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")
    source = tmp_path / "source"
    for name in ("rfsn_core", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns(".rfsn", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    example = source / "examples" / EXAMPLE
    (example / ".rfsn").mkdir()
    (example / ".rfsn" / "memory.db").write_text("what the players said", "utf-8")
    (path,) = wheel.WheelBuilder(str(source)).build(directory=str(tmp_path / "dist"), versions=["standard"])
    names = zipfile.ZipFile(path).namelist()
    assert not [name for name in names if ".rfsn" in name]
    files = {file.relative_to(example).as_posix() for file in example.rglob("*") if file.is_file()}
    packed = {name.removeprefix("rfsn_core/_example/") for name in names if name.startswith("rfsn_core/_example/")}
    assert packed == {name for name in files if not name.startswith(".rfsn")}


def test_the_image_gets_nobodys_conversations() -> None:
    assert "**/.rfsn" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def test_the_images_variables_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = re.findall(r"^ENV (.+)$", (DEPLOY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for name, value in (pair.split("=", 1) for pair in line.split()):
        folder = {"/world": str(make_world(tmp_path)), "/data": str(tmp_path / "data")}.get(value, value)
        monkeypatch.setenv(name, folder)
    monkeypatch.setenv("RFSN_SERVER__KEY", "secret")
    for command in (["config", "check"], ["config", "show"], ["plugins"], ["say", "smith", "Hello"]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert "RFSN_WORLD" not in result.output
    assert (tmp_path / "data" / "memory.db").exists()
    assert find_world(None) == tmp_path


async def test_the_composed_servers_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    understood(services["rfsn"]["command"])
    for name, value in services["rfsn"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{(\w+):\?[^}]*\}", r"given-\1", value))
    (world,) = [each.split(":")[0] for each in services["rfsn"]["volumes"] if each.endswith(":/world:ro")]
    found = Runtimes((DEPLOY / world).resolve(), discover())
    chosen = await found.chosen()
    assert {("storage", "redis"), ("archive", "postgres")} <= set(chosen)
    assert found.load().server.key == "given-RFSN_KEY"
    assert set(services) == {"rfsn", "redis", "postgres"}


def test_the_units_command_is_understood(tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "rfsn.service", "utf-8")
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/rfsn")
    understood(arguments)
