"""`rfsn serve --workers N`: several processes on one address; one that ends is replaced."""

from __future__ import annotations

import multiprocessing
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import click

from rfsn_core.contract.errors import UserError
from rfsn_core.contract.shared_storage import SharedStore
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.server.signals import STOPPING

Work = Callable[[Path, "Path | None", Mapping[str, Any], socket.socket, int], None]
LOOK_EVERY = 0.2
"""Seconds between two checks of the workers."""
TOO_SOON = 5.0
"""Seconds; a worker that ends sooner has failed to start."""
ATTEMPTS = 5
"""Failed starts in a row, after which the server gives up."""


async def check(runtimes: Runtimes) -> None:
    """Open the store once. Raises UserError when it cannot be shared, else what opening raises."""
    opened = await runtimes.open_alone("storage")
    try:
        if not isinstance(opened.value, SharedStore):
            raise UserError(
                f"several workers need a store that they share, and {opened.key[1]} serves one",
                hint='`provider = "redis"` in [storage]',
            )
    finally:
        await opened.close()


def end_with_the_parent() -> None:
    """Stop this worker when its parent was killed, so that the address becomes free."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=wait, name="rfsn-parent", daemon=True).start()


def begin_with_what_one_learned(data: Path) -> None:
    """Copy what a server without workers has learned to the first worker, which shares it with the others."""
    alone, first = data / "learning" / "checkpoints", data / name(0) / "learning" / "checkpoints"
    if alone.is_dir() and not first.exists():
        shutil.copytree(alone, first)


def name(number: int) -> str:
    """Return the name of a worker and of its folder in the data folder."""
    return f"worker-{number}"


def supervise(
    runtimes: Runtimes, overrides: Mapping[str, Any], listener: socket.socket, count: int, patience: float, work: Work
) -> None:
    """Keep `count` workers running until a signal arrives. Raises UserError when they fail to start.

    :param patience: seconds for the workers to end their turns.
    :param work: what each worker runs, given world, settings file, overrides, listener and its number.
    """
    begin_with_what_one_learned(runtimes.data_dir)
    stopping = threading.Event()
    for ending in STOPPING:
        signal.signal(ending, lambda *_: stopping.set())
    context = multiprocessing.get_context("spawn")

    def start(number: int) -> tuple[BaseProcess, float]:
        process = context.Process(
            target=work, args=(runtimes.world_dir, runtimes.config_file, overrides, listener, number), name=name(number)
        )
        process.start()
        return process, time.monotonic()

    workers = {number: start(number) for number in range(count)}
    failures = 0
    try:
        while not stopping.wait(LOOK_EVERY):
            for number, (process, begun) in workers.items():
                if process.is_alive() or stopping.is_set():
                    continue
                failures = failures + 1 if time.monotonic() - begun < TOO_SOON else 0
                if failures >= ATTEMPTS:
                    raise UserError("the workers fail to start", hint="Their messages above say why")
                click.echo(f"rfsn: worker {number} ended with exit code {process.exitcode}; it is replaced", err=True)
                workers[number] = start(number)
    finally:
        for process, _ in workers.values():
            process.terminate()
        until = time.monotonic() + patience
        for process, _ in workers.values():
            process.join(max(0.1, until - time.monotonic()))
            process.kill()
            process.join()
