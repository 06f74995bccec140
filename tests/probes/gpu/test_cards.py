"""What each recorded card of AMD's and Intel's exports, value by value."""

import re

import pytest

from exporter.probe import Host
from exporter.probes.gpu import kernel
from tests.probes.gpu.trees import plant, recorded
from tests.series import series

MHZ, GIB = 1e6, 1024**3
NO_THROTTLE = {
    f'throttle_active{{reason="{reason}"}}': 0
    for reason in ("pl1", "pl2", "pl4", "prochot", "ratl", "thermal", "vr_tdc", "vr_thermalert")
}


def link(generation: int, width: int) -> dict[str, float]:
    """The series of a link that is as fast as it can be."""
    now: dict[str, float] = {"pcie_link_generation": generation, "pcie_link_width": width}
    return now | {f"{name}_max": value for name, value in now.items()}


def clocks(kind: str, **megahertz: float) -> dict[str, float]:
    return {f'{kind}{{clock="{name}"}}': rate * MHZ for name, rate in megahertz.items()}


def memory(total: int, used: int, gtt_total: int, gtt_used: int) -> dict[str, float]:
    """The series of the card's memory, and of the host's that it may use."""
    own: dict[str, float] = {
        "memory_total_bytes": total,
        "memory_used_bytes": used,
        "memory_free_bytes": total - used,
    }
    return own | {"gtt_total_bytes": gtt_total, "gtt_used_bytes": gtt_used}


CARDS: dict[str, dict[str, float]] = {
    "amd/radeon-890m": {
        **memory(536870912 + 16441004032, 514580480 + 3946811392, 16441004032, 3946811392),
        **link(4, 16), **clocks("clock_hertz", graphics=848),
        "asleep": 0, "utilization_ratio": 0.03, "temperature_celsius": 38, "power_draw_watts": 9.087,
    },
    "amd/radeon-780m": {  # an APU with 4 GiB carved out, known by its second voltage alone
        **memory(4 * GIB + 31433977856, 1272893440 + 211398656, 31433977856, 211398656),
        **link(4, 16), **clocks("clock_hertz", graphics=800),
        "asleep": 0, "utilization_ratio": 0, "temperature_celsius": 25, "power_draw_watts": 3.103,
    },
    "amd/rx-6900-xt": {
        **memory(17163091968, 668274688, 16786171904, 62369792), **link(4, 16),
        **clocks("clock_hertz", graphics=500, memory=1000),
        "asleep": 0, "utilization_ratio": 0.03, "memory_utilization_ratio": 0, "temperature_celsius": 56,
        "memory_temperature_celsius": 54, "power_draw_watts": 36, "power_limit_watts": 289,
        "power_default_limit_watts": 289, "power_max_limit_watts": 332, "fan_speed_ratio": 0,
    },
    "amd/rx-580": {
        "pcie_link_generation_max": 3, "pcie_link_width_max": 16,
        **memory(4 * GIB, 536870912, 8342712320, 92377088),
        **clocks("clock_hertz", graphics=798.08, memory=1750),
        "utilization_ratio": 0.11, "memory_utilization_ratio": 0.02, "temperature_celsius": 44,
        "power_draw_watts": 41.045, "power_limit_watts": 155, "power_default_limit_watts": 155,
        "power_max_limit_watts": 201, "fan_speed_ratio": 35 / 255,
    },
    "amd/rx-7800-xt": {
        **clocks("clock_hertz", graphics=2011, memory=456), "pcie_link_generation": 4, "pcie_link_width": 16,
        "utilization_ratio": 0.02, "temperature_celsius": 24, "memory_temperature_celsius": 48,
        "power_draw_watts": 32, "power_limit_watts": 236, "power_default_limit_watts": 236,
        "power_max_limit_watts": 280, "fan_speed_ratio": 89 / 255,
        },
    "amd/rx-9070-xt": {
        **clocks("clock_hertz", graphics=167, memory=1258), "pcie_link_generation": 5, "pcie_link_width": 16,
        "utilization_ratio": 0.03, "temperature_celsius": 42, "memory_temperature_celsius": 68,
        "power_draw_watts": 55, "power_limit_watts": 120, "power_default_limit_watts": 304,
        "power_max_limit_watts": 340, "fan_speed_ratio": 81 / 255,
        },
    "amd/rx-vega-56": {  # no sensors were recorded, nor the load of its memory: that makes it no APU
        **memory(8573157376, 1490378752, 8573157376, 144560128), **link(3, 16),
        "utilization_ratio": 0.04,
    },
    "amd/hd-7870": {
        **clocks("clock_hertz", graphics=300), "pcie_link_generation": 3, "pcie_link_width": 1,
        "temperature_celsius": 27, "fan_speed_ratio": 51 / 255,
    },
    "intel/arc-b580": {
        **NO_THROTTLE, **clocks("clock_hertz", graphics=0, video=0),
        **clocks("clock_max_hertz", graphics=2850, video=1500), "asleep": 0, "temperature_celsius": 54,
        "memory_temperature_celsius": 56, "power_limit_watts": 190, "fan_speed_ratio": 1235 / 2160,
        "energy_joules_total": 11031.745544,
    },
    "intel/arc-a380": {
        **NO_THROTTLE, **clocks("clock_hertz", graphics=0), **clocks("clock_max_hertz", graphics=2450),
        "asleep": 0, "temperature_celsius": 56, "memory_temperature_celsius": 54, "power_limit_watts": 55,
        "energy_joules_total": 59540.970520,
    },
    "intel/iris-xe": {
        **NO_THROTTLE, **clocks("clock_hertz", graphics=0), **clocks("clock_max_hertz", graphics=1300)
    },
    "intel/uhd-620": {**clocks("clock_hertz", graphics=300), **clocks("clock_max_hertz", graphics=1150)},
}  # fmt: skip


