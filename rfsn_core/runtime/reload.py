"""Watches the world's files: a valid change applies from the next turn, an invalid one changes nothing.

The *directories* are watched: an editor replaces a file, and a watch on the file would die with it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import Change as FileChange
from watchfiles import awatch

from rfsn_core.contract.errors import ConfigError, RfsnError
from rfsn_core.protocol import ConfigChanged, ConfigRejected
from rfsn_core.runtime.builder import Runtimes
from rfsn_core.runtime.changes import FOLDERS
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("reload")

SUFFIXES = frozenset({".toml", ".json", ".yaml", ".yml", ".j2", ".md", ".py", ".txt"})
"""Endings of files that are read, or that look as if they should be."""
SETTLE = 0.1
"""Seconds in which the files must stay the same: an editor truncates a file before it writes the text."""


Stamp = tuple[int, int]
"""When a file was written, in nanoseconds, and its length."""


def stamps(runtimes: Runtimes) -> dict[Path, Stamp | None]:
    """Return the stamp of each file that a reload might read."""
    files = [Path(folder, name) for folder, _, names in os.walk(runtimes.world_dir) for name in names]
    if runtimes.config_file:
        files.append(runtimes.config_file.resolve())
    return {path: _stamp(path) for path in files if path.suffix.lower() in SUFFIXES}


async def reloads(
    runtimes: Runtimes, stop: asyncio.Event, before: dict[Path, Stamp | None]
) -> AsyncIterator[ConfigChanged | ConfigRejected]:
    """Reload on every change until `stop` is set; yield what each reload did, or why it was refused.

    :param before: the stamps from before the world was first read: what changed since then counts, too.
    """
    if not runtimes.current.settings.operations.reload:
        return
    async for files in _changed_files(runtimes, stop, before):
        await _settled(files)
        names = [_shown(path, runtimes.world_dir) for path in files]
        yield await reload(runtimes, names)


async def _changed_files(
    runtimes: Runtimes, stop: asyncio.Event, before: dict[Path, Stamp | None]
) -> AsyncIterator[list[Path]]:
    """Yield the files of each change, beginning with what changed before the watch began."""
    folders = {runtimes.world_dir}
    if runtimes.config_file:
        folders.add(runtimes.config_file.resolve().parent)
    data = runtimes.data_dir.resolve()

    def concerns_us(change: FileChange, name: str) -> bool:
        path = Path(name)
        # When a folder is moved, the files in it are not reported, only the folder.
        ours = path.suffix.lower() in SUFFIXES or path.name in FOLDERS
        hidden = path.name.startswith(".") or "__pycache__" in path.parts
        return ours and not hidden and data not in path.resolve().parents

    watch = awatch(*folders, watch_filter=concerns_us, stop_event=stop, step=30, debounce=400, recursive=True)
    first = asyncio.ensure_future(anext(watch, None))
    await asyncio.sleep(0)  # the task's first step begins the watch
    now = stamps(runtimes)
    missed = [path for path in sorted({*before, *now}) if before.get(path) != now.get(path)]
    if missed := [path for path in missed if concerns_us(FileChange.modified, str(path))]:
        yield missed
    changes = await first
    while changes is not None:  # None: stopped
        yield sorted({Path(name) for _, name in changes})
        changes = await anext(watch, None)


async def reload(runtimes: Runtimes, names: list[str]) -> ConfigChanged | ConfigRejected:
    """Reload now; return what it did, or why it was refused."""
    try:
        change = await runtimes.reload(names)
    except RfsnError as error:
        problems = error.problems if isinstance(error, ConfigError) else str(error).splitlines()
        METRICS.reloads.labels("rejected").inc()
        log.warning("reload.rejected", problems=problems)
        return ConfigRejected(problems=[_without_folders(problem, runtimes) for problem in problems])
    except Exception as error:
        METRICS.reloads.labels("rejected").inc()
        log.exception("reload.rejected")
        return ConfigRejected(problems=[f"{type(error).__name__}: the server's log says more"])
    reopened, effects = list(change.reopened), change.effects.lines
    METRICS.reloads.labels("applied").inc()
    log.info("reload.applied", files=names, reopened=reopened, effects=effects)
    return ConfigChanged(files=list(change.files), reopened=reopened, effects=effects)


async def _settled(files: list[Path]) -> None:
    """Wait until the files stay the same for a moment."""
    before: list[Stamp | None] = []
    for _ in range(50):
        now = [_stamp(path) for path in files]
        if now == before:
            return
        before = now
        await asyncio.sleep(SETTLE)


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _shown(path: Path, world: Path) -> str:
    try:
        return path.relative_to(world).as_posix()
    except ValueError:
        return str(path)


def _without_folders(text: str, runtimes: Runtimes) -> str:
    """Return a text for clients, which need not know where on this machine the files are."""
    folders = {runtimes.world_dir, runtimes.data_dir}
    if runtimes.config_file is not None:
        folders.add(runtimes.config_file.parent)
    for folder in sorted(folders, key=lambda path: -len(str(path))):
        text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)
    return text
