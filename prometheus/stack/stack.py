"""Puts the programs together."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prometheus.stack import copies, programs
from prometheus.stack.program import Program, address
from prometheus.stack.programs import MissingError, Running
from prometheus.stack.sink import Alert, received

INTERVAL = "5s"  # a person is watching
RATES = "15s"  # as often as LLM servers are asked: within less their counters stand still
PORTS = {"exporter": 10058, "Alertmanager": 9093, "Prometheus": 9090, "Grafana": 3000}


@dataclass(frozen=True, slots=True)
class Box:
    """The box that is looked at: its name, the exporter's flags, and its environment beyond ours."""

    name: str = field(default_factory=socket.gethostname)
    flags: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Stack:
    """What runs, and what helps against the absence of the rest; each by the program's name."""

    programs: dict[str, Program] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def watch(self) -> None:
        """Waits for ever.

        Raises:
            StackError: a program has ended by itself.
        """
        while True:
            for program in self.programs.values():
                program.check()
            time.sleep(1)


@contextlib.contextmanager
def running(folder: Path, boxes: Sequence[Box], take: Callable[[str, Alert], None]) -> Iterator[Stack]:
    """Runs all that is installed, each on its usual port or, where that is taken, on any.

    Args:
        folder: an empty directory for copies of the files, the data and the logs.
        boxes: what to look at, at least one.
        take: gets the receiver's name and the alert, of each alert that is sent.

    Raises:
        StackError: something that is installed does not start.
    """
    at = {name: address(port) for name, port in PORTS.items()}
    first, *others = boxes
    exporters = {at["exporter"]: first} | {address(0): box for box in others}
    stack = Stack()
    with contextlib.ExitStack() as block:
        sink = block.enter_context(received(take))
        copies.alertmanager(folder, sink)
        copies.prometheus(
            folder,
            {box.name: where for where, box in exporters.items()},
            here=at["Prometheus"],
            alertmanager=at["Alertmanager"],
            interval=INTERVAL,
        )
        settings = copies.grafana(folder, f"http://{at['Prometheus']}", RATES)
        starts: dict[str, Callable[[Path, str], Running]] = {
            "exporter": lambda folder, where: programs.exporter(folder, where, first.flags, first.env),
            "Alertmanager": programs.alertmanager,
            "Prometheus": programs.prometheus,
            "Grafana": lambda folder, where: programs.grafana(folder, where, settings),
        }
        for where, box in list(exporters.items())[1:]:
            started = programs.exporter(folder, where, box.flags, box.env, box.name)
            stack.programs[box.name] = block.enter_context(started)
        for name, start in starts.items():
            try:
                stack.programs[name] = block.enter_context(start(folder, at[name]))
            except MissingError as missing:
                stack.missing[name] = str(missing)
        yield stack