def short(found: dict[str, float]) -> dict[str, float]:
    """Series without grid_gpu_, the card's labels, what it is and the count."""
    plain = {
        re.sub(r'gpu="[^"]*",?|,?uuid="[^"]*"', "", name.removeprefix("grid_gpu_")): value
        for name, value in found.items()
        if "_info{" not in name and not name.startswith("grid_gpus")
    }
    return {re.sub(r",}$", "}", name).replace("{}", ""): value for name, value in plain.items()}


def collect(host: Host, vendor: str, state: kernel.State | None = None, now: float = 0.0) -> dict[str, float]:
    """The series of one run."""
    return series(kernel.collect(host, vendor, state or kernel.State(), now).families)


@pytest.mark.parametrize("card", CARDS)
def test_recorded_card(host: Host, card: str) -> None:
    """A card exports what its files hold in base units, and nothing that they don't."""
    vendor = card.partition("/")[0]
    recorded(card, host.sys)
    found = collect(host, vendor)
    assert found[f'grid_gpus{{vendor="{vendor}"}}'] == 1
    assert short(found) == pytest.approx(CARDS[card])


AT = "[class/drm/card0/device]\nvendor = {vendor}\nuevent = DRIVER={driver}\\nPCI_SLOT_NAME=0000:{slot}\n"
AMD = AT.format(vendor="0x1002", driver="amdgpu", slot="03:00.0")
XE = AT.format(vendor="0x8086", driver="xe", slot="03:00.0")
I915 = AT.format(vendor="0x8086", driver="i915", slot="03:00.0")


