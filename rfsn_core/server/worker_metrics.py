"""The metrics of several workers: each writes its own to a file, and any of them answers for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rfsn_core.kit.files import replace_file
from rfsn_core.telemetry.logs import logger
from rfsn_core.telemetry.metrics import Metrics

log = logger("metrics")


class WorkerMetrics:
    """The metrics of all workers of a server, with the worker's name as a label.

    :param folder: contains a folder for each worker.
    :param own: name of this worker's folder; empty when there are no workers.
    """

    FILE = "metrics"
    EVERY = 2.0
    """Seconds between two writes."""
    STALE = 10.0
    """Seconds; a worker whose file is older has ended."""

    def __init__(self, metrics: Metrics, folder: Path, own: str) -> None:
        self._metrics, self._folder, self._own = metrics, folder, own

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Write this worker's metrics for the others while the block runs."""
        if not self._own:
            yield
            return
        task = asyncio.create_task(self._keep_writing(), name="metrics")
        try:
            yield
        finally:
            task.cancel()
            (self._folder / self._own / self.FILE).unlink(missing_ok=True)

    async def _keep_writing(self) -> None:
        while True:
            try:
                self.write()
            except OSError as error:
                log.warning("metrics.not_shared", worker=self._own, error=str(error))
            await asyncio.sleep(self.EVERY)

    def write(self) -> None:
        """Write this worker's metrics for the others. Raises OSError."""
        with replace_file(self._folder / self._own / self.FILE, sync=False) as file:
            file.write(self._metrics.text())

    def families(self) -> Iterator[Metric]:
        """Return the metrics of all workers as objects."""
        return self.collect() if self._own else iter(self._metrics.registry.collect())

    def text(self) -> bytes:
        """Return the metrics of all workers; those of the others are up to `EVERY` seconds old."""
        if not self._own:
            return self._metrics.text()
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the families, as prometheus_client asks for them."""
        families: dict[str, Metric] = {}
        texts = {self._own: self._metrics.text().decode()}
        for path in sorted(self._folder.glob(f"*/{self.FILE}")):
            with suppress(OSError):  # the worker may just have ended
                if time.time() - path.stat().st_mtime < self.STALE:
                    texts.setdefault(path.parent.name, path.read_text("utf-8"))
        for worker, text in texts.items():
            for family in text_string_to_metric_families(text):
                merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                merged.samples += [
                    sample._replace(labels={**sample.labels, "worker": worker}) for sample in family.samples
                ]
        yield from families.values()
