import contextlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.exposition import join, render
from exporter.probe import Host, ProbeError, Result
from exporter.probes.host import (
    TICKS_PER_SECOND,
    NonDecreasing,
    Settings,
    build,
    discover,
    parse_loadavg,
    parse_meminfo,
    parse_pressure,
    parse_stat,
)
from exporter.system import files

CAPTURES = Path(__file__).parents[1] / "captures" / "proc"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with the captured files, to change as a test needs it."""
    return Path(shutil.copytree(CAPTURES, tmp_path / "proc"))


async def collect(proc: Path) -> Result:
    """One run of the probe on that /proc."""
    (probe,) = build(Settings(), Host(proc=proc))
    return await probe.run()


def lines(result: Result) -> list[str]:
    """The samples as a scrape shows them."""
    return [line for line in join([render(result.families)]).decode().splitlines() if line[0] != "#"]


async def test_captured_host(proc: Path) -> None:
    """The captured files give every family, in base units."""
    assert lines(await collect(proc)) == [
        "grid_memory_total_bytes 2.5276514304e+10",
        "grid_memory_available_bytes 2.4836481024e+10",
        "grid_memory_free_bytes 2.467874816e+10",
        "grid_memory_buffers_bytes 2.179072e+06",
        "grid_memory_cached_bytes 3.36031744e+08",
        "grid_swap_total_bytes 0.0",
        "grid_swap_free_bytes 0.0",
        'grid_cpu_seconds_total{mode="user"} 107.3',
        'grid_cpu_seconds_total{mode="nice"} 0.02',
        'grid_cpu_seconds_total{mode="system"} 51.93',
        'grid_cpu_seconds_total{mode="idle"} 2238.94',
        'grid_cpu_seconds_total{mode="iowait"} 7.36',
        'grid_cpu_seconds_total{mode="irq"} 0.0',
        'grid_cpu_seconds_total{mode="softirq"} 0.95',
        'grid_cpu_seconds_total{mode="steal"} 0.43',
        "grid_cpus 2.0",
        "grid_boot_timestamp_seconds 1.795395218e+09",
        "grid_load1 0.19",
        "grid_load5 0.13",
        "grid_load15 0.09",
        'grid_pressure_waiting_seconds_total{resource="cpu"} 18.200569',
        'grid_pressure_waiting_seconds_total{resource="memory"} 0.0',
        'grid_pressure_waiting_seconds_total{resource="io"} 6.270998',
        'grid_pressure_stalled_seconds_total{resource="memory"} 0.0',
        'grid_pressure_stalled_seconds_total{resource="io"} 5.826613',
    ]


def test_guests_are_counted_once() -> None:
    """The guest columns are no modes of their own: user and nice hold them."""
    stat = parse_stat("cpu  1000 200 30 40 50 60 70 80 900 100\ncpu0 1 1 1 1\nbtime 5\n")
    assert list(stat.modes) == ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"]
    assert stat.modes["user"] == 1000 / TICKS_PER_SECOND


def test_old_kernel_with_fewer_modes() -> None:
    """Columns that a kernel doesn't have are left out, not 0."""
    assert list(parse_stat("cpu 1 2 3 4\ncpu0 1 2 3 4\nbtime 5\n").modes) == [
        "user",
        "nice",
        "system",
        "idle",
    ]


@pytest.mark.parametrize(
    ("stat", "left"),
    [
        ("cpu  2568500776029407000000\ncpu0 1 1 1 1\nbtime 5\n", {"cpus", "boot_timestamp_seconds"}),
        ("cpu  1 2 3\ncpu0 1 1 1 1\nbtime 5\n", {"cpus", "boot_timestamp_seconds"}),
        ("cpu  1 2 3 4\ncpu0 1 1 1 1\nintr 0\n", {"cpu_seconds", "cpus"}),
        ("cpu  1 2 3 4\ncpu0 1 1 1 1\nbtime 99999999999\n", {"cpu_seconds", "cpus"}),
        ("cpu  1 2 3 4\nbtime 5\n", {"cpu_seconds", "boot_timestamp_seconds"}),
        ("btime 5\n", {"boot_timestamp_seconds"}),
    ],
)
async def test_each_field_of_stat_stands_for_itself(proc: Path, stat: str, left: set[str]) -> None:
    """What is missing or implausible is noted and costs its neighbours nothing."""
    (proc / "stat").write_text(stat)
    result = await collect(proc)
    names = {family.name.removeprefix("grid_") for family in result.families}
    assert names & {"cpu_seconds", "cpus", "boot_timestamp_seconds"} == left
    assert [note.text.partition(" has no valid ")[0] for note in result.notes] == [str(proc / "stat")]


