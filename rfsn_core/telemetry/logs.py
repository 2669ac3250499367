"""Structured logs on standard error: JSON lines for machines or aligned text for people."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import structlog

from rfsn_core.telemetry.redaction import SECRETS

LEVELS = ("debug", "info", "warning", "error")
_COMPONENTS: set[str] = set()
NOISY = ("watchfiles", "httpx", "httpcore", "websockets", "asyncio", "uvicorn.error")
"""Libraries of which only warnings are logged."""


def logger(component: str) -> Any:
    """Return the logger of a component (`turn`, `server`, `plugins`, …)."""
    _COMPONENTS.add(component)
    return structlog.get_logger(f"rfsn.{component}", component=component)


def _without_secrets(logger: Any, method: str, line: Any) -> str:
    """Hide keys and passwords, as the last step: also those in tracebacks and in libraries' messages."""
    return SECRETS.redact(str(line))


class _Repetitions(logging.Filter):
    """Lets a warning or error that is repeated word for word through once a second, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        if record.levelno < logging.WARNING:
            return True
        key = f"{record.name} {_words_of(record)}"
        now = time.monotonic()
        written, left_out = self._seen.get(key, (0.0, 0))
        if written and now - written < 1:
            self._seen[key] = written, left_out + 1
            return False
        if len(self._seen) >= 1000:
            self._seen = {key: entry for key, entry in self._seen.items() if now - entry[0] < 1}
        self._seen[key] = now, 0
        if left_out and isinstance(record.msg, dict):
            record.msg["left_out"] = left_out
        elif left_out:
            record.msg = f"{record.getMessage()} (and {left_out} times more)"
            record.args = ()
        return True


def _words_of(record: logging.LogRecord) -> str:
    """Return what a record says, without its time."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if isinstance(record.msg, dict):
        message = {name: value for name, value in record.msg.items() if name != "timestamp"}
        return f"{message}{error!r}"
    return f"{record.getMessage()}{error!r}"


def levels() -> dict[str, str]:
    """Return component → its level; that of all others under the empty name."""
    found = {"": logging.getLogger(), **{name: logging.getLogger(f"rfsn.{name}") for name in sorted(_COMPONENTS)}}
    return {name: logging.getLevelName(log.getEffectiveLevel()).lower() for name, log in found.items()}


def set_level(component: str, level: str) -> None:
    """Set the level of a component, or of all that have none of their own when the name is empty."""
    logging.getLogger(f"rfsn.{component}" if component else None).setLevel(level.upper())


def configure(level: str = "info", form: str = "text", components: Mapping[str, str] | None = None) -> None:
    """Send all logs, the standard library's too, to standard error.

    :param level: `debug`, `info`, `warning` or `error`.
    :param components: component → its own level.
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
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # others print local variables, and take long
        )
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
    handler.addFilter(_Repetitions())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _COMPONENTS:
        logging.getLogger(f"rfsn.{name}").setLevel(logging.NOTSET)
    for component, own in (components or {}).items():
        set_level(component, own)
    for noisy in NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
