"""The garbage collector of a server: what lives long is not walked again and again (docs/decisions/collector.md)."""

from __future__ import annotations

import gc
from types import TracebackType

THRESHOLDS = (10_000, 20, 100)
"""New objects before a young collection, young ones before a middle one, middle ones before a full one."""


class Collector:
    """Tunes the collector of this process while the context is open."""

    def __enter__(self) -> Collector:
        self._before = gc.get_threshold()
        gc.set_threshold(*THRESHOLDS)
        return self

    def settle(self) -> None:
        """Collect everything once, then exempt what is left: call this after the start and after each reload."""
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        gc.set_threshold(*self._before)
        gc.unfreeze()
