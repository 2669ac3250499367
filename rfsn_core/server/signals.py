"""The signals that stop the server: turns end in order, and a server that cannot end is ended."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn.server

HANGUP = tuple(number for number in (getattr(signal, "SIGHUP", None),) if number is not None)
"""Arrives when the terminal is closed. Windows has no such signal."""
STOPPING: tuple[int, ...] = (*uvicorn.server.HANDLED_SIGNALS, *HANGUP)
GRACE = 6.0
"""Seconds besides `server.shutdown_seconds` for closing connections, engines and stores."""
CLOSE_EVENTS = (2, 5, 6)
"""Windows' events of a console that is closed, a user who logs off, and a machine that shuts down."""


@contextmanager
def stopping_on_signals(stop: Callable[[], None], seconds: float) -> Iterator[Callable[[], None]]:
    """Call `stop` for every signal that ends a process, and end the process when that does not help.

    Yield what a handler of somebody else's must call as well: it starts the time after which the process ends, even
    when the event loop does not run any more. Where it stands is then written to standard error.

    :param seconds: how long running turns may take to end.
    """

    def started() -> None:
        with suppress(AttributeError, OSError, ValueError):  # there is no standard error
            faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=sys.__stderr__ or sys.stderr)

    def handle(*_: object) -> None:
        started()
        stop()

    handlers = {number: signal.signal(number, handle) for number in STOPPING}
    finished = threading.Event()
    try:
        with _console_close(handle, finished):
            yield started
    finally:
        finished.set()
        faulthandler.cancel_dump_traceback_later()
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _console_close(stop: Callable[[], None], finished: threading.Event) -> Iterator[None]:
    """Stop in order when Windows closes the console; it allows five seconds."""
    if os.name != "nt":
        yield
        return
    import ctypes

    windows: Any = ctypes

    def on_event(event: int) -> int:
        if event not in CLOSE_EVENTS:
            return 0
        stop()
        finished.wait(5)
        return 1

    handler = windows.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(on_event)
    windows.windll.kernel32.SetConsoleCtrlHandler(handler, 1)
    try:
        yield
    finally:
        windows.windll.kernel32.SetConsoleCtrlHandler(handler, 0)
