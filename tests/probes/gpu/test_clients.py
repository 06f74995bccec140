"""Which processes have a card open: each client once, those that may be read, a few at a time."""

import os
from pathlib import Path

import pytest

from exporter.probes.gpu import fdinfo
from exporter.probes.gpu.clients import YOUNG, Search
from tests.probes.gpu.test_fdinfo import CARD, MIB, text


class Processes:
    """A /proc of processes that have cards open."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.open(1, 0, "/dev/null")

    def open(self, pid: int, fd: int, target: str, content: str = "") -> None:
        """Lets a process open something, of which fdinfo says that."""
        for name in ("fd", "fdinfo"):
            (self.proc / str(pid) / name).mkdir(parents=True, exist_ok=True)
        (self.proc / f"{pid}/fd/{fd}").symlink_to(target)
        (self.proc / f"{pid}/fdinfo/{fd}").write_text(content)


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


def held(processes: Processes, *, shares: bool = False) -> dict[int, int]:
    """What each process holds of the card, MiB."""
    scan = Search(str(processes.proc)).scan({"renderD128": CARD, "card1": CARD}, 0.0)
    memory = fdinfo.memory(scan.clients, CARD, shares=shares)
    return {pid: used // MIB for pid, used in memory.items()}


def test_each_client_counts_once(processes: Processes) -> None:
    """A duplicate and a fork have the same client; another opening of the same card has one of its own."""
    first, second = text("drm-resident-vram0:\t100 MiB"), text("drm-resident-vram0:\t7 MiB", client=4)
    processes.open(10, 3, "/dev/dri/renderD128", first)
    processes.open(10, 4, "/dev/dri/renderD128", first)
    processes.open(10, 5, "/dev/dri/card1", second)
    processes.open(11, 3, "/dev/dri/renderD128", first)
    assert held(processes) == {10: 107}


def test_shared_memory_counts_once(processes: Processes) -> None:
    """What two have in common is the one's that shares most; each keeps what it has alone."""
    for pid, client, resident, shared in ((10, 1, 100, 40), (11, 2, 50, 30), (12, 3, 5, 0)):
        lines = (f"drm-resident-vram0:\t{resident} MiB", f"drm-shared-vram0:\t{shared} MiB")
        processes.open(pid, 3, "/dev/dri/renderD128", text(*lines, client=client))
    assert held(processes) == {10: 100, 11: 20, 12: 5}


def test_memory_of_the_host(processes: Processes) -> None:
    """A card in a processor holds the host's memory, another's use of it is not the card's."""
    lines = ("drm-resident-vram:\t3 MiB", "drm-resident-gtt:\t200 MiB", "drm-resident-cpu:\t9 MiB")
    processes.open(10, 3, "/dev/dri/renderD128", text(*lines))
    assert (held(processes), held(processes, shares=True)) == ({10: 3}, {10: 203})


def test_other_files_are_not_read(processes: Processes) -> None:
    """Only the cards that were asked for are: reading a sleeping card's fdinfo would wake it."""
    for fd, target in enumerate(("/dev/dri/renderD129", "/dev/dri/by-path/renderD128", "/tmp/renderD128")):
        processes.open(10, fd, target, text("drm-resident-vram0:\t1 MiB"))
    processes.open(
        10, 7, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB").replace(CARD, "0000:04:00.0")
    )
    assert held(processes) == {}


