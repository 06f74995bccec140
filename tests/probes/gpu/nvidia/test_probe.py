"""The gpu probe as a whole, against a fake nvidia-smi on PATH."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.probe import Host, Note, Probe, ProbeError, Result
from exporter.probes.gpu.nvidia import probe as nvidia
from exporter.probes.gpu.nvidia import process_list
from exporter.probes.gpu.nvidia.cards import FIELDS
from exporter.probes.gpu.nvidia.csv_table import parse_fields
from exporter.probes.gpu.nvidia.xid import KernelLog
from exporter.probes.gpu.probe import Settings, build, discover
from exporter.system.subprocesses import Output
from tests.box import nvidia_smi
from tests.probes.fake_smi import CAPTURES, SESSIONS, FakeSmi, responses
from tests.series import series

MIB = 1024 * 1024
QUERIES = ["--query-compute-apps", "--query-gpu"]
OFF_BUS = "Unable to determine the device handle for GPU1: 0000:0F:00.0: Unknown Error\n"
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
    "NVIDIA driver is installed and running.\n\n"
)


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSmi:
    """A fake nvidia-smi, first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return FakeSmi(tmp_path)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with no process in its /proc."""
    return Host(proc=tmp_path / "proc", root=tmp_path / "root", sys=tmp_path / "sys")


def replayer(session: Path) -> str:
    """A script that replays a session, whatever fields it is asked for."""
    return f'#!/bin/sh\nexec {sys.executable} -IS {nvidia_smi.__file__} {session} "$@"\n'


def short(full: dict[str, float]) -> dict[str, float]:
    """Series without grid_gpu_ and the UUID: ``power_draw_watts{gpu="0"}``."""
    return {re.sub(r'^grid_gpu_|,uuid="[^"]*"', "", name): value for name, value in full.items()}


async def collect(host: Host) -> Result:
    """One run of a new probe."""
    (probe,) = build(Settings(), host)
    return await probe.run()


async def metrics(host: Host) -> dict[str, float]:
    """The series of one run of a new probe."""
    return short(series((await collect(host)).families))


async def failure(host: Host) -> ProbeError:
    """Why one run of a new probe fails."""
    with pytest.raises(ProbeError) as caught:
        await collect(host)
    return caught.value


async def test_consumer_card(smi: FakeSmi, host: Host) -> None:
    """Each value of a loaded card comes in base units; what it doesn't have, such as ECC, is left out."""
    smi.replay("rtx-4090-loaded")
    assert await metrics(host) == {
        'grid_gpus{vendor="nvidia"}': 1,
        'info{driver="nvidia",driver_version="570.124.04",gpu="0",name="NVIDIA GeForce RTX 4090",'
        'pci_bus_id="00000000:01:00.0",vbios_version="95.02.3C.40.B8",vendor="nvidia"}': 1,
        'utilization_ratio{gpu="0"}': 0.97,
        'memory_utilization_ratio{gpu="0"}': 0.58,
        'memory_total_bytes{gpu="0"}': 24564 * MIB,
        'memory_used_bytes{gpu="0"}': 21630 * MIB,
        'memory_free_bytes{gpu="0"}': 2463 * MIB,
        'memory_reserved_bytes{gpu="0"}': 471 * MIB,
        'temperature_celsius{gpu="0"}': 71,
        'power_draw_watts{gpu="0"}': 438.56,
        'power_limit_watts{gpu="0"}': 450,
        'fan_speed_ratio{gpu="0"}': 0.57,
        'pcie_link_generation{gpu="0"}': 4,
        'pcie_link_width{gpu="0"}': 16,
        'clock_hertz{clock="graphics",gpu="0"}': 2.595e9,
        'clock_hertz{clock="sm",gpu="0"}': 2.595e9,
        'clock_hertz{clock="memory",gpu="0"}': 10.251e9,
        'clock_hertz{clock="video",gpu="0"}': 2.13e9,
        'performance_state{gpu="0"}': 2,
        'throttle_active{gpu="0",reason="gpu_idle"}': 0,
        'throttle_active{gpu="0",reason="applications_clocks_setting"}': 0,
        'throttle_active{gpu="0",reason="sw_power_cap"}': 1,
        'throttle_active{gpu="0",reason="hw_slowdown"}': 0,
        'throttle_active{gpu="0",reason="hw_thermal_slowdown"}': 0,
        'throttle_active{gpu="0",reason="hw_power_brake_slowdown"}': 0,
        'throttle_active{gpu="0",reason="sw_thermal_slowdown"}': 0,
        'throttle_active{gpu="0",reason="sync_boost"}': 0,
        'clock_max_hertz{clock="graphics",gpu="0"}': 3.105e9,
        'pcie_link_generation_max{gpu="0"}': 4,
        'pcie_link_width_max{gpu="0"}': 16,
        'power_max_limit_watts{gpu="0"}': 600,
        'processes{gpu="0"}': 4,
        'process_memory_bytes{container="",gpu="0",process="ollama"}': 19874 * MIB,
        'process_memory_bytes{container="",gpu="0",process="python3, main.py"}': 1204 * MIB,
        'process_memory_bytes{container="",gpu="0",process="[Not Found]"}': 256 * MIB,
        'process_memory_bytes{container="",gpu="0",process="electron"}': 148 * MIB,
    }


