"""`make install` and `make uninstall`, as a new user meets them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.real.installation import NEEDED, SOURCE, WHEELS, Installation, make
from tests.real.lived_in import UNIT, scrape, working
from tests.real.systemd_world import UNWANTED, World, until

pytestmark = [pytest.mark.real(*NEEDED), pytest.mark.timeout(1800)]

OURS = ("/usr/local", "/etc/grid-exporter", "/etc/default", "/etc/prometheus", "/etc/systemd", "/etc/grafana")
# What booting, installing packages of Python's and giving a user a group leave behind themselves.
BOOT = re.compile(
    "/(var/(log|cache|tmp)|run|tmp|dev|root|usr/src|var/lib/(cni|containers|dbus|systemd)"
    "|etc/((passwd|group|shadow|gshadow)-|machine-id)|(etc|var)/.updated)"
)
ENABLED = (UNIT, "grid-aide-check.timer")
OPTIONAL = "grid-aide-accept.path"


@pytest.fixture
def host(installed: Installation) -> Iterator[World]:
    """A box on which grid-exporter is installed and runs."""
    with installed.box() as made:
        made.boot()
        yield made


def refused(host: World, *arguments: str, user: str = "root", wheels: str = "") -> str:
    """Runs make in the project's folder, which has to fail; what it complained of."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels}
    done = host.try_run("make", "-C", SOURCE, *arguments, user=user, env=offline)
    assert done.returncode != 0, done.stdout
    return done.stderr


def inventory(host: World) -> str:
    """Every file that an installation has a hand in, with its owner, mode and content."""
    files = f"find {' '.join(OURS)} -name __pycache__ -prune -o"
    listed = host.try_run("sh", "-c", f"{files} -printf '%p %y %m %u %g %l\\n' | sort").stdout
    return listed + host.try_run("sh", "-c", f"{files} -type f -print0 | sort -z | xargs -0 sha256sum").stdout


def test_a_freshly_booted_system_has_a_service_that_works(installed: Installation) -> None:
    """After `make install` and a boot it serves, as its own user, all that this box has without any group."""
    with installed.box() as host:
        host.boot()
        assert [host.show(unit, "ActiveState") for unit in ENABLED] == ["active"] * 2
        assert (host.show(OPTIONAL, "ActiveState"), host.show(OPTIONAL, "UnitFileState")) == (
            "inactive",
            "disabled",
        )
        assert host.show(UNIT, "User") == "grid-exporter"
        until(lambda: {"host", "services"} <= working(host))
        assert not [
            it for it, value in scrape(host).items() if it.startswith("grid_probe_success") and not value
        ]
        assert "Traceback" not in host.journal()
        assert host.show(UNIT, "NRestarts") == "0"


def test_doctor_tells_of_closed_homes(host: World) -> None:
    """Without a configuration the service's user learns which homes are closed to it, and what to name."""
    host.run("mkdir", "-p", "/home/alice/.ollama/models")
    host.run("chmod", "700", "/home/alice")
    output = host.run("grid-exporter", "doctor", user="grid-exporter")
    assert "can't read: /home/alice/.cache/huggingface/hub, /home/alice/.ollama/models" in output
    assert 'directories: ["/home/alice/.cache/huggingface/hub"]' in output


def test_it_says_what_to_do_next(installed: Installation) -> None:
    """Its last words are commands that work, and all the lines that Prometheus needs."""
    first, *_, advice = installed.output.partition("Prometheus needs")
    assert re.search(r"^grid-exporter \d+\.\d+\.\d+ is installed\.$", first, re.MULTILINE)
    assert "sudo -u grid-exporter grid-exporter doctor" in first
    with installed.box() as host:
        host.boot()
        config = "/etc/prometheus/prometheus.yml"
        host.put(config, dedent(advice.partition("\n")[2]))
        assert "SUCCESS: 2 rule files found" in host.run("promtool", "check", "config", config)
        host.run("cp", "/usr/local/share/grid-exporter/prometheus.yml", config)
        assert "SUCCESS: 2 rule files found" in host.run("promtool", "check", "config", config)


