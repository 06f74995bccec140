"""The last list of the cards' processes, and whether another query would print the same."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct, field

from exporter.probes.gpu.nvidia import cards, processes
from exporter.probes.gpu.nvidia.csv_table import parse_table, value_of
from exporter.probes.gpu.sysfs import read
from exporter.system.subprocesses import Output

LIFETIME = 60.0  # seconds after which it is queried though nothing changed
START_TIME = 19  # the field of /proc/PID/stat, counted after the program's name, which may hold anything


class ProcessList(Struct):
    """What the query printed, and what it depends on.

    A process that begins, ends or allocates changes its card's used memory; one that took another's place
    with just as much started later. Where neither differs, the list stands.

    output: None before the first run, and after a failed one.
    memory: each card's used memory, as the last run read it; none where a card doesn't report it.
    steady: whether that run read the same as the one before.
    """

    proc: Path
    output: Output | None = None
    memory: tuple[str, ...] = ()
    steady: bool = False
    started: Mapping[int, str] = field(default_factory=dict)
    expires_at: float = 0.0

    @property
    def is_likely_current(self) -> bool:
        """Whether it pays to read the cards first, and to query the processes only where they changed."""
        return self.steady and self.output is not None and time.monotonic() < self.expires_at

    def current(self) -> Output | None:
        """The list where it still stands, once this run's memory was read."""
        known = self.is_likely_current and self.started == self._start_times(self.started)
        return self.output if known else None

    def read_memory(self, output: Output, fields: Mapping[str, str]) -> None:
        """Takes each card's used memory from the query of the cards."""
        rows = parse_table(output.text, fields, cards.NAME).rows
        used = tuple(row.get("memory.used", "") for row in rows)
        memory = used if all(map(value_of, used)) else ()
        self.steady = bool(memory) and memory == self.memory
        self.memory = memory

    def keep(self, output: Output) -> None:
        """Keeps a list that was queried just now, unless something was wrong; a kept one keeps its age."""
        if output is self.output:
            return
        if output.code:
            self.output = None
            return
        fields = {name: name for name in processes.FIELDS}
        rows = processes.parse_processes(parse_table(output.text, fields, processes.NAME))
        self.started = self._start_times(row.pid for row in rows if row.pid is not None)
        self.output, self.expires_at = output, time.monotonic() + LIFETIME

    def _start_times(self, pids: Iterable[int]) -> dict[int, str]:
        return {pid: self._start_time(pid) for pid in pids}

    def _start_time(self, pid: int) -> str:
        """In clock ticks since boot; empty where the process has ended or can't be seen."""
        after_name = read(f"{self.proc}/{pid}/stat").rpartition(")")[2].split()
        return after_name[START_TIME] if len(after_name) > START_TIME else ""
