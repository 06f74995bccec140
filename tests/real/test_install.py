"""`make install` and `make uninstall`, as a new user meets them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.real.installation import NEEDED, SOURCE, WHEELS, Installation, make
from tests.real.lived_in import UNIT, figures, working
from tests.real.systemd_world import UNWANTED, World, until

pytestmark = [pytest.mark.real(*NEEDED), pytest.mark.timeout(300)]

OURS = ("/usr/local", "/etc/grid-exporter", "/etc/default", "/etc/prometheus", "/etc/systemd", "/etc/grafana")
# What booting, installing packages of Python's and giving a user a group leave behind themselves.
BOOT = re.compile(
    "/(var/(log|cache|tmp)|run|tmp|dev|root|usr/src|var/lib/(cni|containers|dbus|systemd)"
    "|etc/((passwd|group|shadow|gshadow)-|machine-id)|(etc|var)/.updated)"
)
ENABLED = (UNIT, "grid-aide-check.timer")
OPTIONAL = "grid-aide-accept.path"


@pytest.fixture
def box(installed: Installation) -> Iterator[World]:
    """A box on which grid-exporter is installed and runs."""
    with installed.box() as made:
        made.boot()
        yield made


def refused(box: World, *arguments: str, user: str = "root", wheels: str = "") -> str:
    """Runs make in the project's folder, which has to fail; what it complained of."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels}
    done = box.try_run("make", "-C", SOURCE, *arguments, user=user, env=offline)
    assert done.returncode != 0, done.stdout
    return done.stderr


def inventory(box: World) -> str:
    """Every file that an installation has a hand in, with its owner, mode and content."""
    files = f"find {' '.join(OURS)} -name __pycache__ -prune -o"
    listed = box.try_run("sh", "-c", f"{files} -printf '%p %y %m %u %g %l\\n' | sort").stdout
    return listed + box.try_run("sh", "-c", f"{files} -type f -print0 | sort -z | xargs -0 sha256sum").stdout


def test_a_freshly_booted_system_has_a_service_that_works(installed: Installation) -> None:
    """After `make install` and a boot it serves, as its own user, all that this box has without any group."""
    with installed.box() as box:
        box.boot()
        assert [box.show(unit, "ActiveState") for unit in ENABLED] == ["active"] * 2
        assert (box.show(OPTIONAL, "ActiveState"), box.show(OPTIONAL, "UnitFileState")) == (
            "inactive",
            "disabled",
        )
        assert box.show(UNIT, "User") == "grid-exporter"
        until(lambda: {"host", "services"} <= working(box))
        assert not [
            it for it, value in figures(box).items() if it.startswith("grid_probe_success") and not value
        ]
        assert "Traceback" not in box.journal()
        assert box.show(UNIT, "NRestarts") == "0"


def test_doctor_tells_of_closed_homes(box: World) -> None:
    """Without a configuration the service's user is told which homes are closed to it, and what to name."""
    box.run("mkdir", "-p", "/home/alice/.ollama/models")
    box.run("chmod", "700", "/home/alice")
    said = box.run("grid-exporter", "doctor", user="grid-exporter")
    assert "can't read: /home/alice/.cache/huggingface/hub, /home/alice/.ollama/models" in said
    assert 'directories: ["/home/alice/.cache/huggingface/hub"]' in said


def test_it_says_what_to_do_next(installed: Installation) -> None:
    """Its last words are commands that work, and all the lines that Prometheus needs."""
    first, *_, advice = installed.said.partition("Prometheus needs")
    assert re.search(r"^grid-exporter \d+\.\d+\.\d+ is installed\.$", first, re.MULTILINE)
    assert "sudo -u grid-exporter grid-exporter doctor" in first
    with installed.box() as box:
        box.boot()
        config = "/etc/prometheus/prometheus.yml"
        box.put(config, dedent(advice.partition("\n")[2]))
        assert "SUCCESS: 2 rule files found" in box.run("promtool", "check", "config", config)
        box.run("cp", "/usr/local/share/grid-exporter/prometheus.yml", config)
        assert "SUCCESS: 2 rule files found" in box.run("promtool", "check", "config", config)


def test_twice_changes_nothing(box: World) -> None:
    """A second `make install` leaves every file as it was; a group that isn't there is told and left out."""
    before, since = inventory(box), box.show(UNIT, "ActiveEnterTimestampMonotonic")
    said = make(box, "install", "GROUPS=docker nosuch")
    assert "There is no group nosuch here: left out." in said
    assert "docker" in box.run("id", "-nG", "grid-exporter").split()
    assert inventory(box) == before
    assert box.show(UNIT, "ActiveEnterTimestampMonotonic") != since
    assert figures(box)
    box.run("groupdel", "docker")
    box.systemctl("restart", UNIT)
    until(lambda: "host" in working(box))


