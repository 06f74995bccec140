import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.metrics.exposition import join, render
from exporter.metrics.families import Samples
from exporter.probe import Host, Note, ProbeError
from exporter.probes.services.families import STATES
from exporter.probes.services.probe import KIND, Settings, build, discover, parse
from exporter.probes.services.units import Categories

CAPTURES = Path(__file__).parents[2] / "captures" / "systemd"
MANAGER = (CAPTURES / "manager.txt").read_text()
UNITS = (CAPTURES / "units.txt").read_text()
BOOTED = 1795395218.0

ASKED: Categories = {
    "ai": ["ollama.service", "vllm@*.service", "open-webui.service", "warmup.service", r"model\x2dcache*"],
    "network": ["tor@default.service", "proxy.service", "nginx.service", "absent-*.service"],
    "rest": ["*.service", "nowhere.service", "often.timer"],
}


def lines(samples: Samples) -> list[str]:
    """The samples as a scrape shows them; of the states only the one that is."""
    body = join([render(samples.families())]).decode().splitlines()
    return [line for line in body if line[0] != "#" and not (",state=" in line and line.endswith(" 0.0"))]


def of_family(samples: Samples, family: str) -> dict[str, str]:
    """One family's values by the unit's name."""
    found = [line for line in lines(samples) if line.startswith(family)]
    return {line.split('name="')[1].split('"')[0]: line.rpartition(" ")[2] for line in found}


def block(**properties: str) -> str:
    """A unit as systemctl shows it."""
    unit = {"Id": "a.service", "LoadState": "loaded", "ActiveState": "active", **properties}
    return "".join(f"{name}={value}\n" for name, value in ({"Names": unit["Id"]} | unit).items())


def service(**properties: str) -> list[str]:
    """What becomes of a configured service with these properties, beside its state."""
    samples = parse(MANAGER, block(**properties), {"c": ["a.service"]}, BOOTED)
    return [line for line in lines(samples) if line.startswith("grid_service") and "_state" not in line]


def timer(**properties: str) -> list[str]:
    """What becomes of a timer with these properties."""
    return [
        line
        for line in lines(parse(MANAGER, block(Id="a.timer", **properties), {}, BOOTED))
        if line.startswith("grid_systemd_timer")
    ]


def test_captured_states() -> None:
    """Every unit is in the state that systemd reports, under its own name and first category."""
    states = [line for line in lines(parse(MANAGER, UNITS, ASKED, BOOTED)) if "_service_state" in line]
    labels = [re.findall(r'"([^"]*)"', line) for line in states]
    assert [(name, category, state) for category, name, state in labels] == [
        ("ollama.service", "ai", "active"),
        ("open-webui.service", "ai", "failed"),
        ("warmup.service", "ai", "activating"),
        ("migrate.service", "rest", "active"),
        ("reload.service", "rest", "reloading"),
        ("stopping.service", "rest", "deactivating"),
        ("nginx.service", "network", "inactive"),
        ("tor@default.service", "network", "active"),
        ("gateway.service", "network", "active"),  # asked for by its alias, proxy.service
        ("nowhere.service", "rest", "not-found"),
        (r"model\\x2dcache\\x20main.service", "ai", "active"),
        ("broken-file.service", "rest", "inactive"),
        ("masked-one.service", "rest", "inactive"),
        ("often.timer", "rest", "active"),
        ("vllm@llama.service", "ai", "inactive"),
        ("vllm@qwen.service", "ai", "active"),
    ]


def test_captured_metrics() -> None:
    """What systemd knows of a unit comes out in base units, and nothing of what it doesn't."""
    samples = parse(MANAGER, UNITS, ASKED, BOOTED)
    units = ("open-webui", "nginx", "ollama", "nowhere")
    assert [line for line in lines(samples) if any(f'"{u}.service"}}' in line for u in units)] == [
        'grid_service_enabled{category="ai",name="ollama.service"} 1.0',
        'grid_service_enabled{category="network",name="nginx.service"} 0.0',
        'grid_service_restarts_total{category="ai",name="ollama.service"} 0.0',
        'grid_service_restarts_total{category="ai",name="open-webui.service"} 4.0',
        'grid_service_restarts_total{category="network",name="nginx.service"} 0.0',
        'grid_service_started_timestamp_seconds{category="ai",name="ollama.service"} 1.795397287e+09',
        'grid_service_cpu_seconds_total{category="ai",name="ollama.service"} 0.001748',
        'grid_service_cpu_seconds_total{category="ai",name="open-webui.service"} 0.001528',
    ]


