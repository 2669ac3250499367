"""Names the plugin that keeps the event loop from running: while it does, no other player gets an answer.

A time limit cannot help: it needs the loop. So a thread asks the loop four times a second for a sign of life, and when
there is none, it looks at what the loop's thread is doing.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

from rfsn_core.plugins.discovery import Plugin, Plugins
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import METRICS

log = logger("runtime")

PATIENCE = 0.25
"""Seconds without a sign of life after which the loop's thread is looked at."""
TELL_AGAIN = 10.0
"""Seconds after which a loop that still does not run is reported again."""


@asynccontextmanager
async def watched(plugins: Plugins) -> AsyncIterator[None]:
    """Report, while the context is open, whatever keeps this thread's event loop from running."""
    watch = _Watch(asyncio.get_running_loop(), threading.get_ident(), plugins)
    thread = threading.Thread(target=watch.run, name="rfsn-loop-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.stop.set()


class _Watch:
    def __init__(self, loop: asyncio.AbstractEventLoop, thread: int, plugins: Plugins) -> None:
        self._loop, self._thread = loop, thread
        self._folders = dict(_folders(plugins))
        self.stop = threading.Event()

    def run(self) -> None:
        """Look after the loop until `stop` is set."""
        alive = threading.Event()
        while not self.stop.wait(PATIENCE):
            alive.clear()
            asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(alive.set)
            except RuntimeError:  # the loop is closed
                return
            if not alive.wait(PATIENCE):
                self._blocked(asked, alive)

    def _blocked(self, asked: float, alive: threading.Event) -> None:
        """Report what the loop's thread does, and how long it did."""
        culprit = self._culprit(sys._current_frames().get(self._thread))
        while not alive.wait(TELL_AGAIN) and not self.stop.is_set():
            log.error("loop.blocked", **culprit, ms=_milliseconds(asked), since="still")
            culprit = self._culprit(sys._current_frames().get(self._thread)) or culprit
        if plugin := culprit.get("plugin"):
            METRICS.plugin_errors.labels(plugin, culprit["hook"]).inc()
            log.warning("plugin.slow", **culprit, ms=_milliseconds(asked))
        else:
            log.warning("loop.blocked", **culprit, ms=_milliseconds(asked))

    def _culprit(self, frame: FrameType | None) -> dict[str, str]:
        """Return whose code runs: `plugin`, the function in it that was called (`hook`), and the line (`at`)."""
        innermost = frame
        inside = ""
        culprit: dict[str, str] = {}
        while frame is not None:
            plugin = self._owner(frame.f_code.co_filename)
            if plugin is not None:
                inside = inside or f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                culprit = {"plugin": plugin.name, "hook": frame.f_code.co_name, "at": inside}
            elif culprit:
                return culprit
            frame = frame.f_back
        while innermost is not None and innermost.f_code.co_filename.startswith("<"):
            innermost = innermost.f_back  # Python's own import machinery has no file
        if culprit or innermost is None:
            return culprit
        return {"at": f"{Path(innermost.f_code.co_filename).name}:{innermost.f_lineno}"}

    def _owner(self, filename: str) -> Plugin | None:
        path = Path(filename)
        return next((self._folders[place] for place in (path, *path.parents) if place in self._folders), None)


def _folders(plugins: Plugins) -> Iterator[tuple[Path, Plugin]]:
    """Yield the file of each plugin, or the folder of its package."""
    for plugin in plugins.loaded.values():
        file = getattr(plugin.module, "__file__", None)
        if isinstance(file, str):
            path = Path(file)
            yield (path.parent if path.name == "__init__.py" else path), plugin


def _milliseconds(since: float) -> int:
    return round((time.monotonic() - since) * 1000)