def test_twice_changes_nothing(host: World) -> None:
    """A second `make install` leaves every file as it was; a group that isn't there is named and left out."""
    before, since = inventory(host), host.show(UNIT, "ActiveEnterTimestampMonotonic")
    output = make(host, "install", "GROUPS=docker nosuch")
    assert "There is no group nosuch here: left out." in output
    assert "docker" in host.run("id", "-nG", "grid-exporter").split()
    assert inventory(host) == before
    assert host.show(UNIT, "ActiveEnterTimestampMonotonic") != since
    assert scrape(host)
    host.run("groupdel", "docker")
    host.systemctl("restart", UNIT)
    until(lambda: "host" in working(host))


def test_alert_settings_make_rules_and_dashboards(host: World) -> None:
    """Both follow /etc/grid-exporter/alerts.yml and agree; a mistake in it keeps those there are."""
    rules = "/etc/prometheus/rules/grid-alerts.yml"
    dashboard = "/usr/local/share/grid-exporter/dashboards/grid-overview.json"
    shipped = host.run("cat", dashboard)
    host.put("/etc/grid-exporter/alerts.yml", "alerts: {GridSwapFull: off}\n")
    make(host, "install", "RUNBOOKS=https://wiki.example.org")
    written = host.run("cat", rules)
    assert "GridSwapFull" not in written
    assert "runbook_url: https://wiki.example.org/GridDiskFull.md" in written
    assert host.run("cat", dashboard) == shipped
    host.put("/etc/grid-exporter/alerts.yml", "thresholds: {gpu_hot_celsius: 97}\n")
    make(host, "install")
    written = host.run("cat", rules)
    assert ">= 97" in written
    assert ">= 97" in host.run("cat", dashboard)
    assert ">= 97" not in shipped
    assert host.try_run("test", "-e", "/usr/local/lib/grid-exporter/sdk").returncode == 1
    host.put(
        "/etc/grid-exporter/alerts.yml", "alerts: {GridSwapFul: off}\nthresholds: {gpu_hot_celsius: 98}\n"
    )
    message = refused(host, "install", wheels=WHEELS)
    assert "alerts.GridSwapFul: there is no such alert; did you mean GridSwapFull?" in message
    assert host.run("cat", rules) == written
    assert ">= 97" in host.run("cat", dashboard)
    assert scrape(host)


def test_an_upgrade_keeps_what_is_the_owners(host: World) -> None:
    """Settings, targets, AIDE's findings and what was switched off stay, a mistake in the settings too.

    The new version reports it, and runs as soon as that is fixed.
    """
    kept = {
        "/etc/grafana/provisioning/datasources/own.yaml": "apiVersion: 1\n",
        "/etc/default/grid-exporter": 'ARGS="--config.file=/etc/grid-exporter/config.yml"\n',
        "/etc/grid-exporter/config.yml": "probes: {host: {tll: 60s}}\n",
        "/etc/prometheus/targets/grid.yml": "- targets: [elsewhere:10058]\n",
        "/var/lib/grid-exporter-aide/summary.json": '{"success":false,"started":1,"ended":2}',
    }
    for path, text in kept.items():
        host.put(path, text)
    host.put("/usr/local/share/grid-exporter/rules/alerts.yml", "of an older version\n")
    host.systemctl("disable", "--now", "grid-aide-check.timer")
    version = f"{SOURCE}/exporter/__init__.py"
    host.put(version, re.sub(r'"\d+\.\d+\.\d+"', '"98.7.6"', host.run("cat", version)))
    message = refused(host, "install", wheels=WHEELS)
    assert "it is installed but does not start: journalctl -n 30 -u grid-exporter" in message
    assert "configuration: probes.host.tll: unknown key" in host.journal(UNIT)
    assert {path: host.run("cat", path) for path in kept} == kept
    assert host.show("grid-aide-check.timer", "ActiveState") == "inactive"
    assert host.run("ls", "/etc/grafana/provisioning/datasources") == "own.yaml\n"
    provider = host.run("cat", "/etc/grafana/provisioning/dashboards/grid.yaml")
    assert "grid-overview.json" in host.run("ls", provider.rpartition("path: ")[2].strip())
    assert "groups:" in host.run("cat", "/usr/local/share/grid-exporter/rules/alerts.yml")
    host.put("/etc/grid-exporter/config.yml", "probes: {host: {ttl: 60s}}\n")
    until(lambda: 'version="98.7.6"' in host.get("/metrics")[1])