async def test_two_cards_with_ecc(smi: FakeSmi, host: Host) -> None:
    """Two datacentre cards keep their values apart; a process of unknown size is counted."""
    smi.replay("a100-pair")
    cards = await metrics(host)
    expected = {
        'grid_gpus{vendor="nvidia"}': 2,
        'ecc_errors_total{gpu="0",kind="corrected"}': 3,
        'ecc_errors_total{gpu="0",kind="uncorrected"}': 0,
        'ecc_errors_total{gpu="1",kind="corrected"}': 0,
        'ecc_errors_total{gpu="1",kind="uncorrected"}': 1,
        'ecc_errors_lifetime_total{gpu="0",kind="corrected"}': 17,
        'ecc_errors_lifetime_total{gpu="1",kind="uncorrected"}': 2,
        'temperature_celsius{gpu="1"}': 84,
        'memory_temperature_celsius{gpu="0"}': 74,
        'memory_temperature_celsius{gpu="1"}': 91,
        'power_draw_watts{gpu="0"}': 372.19,
        'power_limit_watts{gpu="0"}': 400,
        'power_limit_watts{gpu="1"}': 330,
        'throttle_active{gpu="0",reason="hw_thermal_slowdown"}': 0,
        'throttle_active{gpu="1",reason="hw_thermal_slowdown"}': 1,
        'processes{gpu="0"}': 2,
        'processes{gpu="1"}': 3,
        'process_memory_bytes{container="",gpu="0",process="python3"}': (36010 + 2192) * MIB,
        'process_memory_bytes{container="",gpu="1",process="python3"}': (9860 + 4980) * MIB,
    }
    assert expected.items() <= cards.items()
    assert not [name for name in cards if "fan_speed" in name or "tritonserver" in name]


async def test_divided_card(smi: FakeSmi, host: Host) -> None:
    """A card with MIG has no utilization; its memory and its parts' processes are the card's."""
    smi.replay("h100-mig")
    cards = await metrics(host)
    expected = {
        'memory_used_bytes{gpu="0"}': 30774 * MIB,
        'processes{gpu="0"}': 2,
        'process_memory_bytes{container="",gpu="0",process="llama-server"}': 10480 * MIB,
    }
    assert expected.items() <= cards.items()
    assert not [name for name in cards if "utilization" in name]


async def test_parts_of_a_divided_card(smi: FakeSmi, host: Host) -> None:
    """Each part has its memory under its GPU instance's number and profile; that takes two runs more."""
    smi.replay("h100-mig-590")
    (probe,) = build(Settings(), host)
    await probe.run()
    smi.asked()
    found = short(series((await probe.run()).families))
    assert smi.asked() == [*QUERIES, "-L", "-q"]
    assert {name: value / MIB for name, value in found.items() if name.startswith("mig_")} == {
        f'mig_memory_{kind}_bytes{{gpu="0",instance="{instance}",profile="{profile}"}}': value
        for instance, profile, total, used in (
            (2, "3g.40gb", 40448, 11091), (3, "2g.20gb", 20096, 17),
            (9, "1g.10gb", 9984, 9), (10, "1g.10gb", 9984, 9),
        )
        for kind, value in (("total", total), ("used", used))
    }  # fmt: skip


async def test_parts_unknown(smi: FakeSmi, host: Host) -> None:
    """Where the parts can't be listed all else comes, with a note."""
    smi.replay("h100-mig-590").set("parts", "oops\n", 1)
    result = await collect(host)
    assert short(series(result.families))['temperature_celsius{gpu="0"}'] == 53
    assert [note.text for note in result.notes] == ["nvidia-smi: no memory of MIG's parts: -q lists none"]