def test_instinct(host: Host) -> None:
    """A server's card has no edge and no average power, but counts errors of its memory."""
    sensors = (
        "[class/drm/card0/device/hwmon/hwmon0]\nname = amdgpu\ntemp2_label = junction\ntemp2_input = 41000\n"
        "temp3_label = mem\ntemp3_input = 36000\npower1_input = 141000000\npower1_cap = 750000000\n"
    )
    plant(f"{AMD}ras/umc_err_count = ue: 2\\nce: 17\nmem_info_vram_total = 206141652992\n{sensors}", host.sys)
    assert short(collect(host, "amd")) == {
        "memory_total_bytes": 206141652992,
        "temperature_celsius": 41,
        "memory_temperature_celsius": 36,
        "power_draw_watts": 141,
        "power_limit_watts": 750,
        'ecc_errors_total{kind="uncorrected"}': 2,
        'ecc_errors_total{kind="corrected"}': 17,
    }


@pytest.mark.parametrize(
    ("more", "total"),
    [
        ("", 3),
        ("mem_busy_percent = 0\n", 1),
        ("hwmon/hwmon0/name = amdgpu\nhwmon/hwmon0/pwm1 = 0\n", 1),
        ("hwmon/hwmon0/name = amdgpu\nhwmon/hwmon0/temp3_label = mem\nhwmon/hwmon0/temp3_input = 40000\n", 1),
    ],
)
def test_memory_of_an_apu_without_sensors(host: Host, more: str, total: int) -> None:
    """Little memory is an APU's, whose models use the host's; a fan or hot memory is a card's of its own."""
    sizes = f"mem_info_vram_total = {GIB}\nmem_info_gtt_total = {2 * GIB}\n"
    plant(AMD + sizes + more, host.sys)
    assert short(collect(host, "amd"))["memory_total_bytes"] == total * GIB


def test_i915(host: Host) -> None:
    """An older Intel driver has the same under other names; its sensor of temperature has no label."""
    plant(
        f"{I915}[class/drm/card0]\ngt_act_freq_mhz = 2000\ngt_max_freq_mhz = 2450\n"
        "gt/gt0/rc6_residency_ms = 1000\ngt/gt0/throttle_reason_pl1 = 1\ngt/gt0/throttle_reason_thermal = 0\n"
        "[class/drm/card0/device/hwmon/hwmon1]\nname = i915\ntemp1_input = 51000\nenergy1_input = 5000000\n"
        "power1_max = 0\npower1_crit = 99000000\nfan1_input = 900\n",
        host.sys,
    )
    state = kernel.State()
    collect(host, "intel", state)
    (host.sys / "class/drm/card0/gt/gt0/rc6_residency_ms").write_text("2500\n")
    (host.sys / "class/drm/card0/device/hwmon/hwmon1/energy1_input").write_text("105000000\n")
    assert short(collect(host, "intel", state, 2.0)) == {
        **clocks("clock_hertz", graphics=2000),
        **clocks("clock_max_hertz", graphics=2450),
        "utilization_ratio": 0.25,
        "temperature_celsius": 51,
        "energy_joules_total": 105,
        "power_draw_watts": 50,
        'throttle_active{reason="pl1"}': 1,
        'throttle_active{reason="thermal"}': 0,
    }


@pytest.mark.parametrize(
    ("idle", "busy"),
    [((1000, 2000), 0.5), ((1000, 1000), 1), ((1000, 3100), 0), ((9, 1), None), ((0, 0), None)],
)
def test_load_of_xe(host: Host, idle: tuple[int, int], busy: float | None) -> None:
    """The load is the time that was not idle, known from the second run on, and never beyond 0 to 1."""
    gt = host.sys / "class/drm/card0/device/tile0/gt0/gtidle"
    state = kernel.State()
    plant(f"{XE}tile0/gt0/gtidle/name = gt0-rc\ntile0/gt1/gtidle/name = gt1-mc\n", host.sys)
    (gt.parent.parent / "gt1/gtidle/idle_residency_ms").write_text("1\n")  # of video, which is another load
    for now, count in zip((0.0, 2.0), idle, strict=True):
        (gt / "idle_residency_ms").write_text(f"{count}\n")
        found = short(collect(host, "intel", state, now))
        assert found.get("utilization_ratio") == (busy if now else None)


