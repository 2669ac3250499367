"""What is in `deploy/` fits the program: settings, commands, folders. (No container is built here.)"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import venv
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
from rfsn_core.telemetry.metrics import METRICS
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


def metric_names(text: str) -> set[str]:
    return {re.sub(r"_(total|bucket)$", "", name) for name in re.findall(r"\brfsn_\w+", text)}


def test_the_dashboard_and_the_rules_use_metrics_that_exist() -> None:
    known = {family.name for family in METRICS.registry.collect()}
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    queries = [rule["expr"] for rule in rules]
    dashboard = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
    queries += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(queries) > 20
    for query in queries:
        names = metric_names(query)
        assert names, query
        assert names <= known, query


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_images_steps_lead_to_a_server_that_answers_its_health_check(tmp_path: Path) -> None:
    """Replay the Dockerfile without a container: COPY, RUN pip, ENV, CMD and HEALTHCHECK, in an empty environment."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    source, data = tmp_path / "src", tmp_path / "data"
    left_out = shutil.ignore_patterns(".rfsn", "__pycache__", ".venv", "node_modules")
    for names in re.findall(r"^COPY (.+) /src(?:/\w+|/)$", text, re.MULTILINE):
        for name in names.split():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=left_out)
            else:
                source.mkdir(exist_ok=True)
                shutil.copy(ROOT / name, source)
    (packages,) = re.findall(r"pip install --no-cache-dir (.+?) &&", text)
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    installed = [re.sub(r"^/src", str(source), package) for package in packages.split()]
    subprocess.run([programs / "python", "-m", "pip", "install", "-q", *installed], check=True, timeout=600)
    (line,) = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RFSN_", "PYTHON", "VIRTUAL_"))}
    folders = {"/world": str(make_world(tmp_path / "world")), "/data": str(data)}
    for name, value in (pair.split("=", 1) for pair in line.split()):
        kept[name] = folders.get(value, value)
    data.mkdir()
    (command,) = re.findall(r"^CMD (\[.+\])$", text, re.MULTILINE)
    (entry,) = re.findall(r"^ENTRYPOINT (\[.+\])$", text, re.MULTILINE)
    arguments = [*json.loads(entry), *json.loads(command), "--port", "0"]
    arguments[0] = str(programs / arguments[0])
    with subprocess.Popen(arguments, env=kept, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = ""
            while (match := re.search(r"ws://127\.0\.0\.1:(\d+)/v1/ws", said)) is None:
                read = server.stdout.readline()
                assert read, said
                said += read
            assert "admin key" in said  # others can reach it, and it was given none
            (check,) = re.findall(r"^HEALTHCHECK CMD (\[.+\])$", text, re.MULTILINE)
            program, *rest = [part.replace("8765", match[1]) for part in json.loads(check)]
            subprocess.run([programs / program, *rest], env=kept, check=True, timeout=60)
        finally:
            server.terminate()
        assert server.wait(30) == 0