def test_an_upgrade_keeps_what_is_the_owners(box: World) -> None:
    """Settings, targets, AIDE's findings and what was switched off stay, a mistake in the settings too.

    The new version says so, and runs as soon as that is mended.
    """
    kept = {
        "/etc/grafana/provisioning/datasources/own.yaml": "apiVersion: 1\n",
        "/etc/default/grid-exporter": 'ARGS="--config.file=/etc/grid-exporter/config.yml"\n',
        "/etc/grid-exporter/config.yml": "probes: {host: {tll: 60s}}\n",
        "/etc/prometheus/targets/grid.yml": "- targets: [elsewhere:10058]\n",
        "/var/lib/grid-exporter-aide/summary.json": '{"success":false,"started":1,"ended":2}',
    }
    for path, text in kept.items():
        box.put(path, text)
    box.put("/usr/local/share/grid-exporter/rules/alerts.yml", "of an older version\n")
    box.systemctl("disable", "--now", "grid-aide-check.timer")
    version = f"{SOURCE}/exporter/__init__.py"
    box.put(version, re.sub(r'"\d+\.\d+\.\d+"', '"98.7.6"', box.run("cat", version)))
    complaint = refused(box, "install", wheels=WHEELS)
    assert "it is installed but does not start: journalctl -n 30 -u grid-exporter" in complaint
    assert "configuration: probes.host.tll: unknown key" in box.journal(UNIT)
    assert {path: box.run("cat", path) for path in kept} == kept
    assert box.show("grid-aide-check.timer", "ActiveState") == "inactive"
    assert box.run("ls", "/etc/grafana/provisioning/datasources") == "own.yaml\n"
    provider = box.run("cat", "/etc/grafana/provisioning/dashboards/grid.yaml")
    assert "grid-overview.json" in box.run("ls", provider.rpartition("path: ")[2].strip())
    assert "groups:" in box.run("cat", "/usr/local/share/grid-exporter/rules/alerts.yml")
    box.put("/etc/grid-exporter/config.yml", "probes: {host: {ttl: 60s}}\n")
    until(lambda: 'version="98.7.6"' in box.get("/metrics")[1])


def test_a_failed_upgrade_leaves_the_old_one(box: World) -> None:
    """Where packages can't be had nothing has changed: the old version runs on and can be started again."""
    before = inventory(box)
    assert "No matching distribution" in refused(box, "install")
    assert inventory(box) == before
    box.systemctl("restart", UNIT)
    until(lambda: "host" in working(box))


def test_uninstall_leaves_what_is_the_owners(installed: Installation, box: World) -> None:
    """No process, program, unit or membership is left; settings and what AIDE found are."""
    box.put("/etc/grid-exporter/config.yml", "probes: {host: {}}\n")
    box.run("usermod", "--append", "--groups", "docker", "grid-exporter")
    make(box, "uninstall")
    assert box.try_run("pgrep", "-u", "grid-exporter").stdout == ""
    assert box.run("id", "-nG", "grid-exporter") == "grid-exporter\n"
    assert [box.show(unit, "LoadState") for unit in (*ENABLED, OPTIONAL)] == ["not-found"] * 3
    assert _new(installed, box) == {
        "/etc/default/grid-exporter",
        "/etc/grid-exporter",
        "/etc/prometheus/targets",
        "/var/lib/grid-exporter",
        "/var/lib/grid-exporter-aide",
    }
    assert box.run("ls", "/etc/grid-exporter") == "config.yml\n"
    assert "is gone" in make(box, "uninstall")


def _new(installed: Installation, box: World) -> set[str]:
    """What this box has more than the machine that it began as, but for what every boot makes."""
    found = set()
    for layer in (installed.layer, box.root.parent / "upper"):
        for path in layer.rglob("*"):
            name = f"/{path.relative_to(layer)}"
            if os.path.lexists(f"{box.root}{name}") and not os.path.lexists(f"{installed.system}{name}"):
                found.add(name)
    found = {name for name in found if str(Path(name).parent) not in found and not BOOT.match(name)}
    return found - {f"/etc/systemd/system/{unit}" for unit in UNWANTED}


def test_packagers_need_neither_root_nor_systemd(box: World) -> None:
    """With DESTDIR all files go there and nowhere else, with nothing in them that tells of it."""
    box.run("chmod", "-R", "go+rX", SOURCE, WHEELS)
    before = inventory(box)
    box.run("mkdir", "-p", "/var/tmp/stage/etc/grafana", user="nobody")
    box.run(
        *("make", "-C", SOURCE, "install", "DESTDIR=/var/tmp/stage", "PREFIX=/usr"),
        user="nobody",
        env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS},
    )
    assert inventory(box) == before
    assert box.try_run("grep", "-rl", "/var/tmp/stage", "/var/tmp/stage").stdout == ""
    unit = box.run("cat", "/var/tmp/stage/usr/lib/systemd/system/grid-exporter.service")
    assert "ExecStart=/usr/bin/grid-exporter $ARGS" in unit
    assert "/usr/local" not in unit
    provisioned = box.run("find", "/var/tmp/stage/etc/grafana", "-type", "f", "-printf", "%P\n").split()
    assert sorted(provisioned) == ["provisioning/dashboards/grid.yaml", "provisioning/datasources/grid.yaml"]
    box.run("cp", "-r", "/var/tmp/stage/usr/lib/grid-exporter", "/usr/lib/grid-exporter")
    assert "grid-exporter" in box.run("/usr/lib/grid-exporter/bin/grid-exporter", "--version")


def test_it_is_clear_what_is_missing(box: World) -> None:
    """Without root, with too old a Python, or one that the service could not see: one line that says so."""
    assert "grid-exporter: this changes the system: sudo make install\n" in refused(
        box, "install", user="nobody"
    )
    assert "/bin/false to be Python 3.11 or newer" in refused(box, "install", "PYTHON=/bin/false")
    box.run("mkdir", "-p", "/home/alice/python/bin")
    box.run("cp", "/usr/bin/python3", "/home/alice/python/bin/python3")
    box.run("ln", "-s", "/usr/lib", "/home/alice/python/lib")
    complaint = refused(box, "install", "PYTHON=/home/alice/python/bin/python3")
    assert "the service cannot use /home/alice/python/bin/python3: it lies in /home/alice" in complaint