def test_energy_of_the_chip(host: Host) -> None:
    """Linux 6.16 counts no energy for the whole card: then the chip's is exported."""
    recorded("intel/arc-b580", host.sys)
    (sensors,) = host.sys.glob("class/drm/card1/device/hwmon/hwmon*")
    (sensors / "energy1_input").write_text("0\n")
    assert short(collect(host, "intel"))["energy_joules_total"] == pytest.approx(19014.248107)


@pytest.mark.parametrize(
    ("vendor", "bridge", "generation"),
    [("amd", "0x1002", 3), ("amd", "0x1022", 4), ("intel", "0x8086", 3)],
)
def test_link_behind_a_switch_on_the_card(host: Host, vendor: str, bridge: str, generation: int) -> None:
    """The link of the slot is that of the switch's upstream end, where that is the card's own."""
    slot = "devices/pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:03:00.0"
    driver = {"amd": "0x1002", "intel": "0x8086"}[vendor]
    plant(
        f"[{slot}]\nvendor = {driver}\ncurrent_link_speed = 16.0 GT/s PCIe\ncurrent_link_width = 16\n"
        f"[{slot[: slot.index('/0000:02')]}]\nvendor = {bridge}\ncurrent_link_speed = 8.0 GT/s PCIe\n"
        f"current_link_width = 8\n[class/drm/card0]\ndevice -> ../../../{slot}\n",
        host.sys,
    )
    found = short(collect(host, vendor))
    assert found == {"pcie_link_generation": generation, "pcie_link_width": 8 if generation == 3 else 16}


@pytest.mark.parametrize("speed", ["Unknown", "", "16", "2.5 GT/s", "16.0 GT/s PCIe", "64 GT/s", "1e9", "\0"])
def test_speed_of_a_link(host: Host, speed: str) -> None:
    """Only the speeds that there are have a generation; older kernels leave out what follows the point."""
    plant(AMD, host.sys)
    (host.sys / "class/drm/card0/device/current_link_speed").write_text(f"{speed}\n")
    expected = {"16": 4, "2.5 GT/s": 1, "16.0 GT/s PCIe": 4, "64 GT/s": 6}.get(speed)
    assert short(collect(host, "amd")).get("pcie_link_generation") == expected


@pytest.mark.parametrize(
    ("amdgpu_ids", "pci_ids", "product", "name"),
    [
        ("744C, C8, AMD Radeon RX 7900 XTX\n", "", "", "AMD Radeon RX 7900 XTX"),
        (
            "744C, CC, AMD Radeon RX 7900 XT\n",
            "1002  AMD\n\t744c  Navi 31 [Radeon RX 7900]\n",
            "",
            "Radeon RX 7900",
        ),
        ("", "1001  K\n\t744c  Other\n1002  AMD\n\t744c  Navi 31\n1003  U\n", "", "Navi 31"),
        ("", "1002  AMD\n1003  U\n\t744c  Other\n", "", "AMD 1002:744C"),
        ("744C, C8, X\n", "", "AMD Radeon PRO W7900", "AMD Radeon PRO W7900"),
        ("", "", "", "AMD 1002:744C"),
    ],
)
def test_name(host: Host, amdgpu_ids: str, pci_ids: str, product: str, name: str) -> None:
    """A card goes by its own name, else that of libdrm's list or of the PCI devices', else its ids."""
    for path, text in (("usr/share/libdrm/amdgpu.ids", amdgpu_ids), ("usr/share/misc/pci.ids", pci_ids)):
        (host.root / path).parent.mkdir(parents=True)
        (host.root / path).write_text(f"# a comment\n{text}")
    ids = f"{AMD.replace('PCI_SLOT', 'PCI_ID=1002:744C' + chr(92) + 'nPCI_SLOT')}revision = 0xc8\n"
    plant(f"{ids}product_name = {product}\nunique_id = c0ffee0123456789\nvbios_version = 113-D70\n"
          "[module/amdgpu]\nversion = 6.8.5\n", host.sys)  # fmt: skip
    assert (
        f'grid_gpu_info{{driver="amdgpu",driver_version="6.8.5",gpu="amd0",name="{name}",'
        'pci_bus_id="0000:03:00.0",uuid="c0ffee0123456789",vbios_version="113-D70",vendor="amd"}'
    ) in collect(host, "amd")