def test_process_that_may_not_be_read(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process makes the list incomplete; one that has ended doesn't."""
    processes.open(10, 3, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB"))
    listing = os.listdir
    for error, complete in ((FileNotFoundError(), True), (PermissionError(), False)):

        def listdir(path: str, error: OSError = error) -> list[str]:
            if "/10/" in path:
                raise error
            return listing(path)

        monkeypatch.setattr(os, "listdir", listdir)
        assert Search(str(processes.proc)).scan({}, 0.0).complete is complete


def test_process_whose_links_may_not_be_read(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the capability to trace all of fdinfo is read, unless a card sleeps, which that could wake."""
    processes.open(10, 3, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB"))
    processes.open(10, 4, "/tmp/x", "pos:\t0\n")
    listing = os.listdir

    def listdir(path: str) -> list[str]:
        if path.endswith("/10/fd"):
            raise PermissionError
        return listing(path)

    monkeypatch.setattr(os, "listdir", listdir)
    assert held(processes) == {10: 1}
    scan = Search(str(processes.proc)).scan({"renderD128": CARD}, 0.0, all_awake=False)
    assert (scan.clients, scan.complete) == ({}, False)


def test_hidden_processes(processes: Processes) -> None:
    """Where the first process is not shown (hidepid) others aren't either."""
    assert Search(str(processes.proc)).scan({}, 0.0).complete
    (processes.proc / "self").symlink_to("10")
    assert Search(str(processes.proc)).scan({}, 0.0).complete
    (processes.proc / "1").rename(processes.proc / "10")
    assert not Search(str(processes.proc)).scan({}, 0.0).complete


def test_no_processes(tmp_path: Path) -> None:
    """Where there is no /proc nothing is known."""
    assert not Search(str(tmp_path / "missing")).scan({}, 0.0).complete


class Budget:
    """A clock of processor time by which every step takes longer than a search may."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        """The time, later by a second at each call."""
        self.time += 1.0
        return self.time


def test_a_few_processes_are_searched_a_run(processes: Processes) -> None:
    """Once all were searched a run looks through one new or young process and one other; clients are kept."""
    nodes = {"renderD128": CARD}
    for pid in range(10, 20):
        processes.open(pid, 3, "/dev/null")
    processes.open(30, 3, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB", client=30))
    search = Search(str(processes.proc), Budget())
    assert set(search.scan(nodes, 0.0).clients) == {30}
    processes.open(15, 4, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB", client=15))
    processes.open(40, 3, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB", client=40))
    assert set(search.scan(nodes, 1.0).clients) == {30, 40}
    found = [15 in search.scan(nodes, 2.0).clients for _ in range(14)]
    assert (found[0], found[-1]) == (False, True)


def test_a_young_process_is_searched_each_run(processes: Processes) -> None:
    """What opens a card soon after its start is found then, however many others there are."""
    for pid in range(10, 60):
        processes.open(pid, 3, "/dev/null")
    search = Search(str(processes.proc), Budget())
    search.scan({}, 0.0)
    processes.open(70, 3, "/dev/null")
    assert search.scan({"card1": CARD}, 1.0).clients == {}
    processes.open(70, 4, "/dev/dri/card1", text("drm-resident-vram0:\t1 MiB"))
    assert set(search.scan({"card1": CARD}, YOUNG).clients) == {70}


def test_what_is_no_longer_open_is_forgotten(processes: Processes) -> None:
    """A process that ended or closed the card holds nothing, nor one that has its number by now."""
    nodes = {"renderD128": CARD}
    for pid in (10, 11):
        processes.open(pid, 3, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB", client=pid))
    search = Search(str(processes.proc))
    assert set(search.scan(nodes, 0.0).clients) == {10, 11}
    (processes.proc / "10/fdinfo/3").unlink()
    (processes.proc / "10/fd/3").unlink()
    (processes.proc / "11").rename(processes.proc / "gone")
    assert search.scan(nodes, 1.0).clients == {}
    processes.open(10, 5, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB"))
    processes.open(11, 5, "/dev/null")
    assert set(search.scan(nodes, 2.0).clients) == {10}


def test_a_card_that_wakes_has_its_clients(processes: Processes) -> None:
    """Files of a sleeping card are known but not read, so that they are read as soon as it is awake."""
    processes.open(10, 3, "/dev/dri/renderD128", text("drm-resident-vram0:\t1 MiB"))
    search = Search(str(processes.proc))
    assert search.scan({}, 0.0, all_awake=False).clients == {}
    assert set(search.scan({"renderD128": CARD}, 1.0).clients) == {10}


def test_many_files_are_searched_in_steps(processes: Processes) -> None:
    """A process with thousands of files is searched over several runs."""
    for fd in range(100):
        processes.open(10, fd, "/dev/null")
    search = Search(str(processes.proc), Budget())
    search.scan({}, 0.0)
    processes.open(10, 100, "/dev/dri/card1", text("drm-resident-vram0:\t1 MiB"))
    runs = [bool(search.scan({"card1": CARD}, 1.0).clients) for _ in range(60)]
    assert (runs[0], runs[-1]) == (False, True)