def test_implausible_mode_is_alone_left_out() -> None:
    """A mode beyond any host's uptime (-1 as an unsigned number, say) leaves the others as they are."""
    modes = parse_stat("cpu 100 18446744073709551615 300 400\ncpu0 1 1 1 1\nbtime 5\n").modes
    assert modes == {
        "user": 100 / TICKS_PER_SECOND,
        "nice": None,
        "system": 300 / TICKS_PER_SECOND,
        "idle": 400 / TICKS_PER_SECOND,
    }


@pytest.mark.parametrize("name", ["meminfo", "stat", "loadavg"])
async def test_endless_file_is_refused(proc: Path, name: str) -> None:
    """A device, a FIFO and a file without end cost neither memory nor time."""
    path = proc / name
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(ProbeError, match=f"{name} can't be read: it is no regular file"):
        await collect(proc)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ProbeError, match=f"{name} can't be read: it is no regular file"):
        await collect(proc)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ProbeError, match=f"{name} can't be read: it is larger than 1024 KiB"):
        await collect(proc)


def test_processors_are_those_online() -> None:
    """The sum's own line and a line that only begins like a processor's are not counted."""
    assert parse_stat("cpu 1 2 3 4\ncpu0 1 1 1 1\ncpu7 1 1 1 1\ncpufreq 3\nbtime 5\n").cpus == 2


def test_amount_without_a_unit_is_invalid() -> None:
    """A line cut in the middle must not become a smaller value."""
    assert parse_meminfo("MemTotal: 100 kB\nHugePages_Total: 7\nMemFree: 9") == {
        "MemTotal": 102400,
        "MemFree": None,
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("MemAvailable", "101 kB"),
        ("MemFree", "18014398509481983 kB"),
        ("Cached", "9" * 5000 + " kB"),
        ("Buffers", "-5 kB"),
        ("MemFree", "nan kB"),
        ("SwapFree", "11 kB"),
        ("SwapTotal", "9" * 20 + " kB"),
        ("MemTotal", "72057594037927936 kB"),
    ],
)
def test_implausible_amount_is_alone_left_out(name: str, line: str) -> None:
    """A part larger than its whole, and what no host has, are no values; the other amounts stand."""
    whole = {"MemTotal": "100 kB", "MemFree": "1 kB", "SwapTotal": "10 kB", "SwapFree": "1 kB"}
    text = "".join(f"{key}: {value}\n" for key, value in (whole | {name: line}).items())
    amounts = parse_meminfo(text)
    assert amounts.pop(name) is None
    assert None not in amounts.values()


async def test_memory_that_the_kernel_does_not_tell(proc: Path) -> None:
    """A kernel before 3.14 has no MemAvailable: the family is absent, not 0."""
    (proc / "meminfo").write_text("MemTotal: 100 kB\nMemFree: 50 kB\n")
    memory = [line for line in lines(await collect(proc)) if line.startswith(("grid_memory", "grid_swap"))]
    assert memory == ["grid_memory_total_bytes 102400.0", "grid_memory_free_bytes 51200.0"]


@pytest.mark.parametrize("name", ["meminfo", "stat", "loadavg"])
async def test_missing_file_is_named(proc: Path, name: str) -> None:
    """What is hidden (ProcSubset=pid) is named, with what hides it."""
    (proc / name).unlink()
    with pytest.raises(ProbeError, match=rf"{proc}/{name} is not there") as caught:
        await collect(proc)
    assert "ProcSubset" in caught.value.hint


