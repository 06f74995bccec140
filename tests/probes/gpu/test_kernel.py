"""AMD's and Intel's cards as a whole: several, asleep, hostile, and who holds their memory."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.probe import Host, ProbeError
from exporter.probes.gpu import kernel, sysfs
from tests.probes.gpu.test_cards import AMD, collect
from tests.probes.gpu.test_clients import Processes
from tests.probes.gpu.trees import plant, recorded

GIB = 1024**3
APU, DGPU, ARC = "0000:c1:00.0", "0000:0c:00.0", "0000:09:00.0"
ID = "4f" * 32


def labelled(found: dict[str, float], name: str) -> dict[str, float]:
    """The series of a family, by their labels."""
    prefix = f"grid_gpu_{name}{{"
    return {key.removeprefix(prefix)[:-1]: value for key, value in found.items() if key.startswith(prefix)}


def test_several_cards(host: Host) -> None:
    """Cards are numbered for each vendor in the order of their slots, whatever the kernel calls them."""
    recorded("amd/radeon-890m", host.sys, "card0")
    recorded("amd/rx-6900-xt", host.sys, "card11")
    recorded("intel/arc-b580", host.sys, "card2")
    (host.sys / "class/drm/card2-DP-1").mkdir()
    found = collect(host, "amd") | collect(host, "intel")
    assert labelled(found, "temperature_celsius") == {
        f'gpu="amd0",uuid="{DGPU}"': 56,
        f'gpu="amd1",uuid="{APU}"': 38,
        f'gpu="intel0",uuid="{ARC}"': 54,
    }
    assert (found['grid_gpus{vendor="amd"}'], found['grid_gpus{vendor="intel"}']) == (2, 1)


@pytest.mark.parametrize("vendor", ["0x1a03", "0x1af4", "0x102b", "0x10de", "", "junk"])
def test_display_is_no_card(host: Host, vendor: str) -> None:
    """What a server's management or a virtual machine draws with is no GPU."""
    plant(f"[class/drm/card0/device]\nvendor = {vendor}\n", host.sys)
    assert collect(host, "amd") == {'grid_gpus{vendor="amd"}': 0}
    assert collect(host, "intel") == {'grid_gpus{vendor="intel"}': 0}


IDENTITY = ("vendor", "uevent", "revision", "unique_id", "product_name", "vbios_version", "runtime_status",
            "power_state", "version")  # fmt: skip


@pytest.mark.parametrize("card", ["amd/rx-6900-xt", "intel/arc-b580"])
@pytest.mark.parametrize("state", ["power/runtime_status suspended", "power_state D3cold"])
def test_sleeping_card_is_not_woken(
    host: Host, monkeypatch: pytest.MonkeyPatch, card: str, state: str
) -> None:
    """Of a suspended card nothing is opened but what the kernel knows without it."""
    file, _, content = state.partition(" ")
    recorded(card, host.sys)
    (device,) = host.sys.glob("class/drm/card*/device")
    processes = Processes(host.proc)
    processes.open(10, 3, "/dev/dri/renderD128", f"drm-pdev:\t{DGPU}\n")
    plant(f"[class/drm/renderD128/device]\nuevent = PCI_SLOT_NAME={DGPU}\n", host.sys)
    (device / "power/runtime_status").unlink()
    (device / file).write_text(f"{content}\n")
    opened = list[str]()

    def open_(path: str | Path, *args: int) -> int:
        opened.append(str(path))
        return os_open(path, *args)

    os_open = os.open
    monkeypatch.setattr(os, "open", open_)
    found = collect(host, card.partition("/")[0])
    assert {name.partition("{")[0] for name in found} == {"grid_gpus", "grid_gpu_info", "grid_gpu_asleep"}
    assert list(labelled(found, "asleep").values()) == [1]
    read = {path for path in opened if "/card" in path or "fdinfo" in path}
    assert {path.rpartition("/")[2] for path in read} <= {*IDENTITY}


@pytest.mark.parametrize(
    ("status", "asleep"),
    [("active", 0), ("resuming", 0), ("unsupported", 0), ("suspending", 1), ("error", None), ("", None)],
)
def test_asleep(host: Host, status: str, asleep: float | None) -> None:
    """Whether a card sleeps is known by the kernel's words alone."""
    plant(f"{AMD}power/runtime_status = {status}\n", host.sys)
    assert list(labelled(collect(host, "amd"), "asleep").values()) == ([] if asleep is None else [asleep])


