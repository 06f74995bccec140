"""The exporter's unit in a booted systemd: it serves, it is kept alive, and it ends whole."""

import json

import pytest

from tests.real.installation import NEEDED
from tests.real.lived_in import CONFIG, CONFIG_FILE, STATES, UNIT, changed, program, scrape, working
from tests.real.systemd_world import World, until

pytestmark = [
    pytest.mark.real(*NEEDED, "dockerd", "docker", "tor", "busybox", "setfacl"),
    pytest.mark.timeout(1800),
]

EVERYONES = {
    "host",
    "disk:/ai/models",
    "disk:/home/alice/models",
    "tor",
    "services",
    "aide",
    "command:sandbox",
}
# Does not go when it is asked to, and leaves a child in a session of its own.
STUBBORN = (
    "#!/bin/sh\ntrap '' TERM INT HUP\nsetsid sh -c 'trap \"\" TERM; sleep 1000' &\nsleep 1000\nsleep 1000\n"
)


def member(host: World, group: str) -> None:
    """Lets the exporter in on what a group may see."""
    host.run("usermod", "--append", "--groups", group, "grid-exporter")
    host.systemctl("restart", UNIT)


def outsider(host: World, group: str) -> None:
    host.run("gpasswd", "--delete", "grid-exporter", group)
    host.systemctl("restart", UNIT)


def everyone_works(host: World) -> None:
    """Waits until every probe works that needs no group."""
    until(lambda: working(host) == EVERYONES, lambda: f"these work: {working(host)}")


