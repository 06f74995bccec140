"""How each program of the stack is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from prometheus.stack.copies import PROJECT
from prometheus.stack.program import Program, StackError, find, started

Running = AbstractContextManager[Program]
# After a restart a firing alert goes on firing. Prometheus by itself does so for alerts that wait ten minutes
# or more; of the others Alertmanager would report an end that never was.
RESTORED = "--rules.alert.for-grace-period=1m"


class MissingError(StackError):
    """A program is not installed. Its text is what helps."""


def exporter(
    folder: Path,
    where: str,
    flags: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    name: str = "exporter",
) -> Running:
    """The exporter of this checkout; ``name`` distinguishes it from others."""
    argv = [sys.executable, "-m", "exporter", f"--web.listen-address={where}", *flags]
    return started(
        name, argv, where, folder, ready="/-/ready", env={"PYTHONPATH": f"{PROJECT}", **(env or {})}
    )


def prometheus(folder: Path, where: str, flags: Sequence[str] = (RESTORED,)) -> Running:
    """Prometheus with ``folder/prometheus.yml``.

    Raises:
        MissingError: it is not installed.
    """
    argv = [
        _installed("apt install prometheus", "prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address={where}",
        *flags,
    ]
    return started("Prometheus", argv, where, folder, ready="/-/ready")


def alertmanager(folder: Path, where: str, env: Mapping[str, str] | None = None) -> Running:
    """Alertmanager with ``folder/alertmanager.yml``, alone. env: what it needs beyond our environment.

    Raises:
        MissingError: it is not installed.
    """
    argv = [
        _installed("apt install prometheus-alertmanager", "alertmanager", "prometheus-alertmanager"),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address={where}",
        "--cluster.listen-address=",
    ]
    return started("Alertmanager", argv, where, folder, ready="/-/ready", env=env)


def grafana(folder: Path, where: str, env: Mapping[str, str]) -> Running:
    """Grafana, all of whose settings are in the environment.

    Raises:
        MissingError: it is not installed.
    """
    help_ = "install it, or import grafana/dashboards/*.json into yours"
    program = Path(_installed(help_, "grafana", "grafana-server")).resolve()
    packaged = Path("/usr/share/grafana")
    home = packaged if packaged.is_dir() else program.parents[1]
    host, _, port = where.partition(":")
    words = ["server"] if program.name == "grafana" else []
    listening = {"GF_SERVER_HTTP_ADDR": host, "GF_SERVER_HTTP_PORT": port}
    return started(
        "Grafana",
        [str(program), *words, f"--homepath={home}"],
        where,
        folder,
        ready="/api/health",
        env={**env, **listening},
    )


def _installed(help_: str, *names: str) -> str:
    """The path of the first of these programs.

    Raises:
        MissingError: there is none of them.
    """
    path = find(*names)
    if path is None:
        raise MissingError(help_)
    return path