def test_captured_manager() -> None:
    """The state of systemd itself and its failed units are there without any configured unit."""
    assert [line for line in lines(parse(MANAGER, "", {}, BOOTED)) if not line.endswith("0.0")] == [
        "grid_systemd_failed_units 1.0",
        'grid_systemd_state{state="degraded"} 1.0',
    ]


def test_captured_timers() -> None:
    """Timers have their last and next trigger, by whichever clock is set."""
    samples = parse(MANAGER, UNITS, {}, BOOTED)
    assert of_family(samples, "grid_systemd_timer_last_trigger") == {
        "often.timer": "1.79539729e+09",
        "running.timer": "1.79539729e+09",
        "once.timer": "1.79539729e+09",
    }
    assert of_family(samples, "grid_systemd_timer_next_trigger") == {
        "often.timer": "1.79540089e+09",  # by uptime
        "backup.timer": "1.7954784e+09",  # by the calendar
        "both.timer": "1.7960832e+09",
        "systemd-tmpfiles-clean.timer": "1.795398187e+09",
    }


def test_every_state_has_a_series() -> None:
    """All possible states are there, and just one of them is 1."""
    body = join([render(parse(MANAGER, UNITS, ASKED, BOOTED).families())]).decode().splitlines()
    states = [line for line in body if 'name="ollama.service",state=' in line]
    assert len(states) == len(STATES)
    assert sum(line.endswith(" 1.0") for line in states) == 1


def test_unforeseen_state_shows() -> None:
    """A state that a later systemd brings is a series of its own, not a lie about the known ones."""
    samples = parse(MANAGER, block(ActiveState="hibernating"), {"c": ["a.service"]}, BOOTED)
    assert [line for line in lines(samples) if "_service_state" in line] == [
        'grid_service_state{category="c",name="a.service",state="hibernating"} 1.0'
    ]


def test_first_category_wins() -> None:
    """A unit that two categories hit belongs to the one that is written first."""
    samples = parse(MANAGER, block(), {"b": ["*.service"], "a": ["a.service"]}, BOOTED)
    assert 'category="b"' in lines(samples)[-1]
    assert 'category="a"' not in "".join(lines(samples))


def test_only_what_is_named_is_missed() -> None:
    """A unit that isn't there shows as not-found when it was named, never when a pattern happened on it."""
    gone = block(Id="gone.service", LoadState="not-found", ActiveState="inactive")
    assert of_family(parse(MANAGER, gone, {"c": ["gone.service"]}, 0), "grid_service") == {
        "gone.service": "1.0"
    }
    assert of_family(parse(MANAGER, gone, {"c": ["g*"]}, 0), "grid_service") == {}


@pytest.mark.parametrize(
    ("name", "state", "shown"),
    [
        (f"{'5f' * 32}.timer", "transient", False),  # Podman's health check
        (f"{'5f' * 32}-1b2c3d4e5f607182.timer", "", False),
        ("run-r1b2c3d4e5f60718293a4b5c6d7e8f901.timer", "transient", False),
        ("run-p4242-i9.timer", "transient", False),
        ("run-u42.timer", "transient", False),
        ("backup.timer", "transient", True),  # systemd-run --unit=backup
        ("run-backups.timer", "enabled", True),
        ("mirror-2.timer", "enabled", True),
    ],
)
def test_names_made_at_random_are_left_out(name: str, state: str, *, shown: bool) -> None:
    """A unit whose name no other will ever have makes no series, unless it is configured by that name."""
    unit = block(Id=name, UnitFileState=state, LastTriggerUSec="Mon 2026-11-23 01:27:28 UTC")
    by_pattern = lines(parse(MANAGER, unit, {"c": ["*.timer"]}, BOOTED))
    assert any(name in line for line in by_pattern) is shown
    by_name = lines(parse(MANAGER, unit, {"c": [name]}, BOOTED))
    assert sum(name in line and "last_trigger" in line for line in by_name) == 1


