"""Logs and metrics: set up here, once per process. The only importer of `prometheus_client`."""

from __future__ import annotations

import json
import logging
import sys
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)

from services.shared.settings import Settings

__all__ = ["CONTENT_TYPE_LATEST", "Counter", "Gauge", "Histogram", "exposition", "set_up"]

_TEXT: Final = "%(asctime)s %(levelname)-7s %(instance)s %(name)s: %(message)s"
_NOISY: Final = ("aio_pika", "aiormq", "httpx", "grpc", "asyncio")
_CONNECTIONS: Final = "aiormq.connection"
"""Logs each failed attempt to connect, and each lost connection with tracebacks. Those who need one get an
error and say so in a sentence. What nobody else knows is a warning: that the broker takes nothing for now."""


def set_up(settings: Settings) -> None:
    """Send logs to standard error in the chosen format, and serve metrics if an address is set."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_Instance(settings.instance))
    handler.setFormatter(_JsonFormatter() if settings.log_format == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_CONNECTIONS).addFilter(_is_plain)
    if settings.metrics_listen:
        host, _, port = settings.metrics_listen.rpartition(":")
        start_http_server(int(port), host.strip("[]"))


def exposition() -> bytes:
    """All metrics of this process in Prometheus' text format."""
    return generate_latest()


def _is_plain(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR and not record.exc_info


class _Instance(logging.Filter):
    def __init__(self, instance: str) -> None:
        super().__init__()
        self._instance = instance

    def filter(self, record: logging.LogRecord) -> bool:
        record.instance = self._instance
        return True


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "instance": getattr(record, "instance", ""),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
