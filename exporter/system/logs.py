"""Log lines as Prometheus's own programs write them: logfmt, or JSON, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
NAMES = {number: name for name, number in LEVELS.items()} | {logging.CRITICAL: "error"}

Format = Literal["logfmt", "json"]


class _Formatter(logging.Formatter):
    """One line a record: a newline in a name must not make a second record."""

    def __init__(self, style: Format) -> None:
        super().__init__()
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": NAMES.get(record.levelno, "info"),
            "source": record.name.removeprefix("exporter."),
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["trace"] = self.formatException(record.exc_info)
        if self._json:
            return json.dumps(fields)
        return " ".join(f"{name}={_quoted(value)}" for name, value in fields.items())


def _quoted(value: str) -> str:
    """A logfmt value: quoted and escaped where it is more than a word."""
    plain = value.isascii() and value.isprintable() and not set(' "=\\') & set(value)
    return value if plain and value else json.dumps(value)


def setup(level: str, style: Format) -> None:
    """Sends everything of at least this level (a key of LEVELS) to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(style))
    logging.basicConfig(level=LEVELS[level], handlers=[handler], force=True)