@pytest.mark.parametrize(
    "name", [f"libpod-{'5f' * 32}.scope", "session-3.scope", "app-gnome-code-4711.scope"]
)
def test_scopes_made_at_random_are_left_out(name: str) -> None:
    """What logins, desktops and containers start is left out of a pattern's units."""
    unit = block(Id=name, UnitFileState="transient")
    assert not [it for it in lines(parse(MANAGER, unit, {"c": ["*.scope"]}, BOOTED)) if name in it]


def test_deleted_while_it_runs() -> None:
    """A service whose file was deleted under it runs all the same."""
    samples = parse(MANAGER, block(LoadState="not-found", ActiveState="active"), {"c": ["a.service"]}, BOOTED)
    assert lines(samples)[-1] == 'grid_service_state{category="c",name="a.service",state="active"} 1.0'


def test_alias_and_unit_are_one() -> None:
    """A unit asked for by two of its names is shown once, under its own."""
    unit = block(Names="a.service b.service")
    samples = parse(MANAGER, f"{unit}\n{unit}", {"c": ["b.service", "a.service"]}, BOOTED)
    assert list(of_family(samples, "grid_service_state")) == ["a.service"]


@pytest.mark.parametrize(
    "unset", ["", "[not set]", "[no data]", "18446744073709551615", "-1", "infinity", "nan"]
)
def test_unknown_counts_are_left_out(unset: str) -> None:
    """What systemd doesn't know is absent in each of its spellings, never 0 and never 16 EiB."""
    assert service(MemoryCurrent=unset, CPUUsageNSec=unset, NRestarts=unset) == []


def test_known_counts() -> None:
    """Bytes stay bytes, nanoseconds become seconds."""
    assert service(MemoryCurrent="4096", CPUUsageNSec="2500000000", NRestarts="0") == [
        'grid_service_restarts_total{category="c",name="a.service"} 0.0',
        'grid_service_memory_bytes{category="c",name="a.service"} 4096.0',
        'grid_service_cpu_seconds_total{category="c",name="a.service"} 2.5',
    ]


@pytest.mark.parametrize(
    ("state", "enabled"),
    [
        *(("enabled", "1.0"), ("enabled-runtime", "1.0"), ("disabled", "0.0"), ("masked", "0.0")),
        *(("static", ""), ("generated", ""), ("transient", ""), ("indirect", ""), ("alias", ""), ("", "")),
    ],
)
def test_enabled(state: str, enabled: str) -> None:
    """A unit is enabled or not; for one that can't be, nothing is claimed."""
    assert "".join(service(UnitFileState=state)).rpartition(" ")[2] == enabled


def test_start_is_only_reported_of_what_runs() -> None:
    """A failed unit keeps its last start in systemd; it isn't "since when it is active"."""
    when = "Mon 2026-11-23 01:27:28 UTC"
    assert service(ActiveEnterTimestamp=when) == [
        'grid_service_started_timestamp_seconds{category="c",name="a.service"} 1.795397248e+09'
    ]
    assert len(service(ActiveEnterTimestamp=when, ActiveState="reloading")) == 1
    assert len(service(ActiveEnterTimestamp=when, ActiveState="refreshing")) == 1
    assert service(ActiveEnterTimestamp=when, ActiveState="failed") == []
    assert service(ActiveEnterTimestamp="n/a") == []


def test_next_trigger_is_the_sooner() -> None:
    """A timer set on both clocks triggers by the one that comes first."""
    by_clock = "Mon 2026-11-23 01:27:28 UTC"  # 2030 s after the assumed boot
    for uptime, when in (
        ("33min 40.4s", "1.795397238e+09"),
        ("2h", "1.795397248e+09"),
        ("0", "1.795397248e+09"),
    ):
        assert timer(NextElapseUSecRealtime=by_clock, NextElapseUSecMonotonic=uptime) == [
            f'grid_systemd_timer_next_trigger_timestamp_seconds{{name="a.timer"}} {when}'
        ]


