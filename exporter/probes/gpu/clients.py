"""Which processes have a card open, by the fdinfo of their files under /dev/dri.

To look through all processes takes as long as ten runs. So that is done once; then each run reads the files
that were found, and searches for others for a moment.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct, field

from exporter.probes.gpu.fdinfo import Client, parse_client
from exporter.system.files import read_start

LIMIT = 16 * 1024  # bytes of a fdinfo; the longest seen has 2,000
PID = re.compile(r"[1-9]\d{0,9}", re.ASCII)
SECONDS = 0.0002  # of processor time a run for young processes, and as much for the others
YOUNG = 60.0  # seconds in which most programs that use a card have opened it
PIECE = 4  # links, between two looks at the clock


class Scan(Struct):
    """The clients by process, each once. complete: whether every process could be read."""

    clients: dict[int, list[Client]] = field(default_factory=dict)
    complete: bool = True


class Search(Struct):
    """Remembers what was found.

    clock: of the thread's processor time. files: of each process the fdinfo of what it has open under
    /dev/dri, with the device's name, empty where that may not be known. seen: since when each process is
    known, the one that was searched the longest ago first. closed: those that may not be read. rest: what
    is still to be searched of the processes.
    """

    proc: str
    clock: Callable[[], float] = time.thread_time
    files: dict[int, dict[str, str]] = field(default_factory=dict)
    seen: dict[int, float] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    rest: Iterator[None] = field(default_factory=lambda: iter(()))
    all_awake: bool = True

    def scan(self, nodes: Mapping[str, str], now: float, *, all_awake: bool = True) -> Scan:
        """Reads the clients of some cards, those that are known and some new ones.

        nodes: the slots of those cards, by name of the device. now: in seconds.
        all_awake: whether no card of the host sleeps. Where one does only what is open under the names of
        ``nodes`` is read, since the fdinfo of a sleeping card would wake it.
        """
        self.all_awake = all_awake
        pids = [int(name) for name in _listing(self.proc) or () if name.isascii() and name.isdecimal()]
        self._search(pids, now)
        # Where the first process is not shown (hidepid) others aren't either.
        shown = bool(pids) and (1 in pids or not os.path.lexists(f"{self.proc}/self"))
        result, known = Scan(complete=shown and not self.closed), set[tuple[str, str]]()
        for pid in sorted(self.files):
            for client in self._read(pid, nodes):
                if client.slot in nodes.values() and (client.slot, client.identity) not in known:
                    known.add((client.slot, client.identity))
                    result.clients.setdefault(pid, []).append(client)
        return result

    def _search(self, pids: list[int], now: float) -> None:
        """Searches all processes at first; then new and young ones, and some of the others."""
        first, there = not self.seen, set(pids)
        for pid in self.seen.keys() - there:
            del self.seen[pid]
            self.files.pop(pid, None)
            self.closed.discard(pid)
        new = [pid for pid in pids if pid not in self.seen]
        self.seen |= dict.fromkeys(new, now - YOUNG if first else now)
        if first:
            self._spend(self._each(sorted(new)), float("inf"))
            return
        young = [pid for pid, since in self.seen.items() if now - since < YOUNG and pid not in new]
        self._spend(self._each([*new, *young]), SECONDS)
        if not self._spend(self.rest, SECONDS):
            self.rest = self._each(list(self.seen))

    def _spend(self, steps: Iterator[None], seconds: float) -> bool:
        """Takes steps for so long; returns whether there may be more."""
        end = self.clock() + seconds
        return any(self.clock() >= end for _ in steps)

    def _each(self, pids: list[int]) -> Iterator[None]:
        for pid in pids:
            if pid in self.seen:
                yield from self._process(pid)

    def _process(self, pid: int) -> Iterator[None]:
        """Finds a process's files, in steps.

        The capability to trace others' processes opens their fdinfo, but not the links to what is open.
        """
        process, found = f"{self.proc}/{pid}", dict[str, str]()
        names = _listing(f"{process}/fd")
        for number, name in enumerate(names or ()):
            if node := _node(f"{process}/fd/{name}"):
                found[f"{process}/fdinfo/{name}"] = node
            if number % PIECE == PIECE - 1:
                yield
        if names is None and self.all_awake:
            names = _listing(f"{process}/fdinfo")
            for name in names or ():
                if parse_client(read_start(f"{process}/fdinfo/{name}", LIMIT)):
                    found[f"{process}/fdinfo/{name}"] = ""
                yield
        if pid in self.seen:  # still, after those steps
            self.seen[pid] = self.seen.pop(pid)
            self.files.pop(pid, None)
            self.closed.discard(pid)
            if names is None:
                self.closed.add(pid)
            if found:
                self.files[pid] = found
        yield

    def _read(self, pid: int, nodes: Mapping[str, str]) -> Iterator[Client]:
        """A process's clients. Whose file is gone has closed it, or is another by now: it counts as new."""
        for path, node in self.files[pid].items():
            if node in nodes or (not node and self.all_awake):
                text = read_start(path, LIMIT)
                if client := parse_client(text):
                    yield client
                elif not text:
                    self.seen.pop(pid, None)


def _node(link: str) -> str:
    """The name of the device under /dev/dri that a link leads to; empty for any other."""
    try:
        directory, _, name = os.readlink(link).rpartition("/")  # noqa: PTH115 - faster
    except OSError:
        return ""
    return name if directory == "/dev/dri" else ""


def _listing(path: str) -> list[str] | None:
    """The names in a directory, none where the process has ended; None where it may not be read."""
    try:
        return os.listdir(path)  # noqa: PTH208 - faster
    except PermissionError:
        return None
    except OSError:
        return []