def test_it_runs_as_a_user_without_rights(host: World) -> None:
    """Its process is grid-exporter's, in no group but its own, and can't gain any right."""
    pid = host.show(UNIT, "MainPID")
    status = dict(
        line.split(":\t", 1) for line in host.run("cat", f"/proc/{pid}/status").splitlines() if ":\t" in line
    )
    number = host.run("id", "-u", "grid-exporter").strip()
    assert number != "0"
    assert status["Uid"].split() == [number] * 4
    assert status["NoNewPrivs"] == "1"
    assert {int(status[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}


def test_it_works_without_any_group(host: World) -> None:
    """All that needs no group works; what Docker's and Tor's groups guard is missing, and that shows."""
    everyone_works(host)
    found = scrape(host)
    assert found['grid_probe_success{probe="containers"}'] == 0
    assert "grid_tor_bootstrap_ratio" not in found
    assert found["grid_tor_up"] == 0


def test_dockers_group_shows_containers(host: World) -> None:
    """With the group docker containers are seen, and what they use; without it nothing else suffers."""
    member(host, "docker")
    until(lambda: scrape(host).get('grid_container_state{container="web",state="running"}') == 1)
    assert scrape(host)['grid_container_cpu_seconds_total{container="web"}'] > 0
    outsider(host, "docker")
    everyone_works(host)


def test_containers_are_seen_without_the_group_through_a_proxy(host: World) -> None:
    """A proxy that lets only two kinds of GET through is enough, and nothing else can be done through it."""
    host.run("systemd-run", "--unit=docker-proxy", program(host, "get_proxy"))
    docker = ("docker", "-H", "tcp://127.0.0.1:2375")
    until(lambda: host.try_run(*docker, "ps").returncode == 0)
    for way in ({"host": docker[-1]}, {"command": docker}):
        with changed(host, config=f"probes: {{containers: {json.dumps(way)}}}\n"):
            until(lambda: scrape(host).get('grid_container_state{container="web",state="running"}') == 1)
            assert scrape(host)['grid_container_cpu_seconds_total{container="web"}'] > 0
            assert host.try_run(*docker, "stop", "web", user="grid-exporter").returncode != 0
    host.systemctl("stop", "docker-proxy")


def test_tors_group_shows_its_control_port(host: World) -> None:
    """With the group debian-tor the cookie can be read, and the control port asked."""
    member(host, "debian-tor")
    until(lambda: "grid_tor_bootstrap_ratio" in scrape(host))
    outsider(host, "debian-tor")
    everyone_works(host)


def test_services_of_every_state(host: World) -> None:
    """Each unit is in its own state and no other; one that isn't there is not-found."""
    found = scrape(host)
    expected = {state: state for state in STATES} | {"restarted": "active"}
    for unit, state in expected.items():
        name = f'category="states",name="state-{unit}.service"'
        assert found[f'grid_service_state{{{name},state="{state}"}}'] == 1, unit
        assert (
            sum(value for series, value in found.items() if series.startswith(f"grid_service_state{{{name},"))
            == 1
        )
    assert found['grid_service_state{category="states",name="nosuch.service",state="not-found"}'] == 1
    assert found['grid_service_restarts_total{category="states",name="state-restarted.service"}'] == 1
    assert found['grid_service_state{category="network",name="tor@default.service",state="active"}'] == 1


def test_failed_units_and_timers(host: World) -> None:
    """The one failed unit is counted, the system is degraded, and timers tell when they ran and will run."""
    found = scrape(host)
    assert found["grid_systemd_failed_units"] == 1
    assert found['grid_systemd_state{state="degraded"}'] == 1
    ran, due, daily = (
        f'trigger_timestamp_seconds{{name="{name}.timer"}}' for name in ("ran", "due", "grid-aide-check")
    )
    now = float(host.run("date", "+%s"))
    assert now - 300 <= found[f"grid_systemd_timer_last_{ran}"] <= now + 1
    assert f"grid_systemd_timer_last_{due}" not in found
    assert found[f"grid_systemd_timer_next_{due}"] == 4070908800
    assert now < found[f"grid_systemd_timer_next_{daily}"] < now + 86400 + 3 * 3600 + 60


def test_a_failure_of_any_unit_is_seen_at_once(host: World) -> None:
    """Systemd itself is asked again by the run after a failure, though the unit isn't one of those shown."""
    runs = 'grid_probe_runs_total{outcome="success",probe="services"}'
    host.try_run("systemd-run", "--wait", "--unit=fails-unseen", "/bin/false")
    try:
        before = scrape(host)[runs]
        until(lambda: scrape(host)[runs] > before + 1)  # one may have begun before the failure
        assert scrape(host)["grid_systemd_failed_units"] == 2
    finally:
        host.systemctl("reset-failed", "fails-unseen")
    until(lambda: scrape(host)["grid_systemd_failed_units"] == 1)


def test_a_hung_exporter_is_started_again(host: World) -> None:
    """One that stands still misses its watchdog: its stack comes into the journal, and another is started."""
    with changed(host, "WatchdogSec=1s", "RestartSec=100ms"):
        before = host.show(UNIT, "MainPID")
        host.systemctl("kill", "--kill-who=main", "--signal=STOP", UNIT)
        until(lambda: host.show(UNIT, "MainPID") not in {before, "0"} and host.get("/-/ready")[0] == 200)
        assert host.show(UNIT, "NRestarts") == "1"
        output = host.journal(UNIT)
    assert "Watchdog timeout" in output
    assert "Fatal Python error: Aborted" in output


def test_a_live_exporter_is_left_alone(host: World) -> None:
    """Under the same watchdog, one that works, also while a tool hangs, is not ended."""
    hanging = "  commands: [{name: hang, argv: [/bin/sleep, '60'], timeout: 30s}]\n"
    with changed(host, "WatchdogSec=1s", config="probes:\n  host: {}\n" + hanging):
        until(lambda: len(host.processes(UNIT)) > 1)
        host.run("sleep", "2.5")
        assert len(host.processes(UNIT)) > 1
        assert host.show(UNIT, "NRestarts") == "0"
        until(lambda: working(host) == {"host"})


def test_a_bad_file_changes_nothing(host: World) -> None:
    """Reloading it fails for whoever asks, shows in the metrics, and goes on serving; a good one fixes it."""
    reloaded = "grid_exporter_config_last_reload_successful"
    before = host.show(UNIT, "MainPID")
    host.put(CONFIG_FILE, "probes: {host: {tll: 60s}}\n")
    try:
        asked = host.try_run("systemctl", "reload", UNIT)
        assert asked.returncode != 0
        until(lambda: scrape(host)[reloaded] == 0)
        everyone_works(host)
        assert "probes.host.tll: unknown key" in host.journal(UNIT)
    finally:
        host.put(CONFIG_FILE, CONFIG)
    host.systemctl("reload", UNIT)
    until(lambda: scrape(host)[reloaded] == 1)
    assert host.show(UNIT, "MainPID") == before


def test_it_does_not_start_with_a_bad_file(host: World) -> None:
    """It waits with a clear line in the journal, and is there as soon as the file is fixed."""
    host.systemctl("stop", UNIT)
    host.put(CONFIG_FILE, "probes: {disk: {}}\n")
    try:
        assert host.try_run("systemctl", "start", UNIT).returncode != 0
        assert "configuration: probes.disk.directories: missing" in host.journal(UNIT)
    finally:
        host.put(CONFIG_FILE, CONFIG)
    until(lambda: host.get("/-/ready")[0] == 200)


def test_it_stops_with_all_its_processes(host: World) -> None:
    """Stopped while a probe runs that will not go, it ends by itself with everything it started."""
    host.put("/usr/local/bin/stubborn", STUBBORN, 0o755)
    config = "probes: {commands: [{name: stubborn, argv: [/usr/local/bin/stubborn], timeout: 5m}]}\n"
    with changed(host, config=config):
        until(lambda: len(host.processes(UNIT)) >= 4)
        host.systemctl("stop", UNIT)
        assert host.processes(UNIT) == []
        assert host.try_run("pgrep", "-u", "grid-exporter").stdout == ""
        assert host.show(UNIT, "Result") == "success"


def test_a_tool_that_runs_wild_ends_alone(host: World) -> None:
    """A failing tool of the owner's is its own failure, whatever it did."""
    config = "probes: {host: {}, commands: [{name: wild, argv: [/bin/sh, -c, 'kill -9 $$']}]}\n"
    with changed(host, config=config):
        until(lambda: scrape(host).get('grid_probe_success{probe="command:wild"}') == 0)
        until(lambda: working(host) == {"host"})
        assert host.show(UNIT, "NRestarts") == "0"


def test_doctor_mends_what_it_complains_of(host: World) -> None:
    """As the service's user it names the home that is closed to it, and the line that opens just that."""
    command = ("grid-exporter", f"--config.file={CONFIG_FILE}", "doctor")
    output = host.try_run(*command, user="grid-exporter")
    assert output.returncode == 1
    _, _, rest = output.stdout.partition("✗ disk:/home/bob/models")
    message, hint = (line.strip() for line in rest.splitlines()[1:3])
    assert message == "/home/bob/models may not be read by grid-exporter"
    host.run("sh", "-c", hint.removeprefix("→ ").replace("sudo ", ""))
    try:
        output = host.try_run(*command, user="grid-exporter")
        assert "✓ disk:/home/bob/models" in output.stdout
        assert host.try_run("ls", "/home/bob", user="grid-exporter").returncode != 0
    finally:
        host.run("setfacl", "-b", "/home/bob")


def test_no_trouble_in_the_journal(host: World) -> None:
    """What the exporter logs is for people: no traceback, no warning of Python's."""
    output = host.journal(UNIT)
    assert "Traceback" not in output
    assert "Warning:" not in output
