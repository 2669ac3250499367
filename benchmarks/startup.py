"""CPU time until `rfsn` has done something small, as a multiple of `python -c "import click"`.

    python benchmarks/startup.py [--runs 7]

Each command runs in a process of its own, in turn, `--runs` times; the smallest CPU time counts. Byte code is cached,
as it is after installation.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile

BASE = "import click"
COMMANDS = {
    BASE: ["-c", "import click"],
    "import rfsn_core": ["-c", "import rfsn_core"],
    "rfsn --version": ["-m", "rfsn_core.cli", "--version"],
    "rfsn --help": ["-m", "rfsn_core.cli", "--help"],
    "rfsn say --help": ["-m", "rfsn_core.cli", "say", "--help"],
    "rfsn memory --help": ["-m", "rfsn_core.cli", "memory", "--help"],
    "rfsn config check": ["-m", "rfsn_core.cli", "config", "check"],
    "rfsn say innkeeper Hello": ["-m", "rfsn_core.cli", "say", "innkeeper", "Hello"],
}
LIMITS = {"import rfsn_core": 2.0, "rfsn --version": 1.5, "rfsn --help": 1.5}


def cpu(arguments: list[str], folder: str) -> float:
    """Return the seconds of CPU that a process uses."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"RFSN_DATA_DIR": folder}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for arguments in COMMANDS.values():
            cpu(arguments, folder)  # writes the byte code
        for _ in range(runs):
            for name, arguments in COMMANDS.items():
                seconds[name] = min(seconds.get(name, 99.0), cpu(arguments, folder))
    print(f"{'command':26} {'CPU ms':>7} {'ratio':>6}  limit")
    for name, used in seconds.items():
        limit = f"{LIMITS[name]:.1f}" if name in LIMITS else ""
        print(f"{name:26} {used * 1000:7.0f} {used / seconds[BASE]:6.2f}  {limit}")


if __name__ == "__main__":
    main()