HWMON = "[class/drm/card0/device/hwmon/hwmon0]\nname = {driver}\n"


@pytest.mark.parametrize("driver", ["amdgpu", "radeon"])
def test_sensors_without_labels(host: Host, driver: str) -> None:
    """Where no sensor has a label the first is the chip's, and no other is taken for anything."""
    sensors = "".join(f"temp{n}_input = {n}0000\nfreq{n}_input = {n}00000000\n" for n in (1, 2, 3, 10))
    plant(AMD + HWMON.format(driver=driver) + sensors, host.sys)
    assert short(collect(host, "amd")) == {"temperature_celsius": 10, **clocks("clock_hertz", graphics=100)}


@pytest.mark.parametrize(
    ("files", "ratio"),
    [
        ("pwm1 = 51\nfan1_input = 0\nfan1_max = 3000\n", 0.2),
        ("fan1_input = 1500\nfan1_max = 3000\n", 0.5),
        ("fan1_input = 0\nfan1_max = 3000\n", 0),
        ("fan1_input = 1500\n", None),
        ("fan1_input = 1500\nfan1_max = 0\n", None),
    ],
)
def test_fan_of_amd(host: Host, files: str, ratio: float | None) -> None:
    """A fan without a duty cycle has its speed, where its highest is known."""
    plant(AMD + HWMON.format(driver="amdgpu") + files, host.sys)
    assert short(collect(host, "amd")).get("fan_speed_ratio") == ratio


def test_fans_of_intel(host: Host) -> None:
    """Of several fans the fastest counts; one that can't be read costs no other."""
    fans = "fan2_input = 500\nfan2_max = 2000\nfan3_input = 1000\nfan3_max = 2000\nfan4_input = 9\n"
    plant(XE + HWMON.format(driver="xe") + fans, host.sys)
    assert short(collect(host, "intel"))["fan_speed_ratio"] == 0.5


def test_several_tiles(host: Host) -> None:
    """The busiest tile's load, the highest clocks; of a tile's groups without names the later are video's."""
    frequencies = {"tile0/gt0": (1000, 2000), "tile0/gt1": (800, 1200), "tile1/gt2": (1500, 2000)}
    plant(XE, host.sys)
    for group, (actual, most) in frequencies.items():
        at = f"[class/drm/card0/device/{group}]\n"
        plant(f"{at}freq0/act_freq = {actual}\nfreq0/max_freq = {most}\nfreq0/throttle/reason_pl1 = 0\n"
              "gtidle/idle_residency_ms = 1000\n", host.sys)  # fmt: skip
    state = kernel.State()
    collect(host, "intel", state)
    for group, count in (("tile0/gt0", 3000), ("tile0/gt1", 1000), ("tile1/gt2", 1500)):
        path = host.sys / f"class/drm/card0/device/{group}"
        (path / "gtidle/idle_residency_ms").write_text(f"{count}\n")
    (path / "freq0/throttle/reason_pl1").write_text("1\n")
    assert short(collect(host, "intel", state, 2.0)) == {
        **clocks("clock_hertz", graphics=1500, video=800),
        **clocks("clock_max_hertz", graphics=2000, video=1200),
        "utilization_ratio": 0.75,
        'throttle_active{reason="pl1"}': 1,
    }


