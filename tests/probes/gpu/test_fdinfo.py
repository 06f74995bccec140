"""Reading DRM's fdinfo, whose keys and units changed from kernel to kernel."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probes.gpu import fdinfo
from exporter.probes.gpu.fdinfo import Client, parse_client

KIB, MIB = 1024, 1024**2
CARD = "0000:03:00.0"


def text(*lines: str, client: int = 3) -> str:
    return "\n".join(
        ["pos:\t0", "drm-driver:\txe", f"drm-client-id:\t{client}", f"drm-pdev:\t{CARD}", *lines, ""]
    )


@pytest.mark.parametrize(
    ("lines", "resident", "shared"),
    [
        # xe: units vary from line to line, and a bare number is of bytes
        (
            ["drm-total-vram0:\t30 MiB", "drm-resident-vram0:\t23992 KiB", "drm-shared-vram0:\t16 MiB",
             "drm-resident-gtt:\t192 KiB", "drm-resident-system:\t0", "drm-resident-stolen:\t4096"],
            {"vram0": 23992 * KIB, "gtt": 192 * KIB, "system": 0, "stolen": 4096}, {"vram0": 16 * MIB},
        ),
        # amdgpu of Linux 6.13: the same memory under its old name, too
        (
            ["drm-resident-vram:\t44564 KiB", "drm-memory-vram:\t44564 KiB", "drm-memory-gtt: \t2392 KiB"],
            {"vram": 44564 * KIB, "gtt": 2392 * KIB}, {},
        ),
        (["drm-memory-vram:\t1 GiB"], {"vram": 1024 * MIB}, {}),
        (["drm-engine-gfx:\t107322799 ns", "drm-engine-capacity-vcs:\t2", "drm-cycles-rcs:\t1"], {}, {}),
        (["drm-resident-vram:\t-1 KiB", "drm-resident-gtt:\t1e3", "drm-resident-cpu: 1 TiB"], {}, {}),
    ],
)  # fmt: skip
def test_client(lines: list[str], resident: dict[str, int], shared: dict[str, int]) -> None:
    """What is resident counts, once, in bytes; what is not understood is left out."""
    assert parse_client(text(*lines)) == Client(CARD, "3", resident, shared)


def test_client_of_linux_5_14() -> None:
    """The first kernels with fdinfo had other keys, and no id but that of the address space."""
    old = f"pdev:\t{CARD}\npasid:\t32771\nvram mem:\t1024 kB\ngtt mem:\t2048 kB\ngfx0:\t12.50%\n"
    assert parse_client(old) == Client(CARD, "pasid 32771", {"vram": MIB, "gtt": 2 * MIB}, {})


def test_client_that_is_cut_off() -> None:
    """A process that ends while it is read leaves half a line, whose number lacks digits."""
    whole = text("drm-resident-vram0:\t1024 KiB", "drm-resident-gtt:\t2048 KiB")
    client = parse_client(whole[: whole.index("2048") + 2])
    assert client is not None
    assert client.resident == {"vram0": MIB}


@pytest.mark.parametrize("other", ["", "pos:\t0\n", "drm-pdev:\t../../x\n", "drm-driver:\tvc4\n", "\0\n"])
def test_no_client(other: str) -> None:
    """What names no card on the PCI bus is none."""
    assert parse_client(other) is None


@given(st.text(max_size=300))
def test_any_text(junk: str) -> None:
    """Nothing makes it fail, and no amount is negative."""
    client = parse_client(text(*(f"{name}{junk}" for name in ("drm-resident-", "drm-shared-vram:", ""))))
    assert client is None or all(amount >= 0 for amount in client.resident.values())


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
    scan = fdinfo.scan(str(processes.proc), {"renderD128": CARD, "card1": CARD})
    memory = fdinfo.memory(scan, CARD, shares=shares)
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
        assert fdinfo.scan(str(processes.proc), {}).complete is complete


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
    scan = fdinfo.scan(str(processes.proc), {"renderD128": CARD}, all_awake=False)
    assert (scan.clients, scan.complete) == ({}, False)


def test_hidden_processes(processes: Processes) -> None:
    """Where the first process is not shown (hidepid) others aren't either."""
    assert fdinfo.scan(str(processes.proc), {}).complete
    (processes.proc / "self").symlink_to("10")
    assert fdinfo.scan(str(processes.proc), {}).complete
    (processes.proc / "1").rename(processes.proc / "10")
    assert not fdinfo.scan(str(processes.proc), {}).complete


def test_no_processes(tmp_path: Path) -> None:
    """Where there is no /proc nothing is known."""
    assert not fdinfo.scan(str(tmp_path / "missing"), {}).complete
