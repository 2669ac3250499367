"""A program that speaks xVASynth's wire, for tests: it hums."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from rfsn_core.testing.engine import Send, StandIn, answer
from rfsn_core.testing.wires import Body

LONGEST = 60.0
"""Seconds of sound at most, however long the text is."""


class XvaSynthStandIn(StandIn):
    """xVASynth's wire: it answers with a file, and by closing the connection when something is wrong."""

    rate = 22050
    content: bytes | None = None
    """What it writes instead of sound."""

    async def other(self, method: str, path: str, body: Body, send: Send) -> bool:
        """Load, or hum."""
        if path == "/loadModel":
            if "missing" in body["model"]:
                raise ConnectionError("no such model")
            assert body["pluginsContext"] == "{}"
            self.loads.append(body["model"])
            await answer(send, 200, "")
        elif path == "/synthesize":
            if not self.loads:
                raise ConnectionError("no model")
            self._write(body)
            await answer(send, 200, "")
        return path in ("/loadModel", "/synthesize")

    def _write(self, body: Body) -> None:
        if self.content is not None:
            Path(body["outfile"]).write_bytes(self.content)
            return
        seconds = min(LONGEST, 0.07 * len(body["sequence"]) * body["pace"])
        hum = 8000 * np.sin(2 * np.pi * 220 / self.rate * np.arange(int(self.rate * seconds)))
        with wave.open(body["outfile"], "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.rate)
            file.writeframes(hum.round().astype("<i2").tobytes())
