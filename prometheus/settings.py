"""What an owner may change of the alerts, from one file: which are off or how severe, and their thresholds.

The thresholds are read where rules and pages are put together, some as a module is imported: ``apply`` comes
before that.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, cast, get_args

import msgspec

from exporter.config.strict_yaml import ConfigError, decode, read
from prometheus import thresholds
from prometheus.alert import GRAFANA, RUNBOOKS, Severity
from prometheus.alerts import alerts

DEFAULTS: Mapping[str, int | float] = {
    name.lower(): value for name, value in vars(thresholds).items() if name.isupper()
}
SEVERITIES = [severity for severity in get_args(Severity) if severity != "none"]


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The file's content.

    grafana, runbooks: where the alerts' links lead. alerts: by name false (``off``), true or another
    severity. thresholds: by their names in thresholds.py, in small letters.
    """

    grafana: str = GRAFANA
    runbooks: str = RUNBOOKS
    alerts: dict[str, bool | str] = {}
    thresholds: dict[str, int | float] = {}

    def severity(self, alert: str, default: Severity) -> Severity | None:
        """The alert's severity; None where it is off."""
        chosen = self.alerts.get(alert, True)
        if isinstance(chosen, str):
            return cast(Severity, chosen)
        return default if chosen else None


def load(path: Path) -> Settings:
    """The settings of a file.

    Raises:
        ConfigError: the file can't be read or used; its text names the file, the key and what was expected.
    """
    text, _ = read(path)
    try:
        settings: Settings = decode(text, Settings) if text.strip() else Settings()
        _check(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return settings


def _check(settings: Settings) -> None:
    """Sees that every name is known and every value possible.

    Raises:
        ConfigError: one is not.
    """
    for key in ("grafana", "runbooks"):
        if not getattr(settings, key).startswith(("http://", "https://")):
            raise ConfigError(f"{key}: expected an address that begins with http:// or https://")
    known = [alert.name for group in alerts().values() for alert in group]
    for name, chosen in settings.alerts.items():
        if name not in known:
            _unknown("alerts", name, known, "alert")
        if isinstance(chosen, str) and chosen not in SEVERITIES:
            raise ConfigError(f"alerts.{name}: expected off, on, {' or '.join(SEVERITIES)}, got {chosen!r}")
    for name, value in settings.thresholds.items():
        if name not in DEFAULTS:
            _unknown("thresholds", name, DEFAULTS, "threshold")
        if isinstance(DEFAULTS[name], int) and not isinstance(value, int):
            raise ConfigError(f"thresholds.{name}: expected a whole number, got {value}")
        if value < 0 or (name.endswith("_ratio") and value > 1):
            kind = "a share from 0 to 1" if name.endswith("_ratio") else "a number that is not negative"
            raise ConfigError(f"thresholds.{name}: expected {kind}, got {value}")


def _unknown(key: str, name: str, known: Iterable[str], kind: str) -> NoReturn:
    """Refuses a name.

    Raises:
        ConfigError: always.
    """
    similar = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {similar[0]}?" if similar else ""
    raise ConfigError(f"{key}.{name}: there is no such {kind}{hint}")


def apply(settings: Settings) -> None:
    """Gives the thresholds their values, for all that is put together from now on."""
    for name, value in settings.thresholds.items():
        setattr(thresholds, name.upper(), value)


def arguments(what: str, folder: Path, argv: Sequence[str] | None) -> tuple[Settings, Path]:
    """The settings, applied, and the folder to write to, from a command line.

    Args:
        what: what is written.
        folder: where to, unless told otherwise.
        argv: the command line; None for the process's own.
    """
    parser = argparse.ArgumentParser(description=f"Writes {what}.")
    parser.add_argument("--settings", type=Path, help="a file such as /etc/grid-exporter/alerts.yml")
    parser.add_argument("--out", type=Path, default=folder, help=f"where to ({folder})")
    chosen = parser.parse_args(argv)
    try:
        settings = load(chosen.settings) if chosen.settings else Settings()
    except ConfigError as error:
        parser.exit(2, f"{error}\n")
    apply(settings)
    return settings, chosen.out