def test_memory_by_rocm(host: Host) -> None:
    """ROCm's memory is known of all users' processes, and summed by program and container."""
    recorded("amd/radeon-890m", host.sys)
    host.container_names[ID] = "ollama"
    plant(
        "[class/kfd/kfd/proc/100]\nvram_59419 = 1000\npasid = 7\nsdma_59419 = 5\nvram_1 = 9\n"
        "[class/kfd/kfd/proc/101]\nvram_59419 = 20\n[class/kfd/kfd/proc/102]\nvram_59419 = 3\n"
        "[class/kfd/kfd/proc/103]\nvram_59419 = 0\n",
        host.sys,
    )
    programs = {
        100: ("/opt/llama-server\0-m\0/m/tiny.gguf", f"docker-{ID}.scope"),
        101: ("llama-server", "x"),
        102: ("./llama-server", "y"),
    }
    for pid, (command, group) in programs.items():
        plant(f"[{pid}]\ncmdline = {command}\ncgroup = 0::/system.slice/{group}\n", host.proc)
    assert labelled(collect(host, "amd"), "process_memory_bytes") == {
        f'container="ollama",gpu="amd0",model="tiny",process="llama-server",uuid="{APU}"': 1000,
        f'container="",gpu="amd0",process="llama-server",uuid="{APU}"': 23,
    }


def test_memory_by_fdinfo(host: Host) -> None:
    """With every process read their number is known; ROCm's memory is in fdinfo, too, and counts once."""
    recorded("amd/radeon-890m", host.sys)
    plant(f"[class/drm/renderD128/device]\nuevent = PCI_SLOT_NAME={APU}\n"
          "[class/kfd/kfd/proc/10]\nvram_59419 = 4096\n", host.sys)  # fmt: skip
    processes = Processes(host.proc)
    for pid, kib in ((10, 1024), (11, 2)):
        info = (
            f"drm-pdev:\t{APU}\ndrm-client-id:\t{pid}\ndrm-memory-gtt: \t{kib} KiB\ndrm-memory-vram:\t1 KiB\n"
        )
        processes.open(pid, 3, "/dev/dri/renderD128", info)
        (host.proc / str(pid) / "comm").write_text("server\n")
    (host.proc / "11/cmdline").write_text("vllm\0serve\0org/x\0")
    found = collect(host, "amd")
    assert labelled(found, "process_memory_bytes") == {
        f'container="",gpu="amd0",process="server",uuid="{APU}"': 1025 * 1024,
        f'container="",gpu="amd0",model="org/x",process="vllm",uuid="{APU}"': 3 * 1024,
    }
    assert labelled(found, "processes") == {f'gpu="amd0",uuid="{APU}"': 2}


def test_memory_by_cgroup(host: Host) -> None:
    """The kernel's count by container holds where nothing is known of its processes, and only there."""
    recorded("intel/arc-b580", host.sys)
    host.container_names[ID] = "vllm"
    inner = f"system.slice/docker-{ID}.scope"
    plant(
        f"dmem.capacity = drm/{ARC}/vram0 {12 * GIB}\\ndrm/{ARC}/stolen 67108864\n"
        f"[system.slice]\ndmem.current = drm/{ARC}/vram0 {9 * GIB}\n"
        f"[{inner}]\ndmem.current = drm/{ARC}/vram0 {8 * GIB}\\ndrm/{ARC}/stolen 4096\n"
        f"[{inner}/inner]\ndmem.current = drm/{ARC}/vram0 {7 * GIB}\n",
        host.cgroup,
    )
    found = collect(host, "intel")
    assert labelled(found, "process_memory_bytes") == {
        f'container="vllm",gpu="intel0",process="",uuid="{ARC}"': 8 * GIB
    }
    assert labelled(found, "memory_total_bytes") == {f'gpu="intel0",uuid="{ARC}"': 12 * GIB}
    assert labelled(found, "memory_used_bytes") == labelled(found, "processes") == {}


def test_memory_used_of_intel(host: Host) -> None:
    """Where every process can be read their sum is what is used, since no file has it."""
    recorded("intel/arc-b580", host.sys)
    plant(f"dmem.capacity = drm/{ARC}/vram0 {12 * GIB}\n", host.cgroup)
    plant(f"[class/drm/renderD129/device]\nuevent = PCI_SLOT_NAME={ARC}\n", host.sys)
    info = f"drm-pdev:\t{ARC}\ndrm-client-id:\t1\ndrm-resident-vram0:\t5 GiB\ndrm-resident-system:\t1 GiB\n"
    Processes(host.proc).open(10, 3, "/dev/dri/renderD129", info)
    found = collect(host, "intel")
    assert list(labelled(found, "memory_used_bytes").values()) == [5 * GIB]
    assert list(labelled(found, "memory_free_bytes").values()) == [7 * GIB]


def test_unexplained_memory_is_a_note(host: Host) -> None:
    """Memory that processes hold which may not be read is a note, with how to have it read."""
    memory = host.sys / "class/drm/card0/device/mem_info_vram_used"
    plant(
        f"{AMD}mem_busy_percent = 0\nmem_info_vram_total = {16 * GIB}\nmem_info_vram_used = {GIB // 2}\n",
        host.sys,
    )
    assert kernel.collect(host, "amd", kernel.State(), 0.0).notes == ()
    memory.write_text(f"{9 * GIB}\n")
    (note,) = kernel.collect(host, "amd", kernel.State(), 0.0).notes
    assert note.text == "9.66 GB of amd0's memory are held by processes that it may not read"
    assert "docs/gpu.md" in note.hint
    Processes(host.proc)
    assert kernel.collect(host, "amd", kernel.State(), 0.0).notes == ()