@pytest.mark.parametrize("name", ["meminfo", "stat", "loadavg", "pressure"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe" * 50 + b"\n", b"12", b"MemTotal: 1"])
async def test_unusable_file_is_named(proc: Path, name: str, content: bytes) -> None:
    """Empty, binary and cut-off content is a failure that names the file."""
    (proc / ("pressure/io" if name == "pressure" else name)).write_bytes(content)
    with pytest.raises(ProbeError, match=f"/proc/{name}"):
        await collect(proc)


async def test_unreadable_file_is_named(proc: Path) -> None:
    """A file that can't be read is a failure with the system's own word for it."""
    (proc / "stat").unlink()
    (proc / "stat").mkdir()
    with pytest.raises(ProbeError, match="stat can't be read: it is no regular file"):
        await collect(proc)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("meminfo", "grid_memory"),
        ("stat", "grid_cpu"),
        ("loadavg", "grid_load"),
        ("pressure/io", 'resource="io"'),
    ],
)
async def test_what_can_be_read_is_reported_all_the_same(proc: Path, name: str, missing: str) -> None:
    """Where one file can't be read the probe fails, and the other files' metrics are served."""
    (proc / name).write_text("nonsense\n")
    with pytest.raises(ProbeError) as caught:
        await collect(proc)
    series = lines(Result(caught.value.families))
    assert not [line for line in series if missing in line]
    parts = ("grid_memory_total", "grid_cpus", "grid_load1 ", 'waiting_seconds_total{resource="io"}')
    assert sum(any(part in line for line in series) for part in parts) == 3


async def test_kernel_without_pressure(proc: Path) -> None:
    """Where the kernel measures no pressure the families are absent and the run is good."""
    shutil.rmtree(proc / "pressure")
    assert not [line for line in lines(await collect(proc)) if "pressure" in line]


async def test_pressure_switched_off(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With psi=0 the files are there but give EOPNOTSUPP: as good as absent."""
    genuine = files.read

    def read(path: Path) -> bytes:
        if "pressure" in path.parts:
            raise OSError(95, "Operation not supported")
        return genuine(path)

    monkeypatch.setattr(files, "read", read)
    assert not [line for line in lines(await collect(proc)) if "pressure" in line]


def test_pressure_in_seconds() -> None:
    """Pressure's totals are microseconds; io of old kernels may have no full line."""
    assert parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n") == {"some": 2.5}


async def test_processors_have_no_full_pressure(proc: Path) -> None:
    """The kernel's constant 0 for the processors' full line is no value."""
    resources = [line for line in lines(await collect(proc)) if "stalled" in line]
    assert [line.split('"')[1] for line in resources] == ["memory", "io"]


def test_small_step_back_is_held() -> None:
    """The kernel's iowait may shrink a little; a counter that shrinks would be taken for a restart."""
    counter = NonDecreasing()
    assert [counter("iowait", value) for value in (10.0, 9.5, 10.5, 2.0, 2.5)] == [10.0, 10.0, 10.5, 2.0, 2.5]


def test_load() -> None:
    """The three means are the load's, the rest of the line is not."""
    assert parse_loadavg("0.12 1.5 64.00 1/96 10967\n") == [0.12, 1.5, 64.0]


@pytest.mark.parametrize("word", ["nan", "inf", "-1", "1e300", "x"])
def test_implausible_load_is_alone_left_out(word: str) -> None:
    """One mean that is none costs the others nothing."""
    assert parse_loadavg(f"0.12 {word} 64.00 1/96 10967\n") == [0.12, None, 64.0]


@settings(max_examples=200)
@given(st.text() | st.sampled_from(["cpu {0} 1 1 1\nbtime {0}\n", "MemTotal: {0} kB\n", "{0} 1 1 1/1 1\n"]))
def test_parsers_raise_nothing_but_probe_errors(text: str) -> None:
    """Whatever the files hold, the parsers give metrics or a reason."""
    for huge in ("9" * 5000, "nan", "-1", "1_0", "٣"):
        for parse in (parse_meminfo, parse_stat, parse_loadavg, parse_pressure):
            with contextlib.suppress(ProbeError):
                parse(text.replace("{0}", huge))


async def test_a_host_is_always_found() -> None:
    """Without a configuration the host is looked at."""
    assert await discover(Host()) == Settings()


async def test_this_host() -> None:
    """The machine that the tests run on reports its memory, processors and boot."""
    names = {line.split("{")[0].split()[0] for line in lines(await collect(Path("/proc")))}
    assert {"grid_memory_total_bytes", "grid_cpu_seconds_total", "grid_boot_timestamp_seconds"} <= names
