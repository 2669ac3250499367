"""The lines that somebody types, read without keeping the process from ending at Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from threading import Thread
from typing import TextIO


class TypedLines:
    """Standard input, line by line.

    A blocked read cannot be interrupted. So it is left to a daemon thread, for which Python does not wait when it ends.
    """

    def __init__(self) -> None:
        # Python closes `sys.stdin` when it ends, and aborts if a thread reads from it: a pipe is read through another
        # object. When both ends are a terminal, `input` reads past `sys.stdin`, and knows the console of Windows.
        self._pipe = None if sys.stdin.isatty() and sys.stdout.isatty() else _same_file(sys.stdin)

    async def next(self) -> str:
        """Return the next line without its end. Raises EOFError when there is none."""
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str] = loop.create_future()

        def settle(text: str, error: BaseException | None) -> None:
            if line.done():
                return
            if error is None:
                line.set_result(text)
            else:
                line.set_exception(error)

        def read() -> None:
            text, error = "", None
            try:
                text = self._read()
            except Exception as problem:  # noqa: BLE001 - it is raised where the line is awaited
                error = problem
            with suppress(RuntimeError):  # the loop is closed: nobody waits for the line
                loop.call_soon_threadsafe(settle, text, error)

        Thread(target=read, name="typed line", daemon=True).start()
        return await line

    def _read(self) -> str:
        if self._pipe is None:
            return input()
        text = self._pipe.readline()
        if not text:
            raise EOFError
        return text.rstrip("\r\n")


def _same_file(stream: TextIO) -> TextIO:
    """Return another reader of a stream's file; the stream itself when it has none."""
    try:
        number = stream.fileno()
    except OSError:
        return stream
    return open(number, encoding=stream.encoding, errors=stream.errors, closefd=False)