async def test_server_card(smi: FakeSmi, host: Host) -> None:
    """A newer driver reports a card's limits, how long it was held back, and its memory's health."""
    smi.replay("h200-590")
    found = await metrics(host)
    counted = ("sw_power_cap", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown")
    expected = {
        'pcie_link_generation_max{gpu="0"}': 5,
        'pcie_link_width_max{gpu="0"}': 16,
        'power_default_limit_watts{gpu="0"}': 700,
        'power_max_limit_watts{gpu="0"}': 700,
        'clock_max_hertz{clock="sm",gpu="0"}': 1.98e9,
        'clock_max_hertz{clock="memory",gpu="0"}': 3.201e9,
        'temperature_margin_celsius{gpu="0"}': 35,
        'encoder_utilization_ratio{gpu="0"}': 0,
        'decoder_utilization_ratio{gpu="0"}': 0,
        'remapped_rows{gpu="0",kind="corrected"}': 0,
        'remapped_rows{gpu="0",kind="uncorrected"}': 0,
        'remapped_rows_pending{gpu="0"}': 0,
        'recovery_action{action="none",gpu="0"}': 1,
        'recovery_action{action="reset",gpu="0"}': 0,
        'process_memory_bytes{container="",gpu="0",process="gpu_burn"}': 28234 * MIB,
        **{f'throttle_seconds_total{{gpu="0",reason="{reason}"}}': 0 for reason in counted},
    }
    assert expected.items() <= found.items()
    assert not [name for name in found if name.startswith(("retired_pages", "fan_speed"))]


async def test_xid_errors(smi: FakeSmi, host: Host) -> None:
    """Errors in the kernel's log are their card's, also once it is off the bus; else there are none."""
    smi.replay("rtx-4090-idle")
    assert not [name for name in await metrics(host) if "xid" in name]
    (host.root / "dev").mkdir(parents=True)
    log = host.root / "dev/kmsg"
    line = "3,{n},1,-;NVRM: Xid (PCI:0000:{bus}:00): {xid}, pid=1, name=python3\n"
    log.write_text(line.format(n=1, bus="01", xid=31) + line.format(n=2, bus="07", xid=48))
    (probe,) = build(Settings(), host)
    await probe.run()
    with log.open("a") as file:
        file.write(line.format(n=3, bus="01", xid=79) + line.format(n=4, bus="01", xid=31))
    smi.fail("Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error\n", 255)
    with pytest.raises(ProbeError) as caught:
        await probe.run()
    assert series(caught.value.families) == {
        'grid_gpu_xid_errors_total{gpu="0",uuid="GPU-6d1f0a52-93c4-7be8-05a1-2f4e8c7b9d30",xid="31"}': 2,
        'grid_gpu_xid_errors_total{gpu="0",uuid="GPU-6d1f0a52-93c4-7be8-05a1-2f4e8c7b9d30",xid="79"}': 1,
        'grid_gpu_xid_errors_total{gpu="",uuid="0000:07:00.0",xid="48"}': 1,
    }


async def test_windows(smi: FakeSmi, host: Host) -> None:
    """On Windows, and in its WSL, programs go by name; a card that also draws reports no process's memory."""
    smi.replay("windows-pair")
    cards = await metrics(host)
    expected = {
        'grid_gpus{vendor="nvidia"}': 2,
        'info{driver="nvidia",driver_version="610.47",gpu="1",name="NVIDIA RTX A4000",'
        'pci_bus_id="00000000:09:00.0",vbios_version="94.04.60.00.a2",vendor="nvidia"}': 1,
        'fan_speed_ratio{gpu="0"}': 0,
        'throttle_active{gpu="0",reason="gpu_idle"}': 1,
        'ecc_errors_lifetime_total{gpu="1",kind="corrected"}': 5,
        'pcie_link_width{gpu="1"}': 8,
        'processes{gpu="0"}': 3,
        'processes{gpu="1"}': 2,
    }
    assert expected.items() <= cards.items()
    assert {name: value for name, value in cards.items() if name.startswith("process_memory")} == {
        'process_memory_bytes{container="",gpu="1",process="llama-server.exe"}': 8740 * MIB,
        'process_memory_bytes{container="",gpu="1",process="python.exe"}': 214 * MIB,
    }


async def test_old_driver(smi: FakeSmi, host: Host) -> None:
    """A driver of 2021 with the old names gives what it knows."""
    smi.replay("gtx-1080-470")
    cards = await metrics(host)
    expected = {
        'throttle_active{gpu="0",reason="sw_thermal_slowdown"}': 1,
        'throttle_active{gpu="0",reason="gpu_idle"}': 0,
        'pcie_link_generation{gpu="0"}': 3,
        'clock_hertz{clock="memory",gpu="0"}': 4.513e9,
        'power_limit_watts{gpu="0"}': 180,
    }
    assert expected.items() <= cards.items()
    assert not [name for name in cards if "reserved" in name]


async def test_card_without_values(smi: FakeSmi, host: Host) -> None:
    """A card on a system on chip, N/A everywhere, is counted and named, and no value is made up."""
    smi.replay("jetson-orin")
    assert await metrics(host) == {
        'grid_gpus{vendor="nvidia"}': 1,
        'info{driver="nvidia",driver_version="540.4.0",gpu="0",name="Orin (nvgpu)",'
        'pci_bus_id="",vbios_version="",vendor="nvidia"}': 1,
    }


async def test_own_pid_namespace(smi: FakeSmi, host: Host) -> None:
    """In a container, where the tool sees no process of the host, their number is unknown, with a note."""
    smi.replay("rtx-4090-idle")
    namespace = host.proc / "self/ns/pid"
    namespace.parent.mkdir(parents=True)
    namespace.symlink_to("pid:[4026531836]")
    result = await collect(host)
    assert (short(series(result.families))['processes{gpu="0"}'], result.notes) == (0, ())
    namespace.unlink()
    namespace.symlink_to("pid:[4026532571]")
    result = await collect(host)
    cards = short(series(result.families))
    assert cards['temperature_celsius{gpu="0"}'] == 34
    assert not [name for name in cards if name.startswith("processes")]
    (note,) = result.notes
    assert "PID namespace" in note.text
    assert "--pid=host" in note.hint


async def test_card_that_shares_the_memory(smi: FakeSmi, host: Host) -> None:
    """A card without memory of its own reports none, but what its processes use of the host's."""
    smi.replay("gb10")
    cards = await metrics(host)
    expected = {
        'grid_gpus{vendor="nvidia"}': 1,
        'utilization_ratio{gpu="0"}': 0.96,
        'power_draw_watts{gpu="0"}': 58.73,
        'clock_hertz{clock="sm",gpu="0"}': 2.411e9,
        'process_memory_bytes{container="",gpu="0",process="VLLM::EngineCore"}': 96214 * MIB,
        'process_memory_bytes{container="",gpu="0",process="python3"}': 3120 * MIB,
    }
    assert expected.items() <= cards.items()
    unknown = ("memory_total", "memory_used", "power_limit", "fan_speed", "ecc", 'clock_hertz{clock="memory"')
    assert not [name for name in cards if name.startswith(unknown)]


@pytest.mark.parametrize("session", SESSIONS)
async def test_sessions_replayed(smi: FakeSmi, host: Host, session: str) -> None:
    """The replayer of tests/box answers as the tool would, and refuses nothing that the probe asks for."""
    smi.replay(session)
    expected = await metrics(host)
    smi.install(replayer(CAPTURES / session))
    assert await metrics(host) == expected


async def test_cost(smi: FakeSmi, host: Host) -> None:
    """The fields are learnt once; then a run is two processes, and one where no memory changes."""
    smi.replay("a100-pair")
    (probe,) = build(Settings(), host)
    expected = series((await probe.run()).families)
    assert smi.asked() == ["--help-query-gpu", *QUERIES]
    assert series((await probe.run()).families) == expected
    assert smi.asked() == QUERIES
    for _ in range(2):
        assert series((await probe.run()).families) == expected
        assert smi.asked() == ["--query-gpu"]


async def probe_at_rest(smi: FakeSmi, host: Host) -> Probe:
    """A probe that has found the same memory in use twice."""
    smi.replay("a100-pair")
    (probe,) = build(Settings(), host)
    for _ in range(2):
        await probe.run()
    smi.asked()
    return probe


async def test_processes_are_queried_when_memory_changes(smi: FakeSmi, host: Host) -> None:
    """At once in the run that reads other memory, and side by side in the next one."""
    probe = await probe_at_rest(smi, host)
    header, *rows = (smi.directory / "gpu.out").read_text().splitlines()
    column = header.split(", ").index("memory.used [MiB]")
    cells = [row.split(", ") for row in rows]
    cells[0][column] = "4321"
    smi.set("gpu", "\n".join([header, *(", ".join(row) for row in cells)]) + "\n")
    _, _, apps = responses("a100-pair")
    smi.set("apps", apps.splitlines()[0] + "\n")
    found = short(series((await probe.run()).families))
    assert smi.asked() == QUERIES
    assert not [name for name in found if name.startswith("process_memory")]


async def test_processes_are_queried_when_one_took_anothers_place(smi: FakeSmi, host: Host) -> None:
    """Its memory may be just the same."""
    stat = host.proc / "7101/stat"
    stat.parent.mkdir(parents=True)
    stat.write_text(f"7101 (a) b) S {' '.join(map(str, range(1, 50)))}\n")
    probe = await probe_at_rest(smi, host)
    await probe.run()
    assert smi.asked() == ["--query-gpu"]
    stat.write_text(f"7101 (a) b) S {' '.join(map(str, range(2, 51)))}\n")
    await probe.run()
    assert smi.asked() == QUERIES


async def test_processes_are_queried_once_a_minute(
    smi: FakeSmi, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the cards report."""
    monkeypatch.setattr(process_list, "LIFETIME", 0.0)
    probe = await probe_at_rest(smi, host)
    await probe.run()
    assert smi.asked() == QUERIES


async def test_processes_are_queried_again_after_a_failure(smi: FakeSmi, host: Host) -> None:
    """A list that failed, or was cut off, is not kept."""
    probe = await probe_at_rest(smi, host)
    good = (smi.directory / "gpu.out").read_text()
    smi.set("gpu", OFF_BUS, 255)
    with pytest.raises(ProbeError):
        await probe.run()
    smi.asked()
    smi.set("gpu", good)
    await probe.run()
    assert set(QUERIES) <= set(smi.asked())


async def test_memory_by_model(smi: FakeSmi, host: Host) -> None:
    """Of a server's process the model, too; processes of one program and two models are apart."""
    smi.replay("a100-pair")
    for pid, command in {
        7101: "python3\0-m\0vllm.entrypoints.openai.api_server\0--model\0Qwen/Qwen3-8B\0",
        7102: "python3\0-m\0vllm.entrypoints.openai.api_server\0--model\0BAAI/bge-m3\0",
        7103: "python3\0train.py\0",
    }.items():
        (host.proc / str(pid)).mkdir(parents=True)
        (host.proc / str(pid) / "cmdline").write_text(command)
    found = await metrics(host)
    assert {name: value for name, value in found.items() if name.startswith("process_memory")} == {
        'process_memory_bytes{container="",gpu="0",model="Qwen/Qwen3-8B",process="python3"}': 36010 * MIB,
        'process_memory_bytes{container="",gpu="0",process="python3"}': 2192 * MIB,
        'process_memory_bytes{container="",gpu="1",model="BAAI/bge-m3",process="python3"}': 9860 * MIB,
        'process_memory_bytes{container="",gpu="1",process="python3"}': 4980 * MIB,
    }


async def test_memory_by_container(smi: FakeSmi, host: Host) -> None:
    """A process's memory goes to its container: by name where that is known, else by 12 digits of its id."""
    smi.replay("a100-pair")
    named, unnamed = "4f" * 32, "b7" * 32
    host.container_names[named] = "vllm"
    for pid, group in {
        7101: f"0::/system.slice/docker-{named}.scope\n",
        7344: "0::/user.slice/user-1000.slice/session-2.scope\n",
        7102: f"0::/machine.slice/libpod-{unnamed}.scope/container\n",
        7103: f"0::/machine.slice/libpod-{unnamed}.scope/container\n",
    }.items():
        (host.proc / str(pid)).mkdir(parents=True)
        (host.proc / str(pid) / "cgroup").write_text(group)
    memory = {
        name: value for name, value in (await metrics(host)).items() if name.startswith("process_memory")
    }
    assert memory == {
        'process_memory_bytes{container="vllm",gpu="0",process="python3"}': 36010 * MIB,
        'process_memory_bytes{container="",gpu="0",process="python3"}': 2192 * MIB,
        'process_memory_bytes{container="b7b7b7b7b7b7",gpu="1",process="python3"}': (9860 + 4980) * MIB,
    }


@pytest.mark.parametrize(
    ("message", "code"), [(NO_DRIVER, 9), ("\x7fELF\x02\x01", 0), ("", 0), ("", 1), ("\n", 3)]
)
async def test_driver_fails(smi: FakeSmi, host: Host, message: str, code: int) -> None:
    """A driver that fails is an error with its message as the reason, and no value."""
    smi.fail(message, code)
    error = await failure(host)
    assert error.reason.startswith("nvidia-smi: ")
    assert error.reason.isprintable()
    assert error.hint
    assert list(error.families) == []


async def test_driver_recovers(smi: FakeSmi, host: Host) -> None:
    """Once the driver answers again the values are back, with its fields learnt anew."""
    (probe,) = build(Settings(), host)
    smi.replay("gtx-1080-470")
    await probe.run()
    smi.fail(NO_DRIVER, 9)
    with pytest.raises(ProbeError, match="couldn't communicate with the NVIDIA driver"):
        await probe.run()
    smi.replay("rtx-4090-idle")
    smi.asked()
    assert short(series((await probe.run()).families))['clock_hertz{clock="video",gpu="0"}'] == 1.185e9
    assert smi.asked() == ["--help-query-gpu", *QUERIES]


async def test_cut_off_help(smi: FakeSmi, host: Host) -> None:
    """Where the list of fields may be cut off these are asked for, and the next run lists again."""
    help_, gpu_text, apps = responses("rtx-4090-idle")
    cut = help_[: help_.index('"pstate"')]
    _, part = nvidia_smi.query(CAPTURES / "rtx-4090-idle", "query-gpu", list(parse_fields(cut, FIELDS)))
    (probe,) = build(Settings(), host)
    smi.set("help", cut.rstrip()).set("gpu", part).set("apps", apps)
    before = short(series((await probe.run()).families))
    smi.set("help", help_).set("gpu", gpu_text)
    after = short(series((await probe.run()).families))
    assert before['fan_speed_ratio{gpu="0"}'] == after['fan_speed_ratio{gpu="0"}']
    assert ('performance_state{gpu="0"}' in before, 'performance_state{gpu="0"}' in after) == (False, True)
    assert before.items() < after.items()


async def test_help_without_its_end(smi: FakeSmi, host: Host) -> None:
    """A list of fields without its last newline is learnt for good when it came twice the same."""
    smi.replay("rtx-4090-idle").set("help", responses("rtx-4090-idle")[0].rstrip("\n"))
    (probe,) = build(Settings(), host)
    for asked in (["--help-query-gpu", *QUERIES], ["--help-query-gpu", *QUERIES], ["--query-gpu"]):
        await probe.run()
        assert smi.asked() == asked


async def test_help_that_died(smi: FakeSmi, host: Host) -> None:
    """Where the tool fails in the middle of its list of fields the run fails: what it lacks isn't known."""
    help_, gpu_text, apps = responses("rtx-4090-idle")
    smi.set("help", help_[: len(help_) // 2], 1).set("gpu", gpu_text).set("apps", apps)
    (probe,) = build(Settings(), host)
    for _ in range(2):
        with pytest.raises(ProbeError) as caught:
            await probe.run()
        assert caught.value.reason == "nvidia-smi: the list of its fields is cut off"


@pytest.mark.parametrize("session", SESSIONS)
async def test_lines_end_otherwise(smi: FakeSmi, host: Host, session: str) -> None:
    """The same is found where lines end as on Windows, and where a script drops the last one's end."""
    smi.replay(session)
    expected = await metrics(host)
    for end, last in (("\r\n", "\r\n"), ("\n", "")):
        for what, text in zip(("help", "gpu", "apps"), responses(session), strict=True):
            smi.set(what, text.rstrip("\n").replace("\n", end) + last)
        assert await metrics(host) == expected


async def test_field_refused(smi: FakeSmi, host: Host, tmp_path: Path) -> None:
    """An upgraded driver that refuses an old name is asked in the same run what it knows, and answers."""
    (probe,) = build(Settings(), host)
    smi.replay("gtx-1080-470")
    await probe.run()
    session = shutil.copytree(CAPTURES / "rtx-4090-idle", tmp_path / "upgraded")
    help_ = session / "help-query-gpu.txt"
    help_.write_text(re.sub(r' or "clocks_throttle_reasons[^"]*"', "", help_.read_text()))
    assert nvidia_smi.query(session, "query-gpu", ["index", "clocks_throttle_reasons.gpu_idle"])[0] == 2
    smi.install(replayer(session))
    assert short(series((await probe.run()).families))['throttle_active{gpu="0",reason="gpu_idle"}'] == 1


class Refusing(FakeSmi):
    """A session of an idle card whose driver lists some fields and refuses them all the same."""

    def refuse(self, *names: str, then_hang: bool = False) -> None:
        """Refuses these, one a query, as the tool does; or all queries without the first hang."""
        super().__init__(self.directory)
        help_, _, apps = responses("rtx-4090-idle")
        fields = [field for field in parse_fields(help_, FIELDS) if field not in names]
        _, gpu_text = nvidia_smi.query(CAPTURES / "rtx-4090-idle", "query-gpu", fields)
        self.set("help", help_).set("apps", apps).set("gpu", gpu_text)
        refusal = "echo 'Field \"{0}\" is not a valid field to query.'; exit 2"
        cases = [f"*[=,]{name},*) {refusal.format(name)};;" for name in names]
        if then_hang:
            cases.insert(1, "--query-gpu*) exec sleep 1000;;")
        tool = (self.directory / "nvidia-smi").read_text()
        self.install(tool.replace(">>calls\n", f'>>calls\ncase "$1" in {" ".join(cases)} esac\n'))


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refusing:
    """A driver that refuses fields, first on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Refusing(tmp_path)


async def test_listed_fields_refused(refusing: Refusing, host: Host) -> None:
    """Fields that the help lists and the query refuses are left out for good, and the help is read once."""
    refusing.refuse("fan.speed", "pstate", "power.draw")
    (probe,) = build(Settings(), host)
    for asked in (["--help-query-gpu", "--query-compute-apps", *["--query-gpu"] * 4], QUERIES):
        cards = short(series((await probe.run()).families))
        assert cards['temperature_celsius{gpu="0"}'] == 34
        assert 'fan_speed_ratio{gpu="0"}' not in cards
        assert refusing.asked() == asked


async def test_refused_fields_outlive_a_failure(refusing: Refusing, host: Host) -> None:
    """After a run that failed the fields are listed anew, and those refused are not asked for again."""
    refusing.refuse("fan.speed", "pstate")
    (probe,) = build(Settings(), host)
    await probe.run()
    refusing.set("apps", "Unknown Error\n", 1)
    with pytest.raises(ProbeError):
        await probe.run()
    refusing.refuse("fan.speed", "pstate")
    refusing.asked()
    await probe.run()
    assert refusing.asked() == ["--help-query-gpu", *QUERIES]


async def test_refused_fields_outlive_a_timeout(refusing: Refusing, host: Host) -> None:
    """What was refused before a run was cancelled is neither asked for nor listed again by the next."""
    refusing.refuse("fan.speed", "pstate", then_hang=True)
    (probe,) = build(Settings(), host)
    task = asyncio.ensure_future(probe.run())
    calls = refusing.directory / "calls"
    while not calls.exists() or calls.read_text().count("--query-gpu") < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    refusing.refuse("fan.speed", "pstate")
    refusing.asked()
    await probe.run()
    assert refusing.asked() == ["--query-compute-apps", *["--query-gpu"] * 2]


async def test_refuses_what_was_not_asked(smi: FakeSmi, host: Host) -> None:
    """A tool that refuses a field that it wasn't asked for fails; it isn't asked again without end."""
    smi.replay("rtx-4090-idle").set("gpu", 'Field "x" is not a valid field to query.\n\n', 2)
    async with asyncio.timeout(100):
        assert (await failure(host)).reason == 'nvidia-smi: Field "x" is not a valid field to query.'


@pytest.mark.parametrize("code", [0, 6])
async def test_no_card(smi: FakeSmi, host: Host, code: int) -> None:
    """A driver that works and finds no card is a fact: no card, and a note."""
    smi.fail("No devices were found\n", code)
    result = await collect(host)
    assert series(result.families) == {'grid_gpus{vendor="nvidia"}': 0}
    assert [note.text for note in result.notes] == ["nvidia-smi: No devices were found"]


@pytest.mark.parametrize("stream", ["out", "err"])
@pytest.mark.parametrize("code", [0, 255])
async def test_card_off_the_bus(smi: FakeSmi, host: Host, stream: str, code: int) -> None:
    """When one of two cards falls off the bus the count drops, the other stays, and a note names it."""
    help_, gpu_text, apps = responses("a100-pair")
    header, first, _ = gpu_text.splitlines(keepends=True)
    apps = "".join(line for line in apps.splitlines(keepends=True) if "e90f3a68" not in line)
    for what, text in (("gpu", header + first), ("apps", apps)):
        out, err = (OFF_BUS + text, "") if stream == "out" else (text, OFF_BUS)
        smi.set("help", help_).set(what, out, code, err)
    result = await collect(host)
    cards = short(series(result.families))
    assert cards['grid_gpus{vendor="nvidia"}'] == 1
    assert cards['temperature_celsius{gpu="0"}'] == 62
    assert cards['processes{gpu="0"}'] == 2
    assert not [name for name in cards if 'gpu="1"' in name]
    assert [note.text for note in result.notes] == [f"nvidia-smi: {OFF_BUS.strip()}"]
    assert "power cycle" in result.notes[0].hint


async def test_only_card_off_the_bus(smi: FakeSmi, host: Host) -> None:
    """When the driver reports a card off the bus and lists none that is the reason; the count is unknown."""
    smi.replay("rtx-4090-idle")
    (probe,) = build(Settings(), host)
    await probe.run()
    smi.fail("Unable to determine the device handle for GPU 0000:01:00.0: Unknown Error\n", 255)
    with pytest.raises(ProbeError, match="Unable to determine the device handle") as caught:
        await probe.run()
    assert series(caught.value.families) == {}


@pytest.mark.parametrize(("message", "code"), [(OFF_BUS, 0), (OFF_BUS, 15), ("", 15)])
async def test_card_lost_between_the_queries(smi: FakeSmi, host: Host, message: str, code: int) -> None:
    """A card that was listed and then lost has no processes, and that is no 0; the other's are counted."""
    help_, gpu_text, apps = responses("a100-pair")
    apps = "".join(line for line in apps.splitlines(keepends=True) if "e90f3a68" not in line)
    smi.set("help", help_).set("gpu", gpu_text).set("apps", message + apps, code)
    result = await collect(host)
    counts = {name: value for name, value in short(series(result.families)).items() if "processes" in name}
    assert counts == {'processes{gpu="0"}': 2}


async def test_card_lost_for_long(smi: FakeSmi, host: Host) -> None:
    """A card that neither query lists takes nothing from the others: one without a process has 0."""
    help_, gpu_text, apps = responses("a100-pair")
    header, first, _ = gpu_text.splitlines(keepends=True)
    smi.set("help", help_).set("gpu", OFF_BUS + header + first, 15)
    smi.set("apps", OFF_BUS + apps.splitlines(keepends=True)[0], 15)
    assert (await metrics(host))['processes{gpu="0"}'] == 0


async def test_card_listed_but_lost(smi: FakeSmi, host: Host) -> None:
    """A card that a driver lists as lost counts no more, and no cell of it becomes a value."""
    help_, gpu_text, apps = responses("a100-pair")
    header, first, second = gpu_text.splitlines()
    cells = second.split(", ")
    lost = ", ".join([*cells[:8], *["[GPU is lost]"] * (len(cells) - 8)])
    smi.set("help", help_).set("apps", apps).set("gpu", f"{header}\n{first}\n{lost}\n")
    result = await collect(host)
    cards = short(series(result.families))
    assert cards['grid_gpus{vendor="nvidia"}'] == 1
    assert [name for name in cards if 'gpu="1"' in name] == []
    assert result.notes[0].text == "nvidia-smi: GPU 1: GPU is lost"


@pytest.mark.parametrize("faulty", [{"gpu"}, {"apps"}, {"gpu", "apps"}])
async def test_corrupted_card(smi: FakeSmi, host: Host, faulty: set[str]) -> None:
    """A warning about a card that sets the exit status is a note, once; all values come, at no more cost."""
    smi.replay("rtx-4090-loaded")
    (probe,) = build(Settings(), host)
    expected = (await probe.run()).families
    _, gpu_text, apps = responses("rtx-4090-loaded")
    warning = "WARNING: infoROM is corrupted at gpu 0000:01:00.0\n"
    for what, text in (("gpu", gpu_text), ("apps", apps)):
        if what in faulty:
            smi.set(what, text + warning, 14)
    smi.asked()
    for _ in range(2):
        result = await probe.run()
        assert series(result.families) == series(expected)
        (note,) = result.notes
        assert note.text == f"nvidia-smi: {warning.strip()}"
        assert "warranty" in note.hint
        assert set(smi.asked()) <= set(QUERIES)


@pytest.mark.parametrize(
    ("code", "condition", "count"), [(15, "GPU is lost", 1), (16, "GPU requires reset", 2)]
)
async def test_card_that_sets_the_exit_status(
    smi: FakeSmi, host: Host, code: int, condition: str, count: int
) -> None:
    """A faulty card, reported by its row and the exit status alone, is a note and no failure."""
    help_, gpu_text, apps = responses("a100-pair")
    header, first, second = gpu_text.splitlines()
    cells = second.split(", ")
    faulty = ", ".join([*cells[:8], *[f"[{condition}]"] * (len(cells) - 8)])
    smi.set("help", help_).set("apps", apps, code).set("gpu", f"{header}\n{first}\n{faulty}\n", code)
    result = await collect(host)
    assert short(series(result.families))['grid_gpus{vendor="nvidia"}'] == count
    assert [note.text for note in result.notes] == [f"nvidia-smi: GPU 1: {condition}"]
    assert result.notes[0].hint


async def test_warnings(smi: FakeSmi, host: Host) -> None:
    """Warnings before and after the table and on standard error change no value and become notes."""
    _, gpu_text, apps = responses("rtx-4090-loaded")
    smi.replay("rtx-4090-loaded")
    expected = await metrics(host)
    warning = "WARNING: infoROM is corrupted at gpu 0000:01:00.0\n"
    smi.set("gpu", f"Deprecated, do not use.\n\n{gpu_text}{warning}", 0, "libnvidia: old, slow\n")
    smi.set("apps", f"{warning}{apps}{warning}")
    result = await collect(host)
    assert short(series(result.families)) == expected
    assert [note.text.removeprefix("nvidia-smi: ") for note in result.notes] == [
        "Deprecated, do not use.",
        warning.strip(),
        "libnvidia: old, slow",
    ]


async def test_fails_with_good_output(smi: FakeSmi, host: Host) -> None:
    """A tool that prints all and then fails gives its values and fails the probe with its reason."""
    smi.replay("rtx-4090-loaded")
    expected = await metrics(host)
    for what, text in zip(("help", "gpu", "apps"), responses("rtx-4090-loaded"), strict=True):
        smi.set(what, text, 1, "nvidia-smi: internal error\n")
    error = await failure(host)
    assert short(series(error.families)) == expected
    assert error.reason == "nvidia-smi: internal error"


async def test_processes_unknown(smi: FakeSmi, host: Host) -> None:
    """When only the list of processes fails the cards' values come, and none about processes."""
    smi.replay("rtx-4090-loaded").set("apps", "Unknown Error\n", 1)
    error = await failure(host)
    cards = short(series(error.families))
    assert error.reason == "nvidia-smi: processes: Unknown Error"
    assert cards['temperature_celsius{gpu="0"}'] == 71
    assert not [name for name in cards if name.startswith("process")]


async def test_processes_fail_with_a_table(smi: FakeSmi, host: Host) -> None:
    """Where the list of processes is not all a card that has none in it is not reported as having none."""
    _, _, apps = responses("rtx-4090-loaded")
    smi.replay("rtx-4090-loaded").set("apps", apps.splitlines(keepends=True)[0], 1, "Unknown Error\n")
    cards = short(series((await failure(host)).families))
    assert not [name for name in cards if name.startswith("process")]


async def test_flood(smi: FakeSmi, host: Host) -> None:
    """Output without end is an error with a reason, not memory."""
    smi.install("#!/bin/sh\nyes '0, GPU-1, flood'\n")
    error = await failure(host)
    assert "printed more than" in error.reason


async def test_missing_tool(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without nvidia-smi a configured probe fails, since it isn't installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    error = await failure(host)
    assert (error.reason, error.hint) == (
        "nvidia-smi is not installed",
        "install nvidia-smi, or see that it is on PATH",
    )


async def test_end_of_run_ends_both(smi: FakeSmi, host: Host) -> None:
    """A run that is cancelled while nvidia-smi hangs leaves neither of its processes behind."""
    fifo = smi.directory / "pids"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        smi.install(f"#!/bin/sh\necho $$ >{fifo}\nexec sleep 1000\n")
        pids = b""
        task = asyncio.create_task(collect(host))
        loop = asyncio.get_running_loop()
        while len(pids.split()) < 2:
            ready = asyncio.Event()
            loop.add_reader(reader, ready.set)
            await ready.wait()
            loop.remove_reader(reader)
            pids += os.read(reader, 100)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [pid for pid in pids.split() if Path("/proc", pid.decode()).exists()]
    finally:
        os.close(reader)


def outcome(
    host: Host, gpu_text: bytes, apps: bytes, code: int = 0, session: str = "a100-pair"
) -> dict[str, float]:
    """What comes of these responses, whether or not the probe fails over them; no series may come twice."""
    fields = parse_fields((CAPTURES / session / "help-query-gpu.txt").read_text(), FIELDS)
    try:
        responses = nvidia.Responses(
            Output((), code, gpu_text, b"", 0.0), fields, Output((), code, apps, b"", 0.0)
        )
        families = nvidia._result(host, responses, KernelLog(Path("/nowhere"))).families
    except ProbeError as error:
        families = error.families
    samples = [
        (sample.name, *sorted(sample.labels.items())) for family in families for sample in family.samples
    ]
    assert len(samples) == len(set(samples))
    return series(families)


@pytest.mark.parametrize("session", ["a100-pair", "rtx-4090-loaded"])
def test_cut_off_anywhere(session: str) -> None:
    """Wherever a response is cut off within a line, nothing that is left is wrong.

    Where a line ends the rest could only be missed by who knows how many lines there are.
    """
    _, gpu_text, apps = (text.encode() for text in responses(session))
    host = Host(proc=Path("/nowhere"))
    whole = outcome(host, gpu_text, apps, 0, session)
    for cut in range(len(gpu_text)):
        if b"\n" not in gpu_text[cut - 1 : cut + 1]:
            assert outcome(host, gpu_text[:cut], b"", 0, session).items() <= whole.items()
    for cut in range(len(apps)):
        if apps[cut - 1 : cut] != b"\n":
            assert outcome(host, gpu_text, apps[:cut], 0, session).items() <= whole.items()


def test_both_cut_off() -> None:
    """A response cut off after a whole word is no sign that a value at the end of the other is whole."""
    _, gpu_text, apps = (text.encode() for text in responses("a100-pair"))
    host = Host(proc=Path("/nowhere"))
    cut = gpu_text[: gpu_text.rindex(b"Active, ") + len("Active")]
    half = apps[: apps.index(b"36010") + len("36")]
    assert outcome(host, cut, half).items() <= outcome(host, gpu_text, apps).items()


@settings(max_examples=200)
@given(data=st.data(), junk=st.binary(max_size=40), code=st.sampled_from([0, 1, -11, 255]))
def test_anything_may_come(data: st.DataObject, junk: bytes, code: int) -> None:
    """Junk anywhere in the responses raises nothing but a ProbeError and never gives a series twice."""
    _, gpu_text, apps = (text.encode() for text in responses("a100-pair"))
    for text in (gpu_text, apps):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        broken = text[:start] + junk + text[end:]
        pair = (broken, apps) if text is gpu_text else (gpu_text, broken)
        outcome(Host(proc=Path("/nowhere")), *pair, code)


@pytest.mark.parametrize("place", ["usr/lib/wsl/lib", "usr/local/cuda/bin", "opt/nvidia/bin", "snap/bin"])
async def test_tool_outside_path(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    """Where a service's PATH leaves out the directory of nvidia-smi it is found all the same."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert isinstance(await discover(host), Note)
    (host.root / place).mkdir(parents=True)
    FakeSmi(host.root / place)
    assert await discover(host) == Settings()


async def test_windows_without_its_driver(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On WSL the driver belongs into Windows, and the hint is that."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    (host.root / "dev").mkdir(parents=True)
    (host.root / "dev/dxg").touch()
    note = await discover(host)
    assert isinstance(note, Note)
    assert "/usr/lib/wsl/lib" in note.text
    assert "Windows" in note.hint