def test_stopped_timer_has_no_next_trigger() -> None:
    """What is left of a stopped timer's plan is no plan."""
    assert timer(ActiveState="inactive", NextElapseUSecRealtime="Mon 2026-11-23 01:27:28 UTC") == []


@pytest.mark.parametrize(
    ("manager", "units", "reason"),
    [
        ("", "", "reported nothing of systemd itself"),
        (f"{MANAGER}\n{MANAGER}", UNITS, "or not of it alone"),
        ("NFailedUnits=1\n", "", "reported no SystemState"),
        (MANAGER, "", "reported nothing of a.service"),
        (MANAGER, block(Id="b.service"), "reported nothing of a.service"),
        (MANAGER, block()[:-3], "cut off"),
        (MANAGER, block(ActiveState=""), "reported no ActiveState of a.service"),
        (MANAGER, "\x00\xff\n", "that is no property"),
    ],
)
def test_answer_that_is_not_whole(manager: str, units: str, reason: str) -> None:
    """An answer with a part missing is a failure that names the part, not a host with fewer services."""
    with pytest.raises(ProbeError, match=reason):
        parse(manager, units, {"c": ["a.service"]}, BOOTED)


@pytest.mark.parametrize("lacking", ["Id", "LoadState", "ActiveState"])
def test_unit_without_a_property_costs_no_other(lacking: str) -> None:
    """What one unit lacks is the error; the others, and systemd itself, are reported all the same."""
    units = f"{block(**{lacking: ''})}\n{block(Id='b.service')}"
    with pytest.raises(ProbeError, match=f"reported no {lacking} of") as caught:
        parse(MANAGER, units, {"c": ["a.service", "b.service"]}, BOOTED)
    body = join([render(caught.value.families)]).decode()
    assert 'grid_service_state{category="c",name="b.service",state="active"} 1.0' in body
    assert "grid_systemd_failed_units 1.0" in body


@pytest.mark.parametrize("manager", ["", "NFailedUnits=1\n", "garbage\n"])
def test_systemd_that_reports_nothing_costs_no_unit(manager: str) -> None:
    """Where systemd's own state is missing, the units are reported all the same."""
    with pytest.raises(ProbeError) as caught:
        parse(manager, block(), {"c": ["a.service"]}, BOOTED)
    body = join([render(caught.value.families)]).decode()
    assert 'grid_service_state{category="c",name="a.service",state="active"} 1.0' in body


def test_implausible_counts_are_left_out() -> None:
    """What no host has is no value."""
    assert service(MemoryCurrent="18446744073709551614", CPUUsageNSec="18446744073709551614") == []


@settings(max_examples=100)
@given(st.integers(0, len(UNITS)))
def test_cut_anywhere(length: int) -> None:
    """However much of the answer is missing, what is reported is a part of the whole."""
    whole = set(lines(parse(MANAGER, UNITS, ASKED, BOOTED)))
    with contextlib.suppress(ProbeError):
        assert set(lines(parse(MANAGER, UNITS[:length], ASKED, BOOTED))) <= whole


@settings(max_examples=200)
@given(
    st.text(), st.dictionaries(st.sampled_from(["Id", "Names", "NRestarts", "LastTriggerUSec"]), st.text())
)
def test_any_answer(text: str, properties: dict[str, str]) -> None:
    """Whatever systemctl prints, metrics or a reason come of it."""
    for units in (text, block(**properties)):
        with contextlib.suppress(ProbeError):
            render(parse(MANAGER, units, {"c": ["*"]}, BOOTED).families())


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place on PATH for a systemctl of one's own; it logs its calls in ``calls`` beside it."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    script = tmp_path / "systemctl"
    answer = f'case "$*" in *Id,*) cat {CAPTURES}/units.txt;; *) cat {CAPTURES}/manager.txt;; esac'
    script.write_text(f'#!/bin/sh\necho "$TZ $*" >> {tmp_path}/calls\n{answer}\n')
    script.chmod(0o755)
    return script


