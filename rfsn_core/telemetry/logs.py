"""Structured logs on standard error: JSON lines for machines or aligned text for people."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from rfsn_core.telemetry.redaction import SECRETS


def logger(component: str) -> Any:
    """Return the logger of a component (`turn`, `server`, `plugins`, …)."""
    return structlog.get_logger(f"rfsn.{component}", component=component)


def _without_secrets(logger: Any, method: str, line: Any) -> str:
    """Hide keys and passwords, as the last step: also those in tracebacks and in libraries' messages."""
    return SECRETS.redact(str(line))


def configure(level: str = "info", form: str = "text") -> None:
    """Send all logs, the standard library's too, to standard error.

    :param level: `debug`, `info`, `warning` or `error`.
    :param form: `json` for one object a line, `text` for people.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _without_secrets],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("watchfiles", "httpx", "httpcore", "websockets", "asyncio", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
