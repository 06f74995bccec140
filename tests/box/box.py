"""A fake box: made in a directory, used by putting its bin/ before PATH, changed and broken while in use."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import yaml

from exporter.aide import summary as aide
from tests.box import containers, disks, faults, host, sessions, stores, units, waves
from tests.box.files import PROJECT, put

TOOLS = ("nvidia-smi", "docker", "systemctl", "curl", "ionice", "ups")
EXITS = ("198.51.100.34", "2001:db8:6ec:203::116", "203.0.113.4", "198.51.100.114")
RUN = '#!/bin/sh\nexec {python} -I -S {tool} {box} {name} "$@"\n'


@dataclass(frozen=True, slots=True)
class FakeBox:
    """A box in a directory. All that is switched takes effect with the next run of a tool."""

    directory: Path

    # ---- how to run an exporter on it

    @property
    def environment(self) -> dict[str, str]:
        """What the exporter needs to find the tools, and a place for its state."""
        path = f"{self.directory}/bin:{os.environ.get('PATH', os.defpath)}"
        return {"PATH": path, "STATE_DIRECTORY": f"{self.directory}/state"}

    @property
    def flags(self) -> list[str]:
        """The exporter's flags for it."""
        here = self.directory
        return [
            f"--config.file={here}/config.yml",
            f"--path.procfs={here}/proc",
            f"--path.sysfs={here}/sys",
            f"--path.cgroup={here}/cgroup",
        ]

    def configure(
        self,
        *,
        ttl: str | None = None,
        directories: Sequence[Path] = (),
        servers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Writes the exporter's configuration, with every kind of probe.

        ttl: of all of them, in place of their own. directories: to be scanned besides the box's own.
        servers: the URLs of LLM servers, by name.
        """
        here = self.directory
        scanned = [*disks.directories(here), *map(str, directories)]
        probes: dict[str, dict[str, Any]] = {
            "host": {},
            "gpu": {},
            "disk": {"directories": scanned},
            "tor": {"control": f"unix:{here}/control"},
            "containers": {},
            "services": {"categories": units.CATEGORIES},
            "aide": {"state": f"{here}/aide"},
        }
        command = {"name": "ups", "argv": [f"{here}/bin/ups"]}
        for settings in (*probes.values(), command) if ttl else ():
            settings["ttl"] = ttl
        if servers:
            probes["llm"] = {"servers": [{"name": name, "url": url} for name, url in servers.items()]}
        written = {"probes": probes | {"commands": [command]}}
        put(here / "config.yml", yaml.safe_dump(written, sort_keys=False))

    # ---- faults of tools

    def fault(self, tool: str, fault: str) -> None:
        """Switches a fault on (faults.py lists them); besides, a tool may be ``missing`` or ``denied``.

        Raises:
            ValueError: there is no such fault.
        """
        self.repair(tool)
        program = self.directory / "bin" / tool
        if fault in ("missing", "denied"):
            program.chmod(0o644)
            if fault == "missing":
                program.rename(self.directory / "faults" / f"{tool}.hidden")
        elif faults.known(fault):
            put(self.directory / "faults" / tool, fault)
        else:
            raise ValueError(f"there is no fault {fault!r}: see {faults.__file__}")

    def repair(self, *tools: str) -> None:
        """Switches the faults of these tools off, or of all."""
        for tool in tools or TOOLS:
            program, hidden = self.directory / "bin" / tool, self.directory / "faults" / f"{tool}.hidden"
            (self.directory / "faults" / tool).unlink(missing_ok=True)
            if hidden.exists():
                hidden.rename(program)
            program.chmod(0o755)

    def slow(self, factor: float = 1) -> None:
        """Makes the tools as slow as on the box that all this began with: a scan of 20 s, Tor's 5 s."""
        seconds = {"ionice": 20, "curl": 5, "nvidia-smi": 2, "docker": 1, "systemctl": 0.2}
        for tool, lasts in seconds.items():
            self.fault(tool, f"slow {lasts * factor:g}")

    def runs(self, tool: str) -> list[str]:
        """The arguments of every run of a tool so far."""
        lines = (self.directory / "runs" / tool).read_text("utf-8").splitlines()
        return [line.partition(" ")[2] for line in lines]

    # ---- the state of things

    def now(self) -> float:
        """The box's Unix time."""
        return waves.now(str(self.directory))

    def use_own_disks(self) -> None:
        """Its directories lie on disks of its own, on which its models fit, and not on this machine's."""
        disks.born(self.directory)
        self.configure()

    def freeze(self, moment: float) -> None:
        """Stops the box's time, and shows a recorded host in place of this one: nothing moves any more."""
        put(self.directory / "clock", str(moment))
        host.freeze(self.directory)

    def container(self, name: str, **changes: Any) -> None:
        """Changes how a container is: any of the keywords of ``containers.alter``."""
        inspected = containers.load(self.directory, name)
        containers.alter(inspected, **changes)
        containers.save(self.directory, inspected)

    def remove_container(self, name: str) -> None:
        """Removes a container."""
        (self.directory / "docker/containers" / containers.full_id(name)).unlink()

    def service(self, name: str, state: str, **properties: str) -> None:
        """Puts a unit into a state, such as ``failed``; properties are systemctl's own."""
        units.alter(self.directory, name, ActiveState=state, **properties)

    def start_service(self, name: str) -> None:
        """Starts a unit now."""
        units.start(self.directory, name, self.now())

    def reset_services(self) -> None:
        """All units are as they were at first."""
        units.born(self.directory, self.now())

    def remove_service(self, name: str) -> None:
        """Removes a unit."""
        (self.directory / "systemd" / name).unlink()

    def overdue(self, timer: str) -> None:
        """A timer was to elapse an hour ago, and did not."""
        units.overdue(self.directory, timer, self.now())

    def gpu(self, index: int, fault: str = "") -> None:
        """Gives a card a fault (hot, throttled, full, ecc, gone), or none."""
        path = self.directory / "gpu/faults"
        others = [line for line in path.read_text().splitlines() if not line.startswith(f"{index} ")]
        put(path, "".join(f"{line}\n" for line in [*others, *([f"{index} {fault}"] if fault else [])]))

    def tor(self, state: str = "up", exits: Sequence[str] = EXITS) -> None:
        """Tor is ``up``, ``down`` or ``not-tor`` (requests go round it), or the check page is ``broken``."""
        put(self.directory / "tor", "\n".join([state, *exits]))

    def aide(self, *, success: bool = True, ago: float = 7200, took: float = 372, **found: int) -> None:
        """AIDE's last check, so many seconds ago: the files it found ``added``, ``removed``, ``changed``."""
        path = self.directory / "aide/summary.json"
        before = aide.load_summary(path)
        made = before.database_timestamp if before else self.now() - 9 * 86400
        ended = self.now() - ago
        reason = "" if success else "AIDE ended with exit status 17"
        last = aide.Summary(
            success=success, started=ended - took, ended=ended, reason=reason, database_timestamp=made
        )
        if success:
            last = msgspec.structs.replace(last, id="ab" * 32, total=81234, **found)
        aide.save(path, last)

    def accepted(self, *, ago: float) -> None:
        """What AIDE had found was accepted, so many seconds ago."""
        path = self.directory / "aide/outcome.json"
        aide.save(path, aide.Outcome(success=True, timestamp=self.now() - ago, id="cd" * 32))

    def memory(self, available: float, total: int | None = None) -> None:
        """So large a part of the memory (``total``, KiB) is available, of the swap little more is free."""
        host.memory(self.directory, available, total)

    def pressure(self, resource: str, seconds: float) -> None:
        """So many seconds more in which everything waited for ``cpu``, ``memory`` or ``io``."""
        host.pressure(self.directory, resource, seconds)

    def load(self, tasks: float, seconds: float) -> None:
        """So many tasks run, and have used so many seconds more of the processors."""
        host.load(self.directory, tasks, seconds)

    def own_host(self) -> None:
        """The host is this machine again."""
        host.born(self.directory)

    def model(self, name: str, size: float) -> None:
        """A file of a model grows or shrinks to so many bytes, or is new."""
        stores.sized(self.directory / "models" / name, size)


def make(
    directory: Path,
    *,
    gpus: int = 2,
    count: int = len(containers.USUAL),
    models: int = 10,
    frozen: float | None = None,
) -> FakeBox:
    """Makes a box in a new directory.

    gpus, count, models: how many cards, containers and models it has. frozen: the Unix time at which it is
    to stand still from the beginning.
    """
    for folder in ("bin", "runs", "faults", "proc", "state", "aide"):
        (directory / folder).mkdir(parents=True)
    box = FakeBox(directory.resolve())
    for name in TOOLS:
        words = {"python": sys.executable, "tool": PROJECT / "tests/box/tool.py", "box": box.directory}
        script = RUN.format(name=name, **{key: shlex.quote(str(word)) for key, word in words.items()})
        put(box.directory / "bin" / name, script, 0o755)
        (box.directory / "runs" / name).touch()
    if frozen is None:
        host.born(box.directory)
    else:
        box.freeze(frozen)
    containers.born(box.directory, containers.chosen(count), box.now())
    units.born(box.directory, box.now())
    stores.born(box.directory, models)
    sessions.born(box.directory, gpus)
    box.tor()
    box.aide()
    box.accepted(ago=9 * 86400)
    box.configure()
    return box


def remove(box: FakeBox) -> None:
    """Removes a box and all that is in it."""
    shutil.rmtree(box.directory)
