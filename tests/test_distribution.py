"""The package `rfsn`: with its wheels and nothing else of this repository, an NPC answers and speaks."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "distribution" / "pyproject.toml").read_text("utf-8"))["project"]
PARTS = [requirement.split(">")[0] for requirement in PROJECT["dependencies"]]


def folder_of(part: str) -> Path:
    return ROOT if part == "rfsn-core" else ROOT / "plugins" / part.removeprefix("rfsn-").replace("-", "_")


def test_it_brings_parts_that_exist_and_starts_the_program() -> None:
    for part in PARTS:
        assert tomllib.loads((folder_of(part) / "pyproject.toml").read_text("utf-8"))["project"]["name"] == part
    assert PROJECT["scripts"] == {"rfsn": "rfsn_core.cli:main"}


@pytest.mark.soak
def test_its_wheels_are_a_whole_installation(tmp_path: Path) -> None:
    wheels, home = tmp_path / "wheels", tmp_path / "home"
    for folder in [ROOT / "distribution", *map(folder_of, PARTS)]:
        build = ["uv", "build", "-q", "--wheel", "--no-build-isolation", "--out-dir", str(wheels), str(folder)]
        subprocess.run(build, check=True)
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(home)], check=True)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ["uv", "pip", "install", "-q", "--python", str(python), "--find-links", str(wheels), "rfsn"]
    subprocess.run(install, check=True, cwd=tmp_path)
    rfsn = [str(python.with_name("rfsn"))]
    environment = {**os.environ, "RFSN_DATA_DIR": str(tmp_path / "data")}

    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [*rfsn, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    assert run("init", "world")
    said = run("say", "miller", "Good evening!", "--world", "world", "--wav", "hello.wav")
    assert "greet" in said
    assert (tmp_path / "hello.wav").stat().st_size > 10_000
    plugins = run("plugins", "--world", "world")
    assert "failed" not in plugins
    assert all(name in plugins for name in ("dialect_mantella", "dialect_openai", "policy_linucb", "llm_ollama"))
