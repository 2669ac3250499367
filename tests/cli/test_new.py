"""What `rfsn new` makes: it builds, it can be installed, and its tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rfsn_core.cli import main
from rfsn_core.cli.new import STAGES, plugin_files
from rfsn_core.testing.isolated import make_world
from rfsn_core.world.files import read_world


def rfsn(*arguments: str, answer: str = "") -> str:
    return CliRunner().invoke(main, arguments, input=answer).output


@pytest.mark.parametrize("stage", STAGES)
def test_a_plugins_files_are_whole(stage: str) -> None:
    files = plugin_files("parrot", stage, "Ada")
    package = f"rfsn_{stage}_parrot"
    assert {".gitignore", ".github/workflows/test.yml", "README.md", "pyproject.toml"} <= set(files)
    assert {f"{package}/__init__.py", f"{package}/py.typed", "tests/test_parrot.py"} <= set(files)
    assert "@" not in "".join(text for path, text in files.items() if path.endswith((".toml", ".md")))
    for path, text in files.items():
        if path.endswith(".py"):
            compile(text, path, "exec")


@pytest.mark.soak
def test_every_kind_of_plugin_builds_installs_and_passes_its_own_tests(tmp_path: Path) -> None:
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    tests = []
    for stage in STAGES:
        folder = tmp_path / stage
        assert "wrote" in rfsn("new", "plugin", f"my_{stage}", "--stage", stage, "--folder", str(folder))
        build = ["uv", "build", "-q", "--wheel", "--no-build-isolation", "--out-dir", str(wheels), str(folder)]
        subprocess.run(build, check=True)
        tests.append(str(folder / "tests"))
    built = sorted(map(str, wheels.glob("*.whl")))
    assert len(built) == len(STAGES)
    subprocess.run(["uv", "pip", "install", "-q", "--no-deps", "--offline", "--target", str(site), *built], check=True)
    ruff = [sys.executable, "-m", "ruff", "check", "-q", "--isolated", "--select", "E,F,B,UP", "--line-length", "120"]
    assert subprocess.run([*ruff, *tests, str(site)], check=False).returncode == 0
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-o", "anyio_mode=auto", "--import-mode=importlib"]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), *tests],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert int(ran.stdout.split(" passed")[0].split()[-1]) > 40


def test_the_stage_is_asked_for_when_it_is_not_named(tmp_path: Path) -> None:
    text = rfsn("new", "plugin", "parrot", "--folder", str(tmp_path / "p"), answer="speech\n")
    assert "rfsn_speech_parrot" in text


def test_nothing_is_overwritten_and_names_are_checked(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")
    assert "is not empty" in rfsn("new", "plugin", "parrot", "--stage", "speech", "--folder", str(tmp_path))
    assert "is no name" in rfsn("new", "plugin", "My Parrot", "--stage", "speech", "--folder", str(tmp_path / "b"))


def test_a_new_npc_can_be_talked_to(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    text = rfsn("new", "npc", 'Old "Tilda"', "--title", "innkeeper", "--world", str(world))
    assert "old_tilda.toml" in text
    assert read_world(world).npc("old_tilda").file.title == "innkeeper"
    assert "exists already" in rfsn("new", "npc", 'Old "Tilda"', "--world", str(world))