def test_processes_are_looked_through_seldom(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run reads what changes and no more than that; all else every 15 seconds."""
    recorded("amd/radeon-890m", host.sys, "card0")
    recorded("amd/rx-6900-xt", host.sys, "card1")
    state, opened = kernel.State(), list[str]()

    def open_(path: str | Path, *args: int) -> int:
        opened.append(str(path))
        return os_open(path, *args)

    os_open = os.open
    monkeypatch.setattr(os, "open", open_)
    for now, most in ((0.0, 250), (14.0, 80), (15.0, 250)):
        opened.clear()
        collect(host, "amd", state, now)
        assert len(opened) <= most
        assert len([path for path in opened if path.endswith("gpu_id")]) == (0 if now == 14 else 2)
        assert not [path for path in opened if path.endswith("pcie_bw")]


def test_without_sysfs(host: Host) -> None:
    """Where there is no sysfs nothing is known: the run fails, and there is no 0."""
    host.sys = host.sys / "missing"
    with pytest.raises(ProbeError, match="is not there"):
        collect(host, "amd")


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EPERM, errno.EOPNOTSUPP, errno.ENODEV, errno.EIO])
def test_file_that_fails(host: Host, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A file that can't be read now, as all of a card in a reset, is absent and costs no other."""
    recorded("amd/rx-6900-xt", host.sys)
    whole = collect(host, "amd")
    (busy,) = host.sys.glob("class/drm/card*/device/gpu_busy_percent")

    def read(fd: int, length: int) -> bytes:
        if os.path.samestat(os.fstat(fd), busy.stat()):
            raise OSError(code, os.strerror(code))
        return os_read(fd, length)

    os_read = os.read
    monkeypatch.setattr(os, "read", read)
    assert {name for name in whole if name not in collect(host, "amd")} == {
        f'grid_gpu_utilization_ratio{{gpu="amd0",uuid="{DGPU}"}}'
    }


def test_card_that_vanishes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that is removed while it is read takes its values along, and the next run doesn't count it."""
    recorded("amd/rx-6900-xt", host.sys)
    (device,) = host.sys.glob("class/drm/card*/device")

    def vanish(card: sysfs.Card) -> float | None:
        device.rename(device.with_name("gone"))
        return None

    monkeypatch.setattr(sysfs.Card, "asleep", vanish)
    assert {name.partition("{")[0] for name in collect(host, "amd")} == {"grid_gpus", "grid_gpu_info"}
    assert collect(host, "amd") == {'grid_gpus{vendor="amd"}': 0}


def test_endless_file(host: Host) -> None:
    """Of a file without end a page is read, and a pipe is not waited for."""
    recorded("amd/rx-6900-xt", host.sys)
    (device,) = host.sys.glob("class/drm/card*/device")
    for name in ("gpu_busy_percent", "mem_info_vram_used", "hwmon", "pcie_bw"):
        (device / name).rename(device / f"{name}.old")
        (device / name).symlink_to("/dev/zero")
    (device / "mem_busy_percent").unlink()
    os.mkfifo(device / "mem_busy_percent")
    found = {name.partition("{")[0].removeprefix("grid_gpu_") for name in collect(host, "amd")}
    assert "memory_total_bytes" in found
    assert not found & {
        "utilization_ratio",
        "memory_used_bytes",
        "memory_utilization_ratio",
        "power_draw_watts",
    }


HOSTILE = st.one_of(
    st.none(),
    st.binary(max_size=40),
    st.sampled_from([b"-1\n", b"1e400\n", b"nan\n", b"9" * 5000, b"\0" * 4096, b'"\n}', b"\xff\xfe", b"1_0"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    card=st.sampled_from(["amd/rx-6900-xt", "amd/radeon-890m", "intel/arc-b580", "intel/uhd-620"]),
)
def test_hostile_sysfs(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, card: str) -> None:
    """Whatever files hold, or where they are missing: no run fails, no series comes twice."""
    sys = recorded(card, tmp_path_factory.mktemp("sys"))
    files = sorted(path for path in sys.rglob("*") if path.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), max_size=8, unique=True)):
        content = data.draw(HOSTILE)
        path.unlink()
        if content is not None:
            path.write_bytes(content)
    nowhere = Path("/nowhere")
    found = collect(Host(proc=nowhere, sys=sys, cgroup=nowhere, root=nowhere), card.partition("/")[0])
    assert all(value >= 0 for value in found.values())
    assert all(value <= 1 for name, value in found.items() if "utilization_ratio" in name)
