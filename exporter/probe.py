"""What a probe is: an async function that collects one thing's metrics.

A probe is a value, not a class to inherit from. It holds its function, its schedule and the settings it was
built with. When it runs, what a failure means and how long its metrics are served is the engine's business.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct
from prometheus_client.core import Metric

from exporter.metrics.query import Families


class Duration(float):
    """Seconds, written in a configuration as Prometheus writes them (``90s``, ``2m``)."""

    written: str

    def __new__(cls, seconds: float, written: str = "") -> Self:
        """Seconds, and how they are shown in an error message."""
        made = super().__new__(cls, seconds)
        made.written = written or f"{seconds:g}s"
        return made


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a probe runs; every probe's settings extend it with defaults of their own. All in seconds.

    ttl: how long a run's values count as fresh. wait: how long a scrape may wait for a run.
    timeout: when a run is killed.
    """

    ttl: Duration = Duration(2)
    wait: Duration = Duration(5)
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        """Refuses a schedule under which runs follow without a pause, or can never finish."""
        if self.ttl < 1:
            raise ValueError(f"ttl must be at least 1s, got {self.ttl.written}")
        if self.timeout <= 0:
            raise ValueError("timeout must be longer than 0s")


class Note(Struct, frozen=True):
    """A warning for a person although the run succeeded, and what to do about it."""

    text: str
    hint: str = ""


class Result(Struct, frozen=True):
    """A successful run's metric families, built fresh, and notes for the status page and doctor."""

    families: Sequence[Metric]
    notes: tuple[Note, ...] = ()


class ProbeError(Exception):
    """The run failed. Its text is the reason, for a person; ``hint`` is how to fix it.

    ``families`` holds what is known all the same (Tor is up though the check page is broken): it replaces the
    metrics of the last good run, which would otherwise be served until they are too old.
    """

    def __init__(self, reason: str, hint: str = "", families: Sequence[Metric] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.families = families


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing that is monitored. Two probes are equal when their name, schedule and settings are.

    name: unique; the part before a colon is its kind (``disk:/ai/models``).
    summarize: its families in one line, at a Unix time, for the status page.
    kind: what a configuration calls its kind, where that is not the name's first part.
    constants: families of its settings, which are served whatever becomes of its runs.
    """

    name: str
    schedule: Schedule
    settings: object
    run: Callable[[], Awaitable[Result]] = field(compare=False)
    summarize: Callable[[Families, float], str] = field(compare=False, default=lambda *_: "")
    kind: str = ""
    constants: Sequence[Metric] = field(compare=False, default=())

    def goes_by(self, name: str) -> bool:
        """Whether this is the name of the probe, or of its kind."""
        return name in (self.name, self.name.partition(":")[0], self.kind)


def _state_directory() -> Path | None:
    """Where to keep what must outlive a restart: systemd's ``$STATE_DIRECTORY`` (the first of several)."""
    name = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(name) if name else None


class Host(Struct):
    """The monitored host's paths, and what one probe leaves for another.

    container_names: a container's full id to its name, left by the containers probe for others.
    model_names: whose weights a file of Ollama's is (``sha256-`` and its digest), and which model a port of
    llama-swap's is; by who left it, the disk and the LLM probes.
    loaded_models: what the LLM servers have loaded, by server.
    family_types: the types of the families that others named, by who printed them, in the order configured.
    """

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")
    sys: Path = Path("/sys")
    root: Path = Path("/")
    state: Path | None = msgspec.field(default_factory=_state_directory)
    container_names: dict[str, str] = msgspec.field(default_factory=dict)
    model_names: dict[str, Mapping[str, Collection[str]]] = msgspec.field(default_factory=dict)
    loaded_models: dict[str, Collection[str]] = msgspec.field(default_factory=dict)
    family_types: dict[str, Mapping[str, str]] = msgspec.field(default_factory=dict)


class Kind(Struct, frozen=True):
    """A kind of probe, for configuration and discovery.

    settings: the type that its part of a configuration is read into.
    build: makes its probes from its settings (several for disk and commands); raises ValueError where they
    contradict each other.
    discover: returns settings where the host has such a thing, or else a note with what was not found and how
    to switch it on. Used where there is no configuration file.
    """

    name: str
    settings: Any
    build: Callable[[Any, Host], Sequence[Probe]]
    discover: Callable[[Host], Awaitable[Any | Note]]