async def test_two_processes_however_many_units(tool: Path) -> None:
    """All units, patterns and timers are asked for at once, in UTC, with names kept apart from options."""
    (probe,) = build(Settings(categories={"ai": ["ollama", "vllm@*.service"], "x": ["nowhere"]}), Host())
    result = await probe.run()
    assert {family.name for family in result.families} >= {"grid_service_state", "grid_systemd_failed_units"}
    calls = (tool.parent / "calls").read_text().splitlines()
    assert len(calls) == 2
    (units,) = [call for call in calls if call.startswith("UTC show --all -p Id,")]
    assert units.endswith(" -- ollama.service vllm@*.service nowhere.service *.timer")


async def test_one_fails_and_the_other_hangs(tool: Path) -> None:
    """No process outlives the run: where one fails the other is ended."""
    answer = f'case "$*" in *Id,*) echo $$ >{tool.parent}/pid; exec sleep 1000;; esac'
    wait = f"while [ ! -s {tool.parent}/pid ]; do sleep 0.01; done"
    tool.write_text(f"#!/bin/sh\n{answer}\n{wait}; echo no bus >&2; exit 1\n")
    (probe,) = build(Settings(), Host())
    with pytest.raises(ProbeError, match="no bus"):
        await probe.run()
    assert not Path("/proc", (tool.parent / "pid").read_text().strip()).exists()


async def test_no_systemd(tool: Path) -> None:
    """Systemctl's error message is the reason, whatever it printed besides."""
    tool.write_text(
        f"#!/bin/sh\ncat {CAPTURES}/manager.txt\necho Failed to connect to bus: Host is down >&2\nexit 1\n"
    )
    (probe,) = build(Settings(), Host())
    with pytest.raises(ProbeError, match="Failed to connect to bus: Host is down"):
        await probe.run()


async def test_discovery_needs_systemd(tmp_path: Path, tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd doesn't run, or its tool is missing, a note has the reason."""
    assert isinstance(await discover(Host(root=tmp_path / "nowhere")), Note)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    tool.chmod(0o644)
    note = await discover(Host(root=tmp_path))
    assert isinstance(note, Note)
    assert "may not be executed" in note.text


async def test_discovery_takes_what_is_installed(tmp_path: Path, tool: Path) -> None:
    """Without a configuration the well-known services that exist are shown, and no others are missed."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    found = await discover(Host(root=tmp_path))
    assert isinstance(found, Settings)
    assert found.categories["ai"] == ["ollama", "vllm@*.service", "open-webui"]


async def test_discovery_leaves_failures_to_the_probe(tmp_path: Path, tool: Path) -> None:
    """Where systemctl fails the probe is on all the same: its failure is seen, with the reason."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    tool.write_text("#!/bin/sh\nexit 1\n")
    assert await discover(Host(root=tmp_path)) == Settings()


@pytest.mark.parametrize("name", ["", "a b", "a/b.service", "x" * 249, "ü", "a\n", "a.service --now"])
def test_impossible_names(name: str) -> None:
    """What can't be a unit's name is refused, with its category."""
    with pytest.raises(ValueError, match=r"categories\.ai: .* can't be a unit's name"):
        Settings(categories={"ai": [name]})


@pytest.mark.parametrize("name", ["vllm@.service", "vllm@"])
def test_template(name: str) -> None:
    """A template has no state; the way to its units is shown."""
    with pytest.raises(ValueError, match="is a template"):
        Settings(categories={"ai": [name]})


@pytest.mark.parametrize(
    "name", ["-.mount", "-dash", r"a\x2db", "vllm@*", "*.timer", "foo.bar", "[ab].service"]
)
def test_possible_names(name: str) -> None:
    """Every name that systemd allows is taken."""
    assert Settings(categories={"ai": [name]}).ttl == KIND.settings().ttl