@pytest.mark.parametrize("slot", ["00:02.0", "03:00.0"])
def test_several_groups_of_i915(host: Host, slot: str) -> None:
    """Each group has its own clocks on newer kernels; the second is for video in a processor, else a tile."""
    own = "".join(
        f"gt/{gt}/rps_act_freq_mhz = {actual}\ngt/{gt}/rps_max_freq_mhz = {most}\n"
        for gt, actual, most in (("gt0", 900, 2250), ("gt1", 1100, 1300))
    )
    at = AT.format(vendor="0x8086", driver="i915", slot=slot)
    plant(f"{at}[class/drm/card0]\ngt_act_freq_mhz = 1100\ngt_max_freq_mhz = 2250\n{own}", host.sys)
    video = slot == "00:02.0"
    assert short(collect(host, "intel")) == {
        **clocks("clock_hertz", **({"graphics": 900, "video": 1100} if video else {"graphics": 1100})),
        **clocks("clock_max_hertz", **({"graphics": 2250, "video": 1300} if video else {"graphics": 2250})),
    }


def test_load_of_an_older_i915(host: Host) -> None:
    """Kernels before 5.19 count idle time beside the card's power."""
    plant(f"{I915}[class/drm/card0]\npower/rc6_residency_ms = 1000\n", host.sys)
    state = kernel.State()
    collect(host, "intel", state)
    (host.sys / "class/drm/card0/power/rc6_residency_ms").write_text("2000\n")
    assert short(collect(host, "intel", state, 4.0)) == {"utilization_ratio": 0.75}


def test_load_of_a_card_that_slept(host: Host) -> None:
    """Counters stand still while a card sleeps: what comes after is measured from the wake on."""
    plant(f"{XE}power/runtime_status = active\ntile0/gt0/gtidle/idle_residency_ms = 1000\n", host.sys)
    device, state = host.sys / "class/drm/card0/device", kernel.State()
    loads = []
    for now, status, idle in (
        (0.0, "active", 1000), (2.0, "active", 2000), (3.0, "suspended", 2000), (100.0, "active", 2000),
        (102.0, "active", 3000),
    ):  # fmt: skip
        (device / "power/runtime_status").write_text(f"{status}\n")
        (device / "tile0/gt0/gtidle/idle_residency_ms").write_text(f"{idle}\n")
        loads.append(short(collect(host, "intel", state, now)).get("utilization_ratio"))
    assert loads == [None, 0.5, None, None, 0.5]


@pytest.mark.parametrize(
    ("port", "most"),
    [
        ("max_link_speed = 8.0 GT/s PCIe\nmax_link_width = 4\n", (3, 4)),
        ("max_link_speed = 32.0 GT/s PCIe\nmax_link_width = 16\n", (4, 16)),
        ("max_link_speed = Unknown\nmax_link_width = 0\n", (4, 16)),
        ("", (4, 16)),
    ],
)
def test_link_of_a_slot(host: Host, port: str, most: tuple[int, int]) -> None:
    """A card can't be faster than its slot, and in a slow one its link is not narrow."""
    slot = "devices/pci0000:00/0000:00:01.0"
    plant(
        f"[{slot}]\nvendor = 0x1022\n{port}[{slot}/0000:03:00.0]\nvendor = 0x1002\n"
        "max_link_speed = 16.0 GT/s PCIe\nmax_link_width = 16\n"
        f"[class/drm/card0]\ndevice -> ../../../{slot}/0000:03:00.0\n",
        host.sys,
    )
    found = short(collect(host, "amd"))
    assert (found["pcie_link_generation_max"], found["pcie_link_width_max"]) == most


def test_graphics_of_a_server(host: Host) -> None:
    """AMD's own chip for servers' management draws a console, and is no GPU."""
    plant(AMD.replace("PCI_SLOT", "PCI_ID=1002:515E\\nPCI_SLOT").replace("amdgpu", "radeon"), host.sys)
    assert collect(host, "amd") == {'grid_gpus{vendor="amd"}': 0}


def test_card_without_a_driver(host: Host) -> None:
    """A card that no driver is bound to is there, and reports nothing."""
    plant("[class/drm/card0/device]\nvendor = 0x1002\nuevent = PCI_ID=1002:744C\n", host.sys)
    assert short(collect(host, "amd")) == {}
