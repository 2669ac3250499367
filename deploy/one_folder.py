"""Builds a folder with the program `rfsn`, for people without Python: zip it and hand it on.

uv run deploy/one_folder.py            # dist/rfsn, for the system that it runs on; takes some minutes

It has the parts of the package `rfsn` (distribution/), built and installed in an environment of its own. Plugins of a
world, `plugins/*.py`, work in it; other packages do not. Started without arguments, by a double click, it serves the
world `world` next to it, or the example world, and opens the page.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "distribution" / "pyproject.toml").read_text("utf-8"))["project"]
PARTS = [requirement.split(">")[0] for requirement in PROJECT["dependencies"]]
WHOLE = ("espeakng_loader", "uvicorn", "websockets", "snowballstemmer")
"""Packages that import their own modules by name, or read files from their folders."""


def folder_of(part: str) -> Path:
    """Return the folder of a distribution's source."""
    return ROOT if part == "rfsn-core" else ROOT / "plugins" / part.removeprefix("rfsn-").replace("-", "_")


def environment(folder: Path) -> Path:
    """Make an environment with the parts and PyInstaller; return its Python."""
    wheels = folder / "wheels"
    for source in [ROOT / "distribution", *map(folder_of, PARTS)]:
        subprocess.run(["uv", "build", "-q", "--wheel", "--out-dir", str(wheels), str(source)], check=True)
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(folder / "home")], check=True)
    python = folder / "home" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [
        "uv",
        "pip",
        "install",
        "-q",
        "--python",
        str(python),
        "--find-links",
        str(wheels),
        "rfsn",
        "pyinstaller",
    ]
    subprocess.run(install, check=True, cwd=folder)
    return python


def build(python: Path, work: Path, target: Path) -> None:
    """Run PyInstaller."""
    options = [f"--distpath={target}", f"--workpath={work}", f"--specpath={work}", "--log-level=WARN"]
    for part in PARTS:
        # Plugins are found by their metadata, and read templates, lines and weights from their folders.
        options += [f"--copy-metadata={part}", f"--collect-all={part.replace('-', '_')}"]
    options += [f"--collect-all={name}" for name in WHOLE]
    program = str(Path(__file__).with_name("rfsn_program.py"))
    command = [str(python), "-m", "PyInstaller", "--noconfirm", "--onedir", "--name=rfsn", *options, program]
    subprocess.run(command, check=True, cwd=work)


def main() -> None:
    """Build the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "dist", help="where the folder `rfsn` is written")
    target = parser.parse_args().folder.resolve()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        build(environment(work), work, target)
    sys.stdout.write(f"{target / 'rfsn'}\n")


if __name__ == "__main__":
    main()