def test_a_failed_upgrade_leaves_the_old_one(host: World) -> None:
    """Where packages can't be had nothing has changed: the old version runs on and can be started again."""
    before = inventory(host)
    assert "No matching distribution" in refused(host, "install")
    assert inventory(host) == before
    host.systemctl("restart", UNIT)
    until(lambda: "host" in working(host))


def test_uninstall_leaves_what_is_the_owners(installed: Installation, host: World) -> None:
    """No process, program, unit or membership is left; settings and what AIDE found are."""
    host.put("/etc/grid-exporter/config.yml", "probes: {host: {}}\n")
    host.run("usermod", "--append", "--groups", "docker", "grid-exporter")
    make(host, "uninstall")
    assert host.try_run("pgrep", "-u", "grid-exporter").stdout == ""
    assert host.run("id", "-nG", "grid-exporter") == "grid-exporter\n"
    assert [host.show(unit, "LoadState") for unit in (*ENABLED, OPTIONAL)] == ["not-found"] * 3
    assert _new(installed, host) == {
        "/etc/default/grid-exporter",
        "/etc/grid-exporter",
        "/etc/prometheus/targets",
        "/var/lib/grid-exporter",
        "/var/lib/grid-exporter-aide",
    }
    assert host.run("ls", "/etc/grid-exporter") == "config.yml\n"
    assert "is gone" in make(host, "uninstall")


def _new(installed: Installation, host: World) -> set[str]:
    """What this box has more than the machine that it began as, but for what every boot makes."""
    found = set()
    for layer in (installed.layer, host.root.parent / "upper"):
        for path in layer.rglob("*"):
            name = f"/{path.relative_to(layer)}"
            if os.path.lexists(f"{host.root}{name}") and not os.path.lexists(f"{installed.system}{name}"):
                found.add(name)
    found = {name for name in found if str(Path(name).parent) not in found and not BOOT.match(name)}
    return found - {f"/etc/systemd/system/{unit}" for unit in UNWANTED}


def test_packagers_need_neither_root_nor_systemd(host: World) -> None:
    """With DESTDIR all files go there and nowhere else, with nothing in them that tells of it."""
    host.run("chmod", "-R", "go+rX", SOURCE, WHEELS)
    before = inventory(host)
    host.run("mkdir", "-p", "/var/tmp/stage/etc/grafana", user="nobody")
    host.run(
        *("make", "-C", SOURCE, "install", "DESTDIR=/var/tmp/stage", "PREFIX=/usr"),
        user="nobody",
        env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS},
    )
    assert inventory(host) == before
    assert host.try_run("grep", "-rl", "/var/tmp/stage", "/var/tmp/stage").stdout == ""
    unit = host.run("cat", "/var/tmp/stage/usr/lib/systemd/system/grid-exporter.service")
    assert "ExecStart=/usr/bin/grid-exporter $ARGS" in unit
    assert "/usr/local" not in unit
    provisioned = host.run("find", "/var/tmp/stage/etc/grafana", "-type", "f", "-printf", "%P\n").split()
    assert sorted(provisioned) == ["provisioning/dashboards/grid.yaml", "provisioning/datasources/grid.yaml"]
    host.run("cp", "-r", "/var/tmp/stage/usr/lib/grid-exporter", "/usr/lib/grid-exporter")
    assert "grid-exporter" in host.run("/usr/lib/grid-exporter/bin/grid-exporter", "--version")


def test_it_is_clear_what_is_missing(host: World) -> None:
    """Without root, with too old a Python, or one that the service could not see: one line that says so."""
    assert "grid-exporter: this changes the system: sudo make install\n" in refused(
        host, "install", user="nobody"
    )
    assert "/bin/false to be Python 3.11 or newer" in refused(host, "install", "PYTHON=/bin/false")
    host.run("mkdir", "-p", "/home/alice/python/bin")
    host.run("cp", "/usr/bin/python3", "/home/alice/python/bin/python3")
    host.run("ln", "-s", "/usr/lib", "/home/alice/python/lib")
    message = refused(host, "install", "PYTHON=/home/alice/python/bin/python3")
    assert "the service cannot use /home/alice/python/bin/python3: it lies in /home/alice" in message
