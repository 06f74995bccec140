"""The exporter's sandbox: what it forbids, and what would break with each protection that it goes without."""

import errno
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.installation import NEEDED
from tests.real.lived_in import UNIT, changed, scrape, working
from tests.real.systemd_world import World, until

pytestmark = [
    pytest.mark.real(*NEEDED, "dockerd", "docker", "tor", "busybox", "setfacl"),
    pytest.mark.timeout(1800),
]


OWN = {"/var/lib/grid-exporter", "/run/grid-exporter", "/tmp", "/var/tmp"}


@pytest.fixture(scope="module")
def member(host: World) -> Iterator[World]:
    """The box, its exporter being a member of both groups."""
    host.run("usermod", "--append", "--groups", "docker,debian-tor", "grid-exporter")
    host.systemctl("restart", UNIT)
    yield host
    host.run("usermod", "--groups", "", "grid-exporter")
    host.systemctl("restart", UNIT)


def values_of(host: World, family: str) -> dict[str, float]:
    """What the command in the sandbox tells of each folder or device."""
    pattern = re.compile(rf'{family}{{command="sandbox",\w+="(.*)"}}')
    return {found[1]: value for series, value in scrape(host).items() if (found := pattern.fullmatch(series))}


def test_it_writes_nowhere_but_in_its_own(host: World) -> None:
    """What runs in the service can write to its own folders; all else is read-only, or not even reached."""
    until(lambda: bool(values_of(host, "sandbox_write")))
    results = values_of(host, "sandbox_write")
    assert {folder for folder, code in results.items() if code == 0} == OWN
    refused = {code for folder, code in results.items() if folder not in OWN}
    assert refused == {errno.EROFS, errno.EACCES}
    assert {folder for folder, code in results.items() if code == errno.EACCES} == {"/root"}


def test_its_tmp_is_its_own(host: World) -> None:
    """What it writes to /tmp nobody else finds there."""
    host.put("/usr/local/bin/drop", "#!/bin/sh\ntouch /tmp/dropped && echo dropped 1\n", 0o755)
    with changed(host, config="probes: {commands: [{name: drop, argv: [/usr/local/bin/drop], wait: 5s}]}\n"):
        until(lambda: scrape(host).get('dropped{command="drop"}') == 1)
        assert host.try_run("test", "-e", "/tmp/dropped").returncode != 0


def test_its_devices_are_the_cards(host: World) -> None:
    """NVIDIA's nodes are allowed, whether or not their driver is there yet; other devices are not."""
    until(lambda: bool(values_of(host, "sandbox_open")))
    assert values_of(host, "sandbox_open") == {
        "nvidia0": _opened("nvidia0"),
        "nvidiactl": _opened("nvidiactl"),
        "other": errno.EPERM,
        "null": 0,
    }


def _opened(name: str) -> int:
    """What opening an NVIDIA device that is allowed comes to: without a driver there is no such device."""
    return 0 if Path(f"/dev/{name}").exists() else errno.ENXIO


def without(series: str) -> Callable[[World], bool]:
    """Whether this is no longer exported."""
    return lambda host: series not in scrape(host)


def failing(probe: str) -> Callable[[World], bool]:
    """Whether this probe fails."""
    return lambda host: probe not in working(host)


def closed(device: str, code: int) -> Callable[[World], bool]:
    """Whether this device can't be opened any more, and why."""
    return lambda host: values_of(host, "sandbox_open").get(device) == code


def loud(host: World) -> bool:
    """Whether a scan of models competes with everyone else's reading."""
    return scrape(host).get('sandbox_idle{command="sandbox"}') == 0


@pytest.mark.parametrize(
    ("protection", "breaks"),
    [
        ("ProtectProc=invisible", without('grid_container_cpu_seconds_total{container="web"}')),
        ("ProcSubset=pid", failing("host")),
        ("PrivateDevices=yes", closed("nvidia0", errno.ENOENT)),
        ("ProtectHome=yes", failing("disk:/home/alice/models")),
        ("SystemCallFilter=~@resources", loud),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_what_breaks_with_a_protection_that_is_left_out(
    member: World, protection: str, breaks: Callable[[World], bool]
) -> None:
    """With the protection something that otherwise works is gone."""
    until(lambda: not breaks(member))
    with changed(member, protection):
        until(lambda: breaks(member))


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="an NVIDIA driver is loaded")
def test_a_class_of_devices_by_name_needs_the_driver(host: World) -> None:
    """Allowed by name alone, a card would be closed to an exporter that starts before its driver."""
    with changed(host, "DeviceAllow=", "DeviceAllow=char-nvidia* rw"):
        until(lambda: closed("nvidia0", errno.EPERM)(host))


def test_a_dynamic_user_cannot_ask_systemd(host: World) -> None:
    """On Debian 12 systemd's bus refuses a DynamicUser=; a later systemd may not."""
    lines = ("User=passing", "Group=", "DynamicUser=yes", "StateDirectory=", "RuntimeDirectory=")
    with changed(host, *lines, config="probes: {host: {}, services: {}}\n"):
        if "252" in host.run("systemctl", "--version").split()[1]:
            until(lambda: working(host) == {"host"})


def test_a_prometheus_elsewhere_is_let_in(host: World) -> None:
    """Without an address filter or a network of its own the service answers other machines too."""
    host.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
    curl = ("curl", "-s", "-o", "/dev/null", "--max-time", "2", "http://192.0.2.1:10058/metrics")
    listening = 'Environment="ARGS=--web.listen-address=:10058"'
    try:
        for lines, answered in (
            ((), True),
            (("IPAddressDeny=any", "IPAddressAllow=localhost"), False),
            (("PrivateNetwork=yes",), False),
        ):
            with changed(host, "EnvironmentFile=", listening, *lines):
                assert (host.try_run(*curl).returncode == 0) is answered, lines
    finally:
        host.run("ip", "address", "del", "192.0.2.1/32", "dev", "lo")


def test_everything_works_in_the_sandbox(member: World) -> None:
    """With both groups every probe works under all protections at once; but bob's home is his own."""
    probes = {series for series in scrape(member) if series.startswith("grid_probe_success")}
    until(lambda: len(working(member)) == len(probes) - 1)
    assert "disk:/home/bob/models" not in working(member)
    until(lambda: "grid_tor_bootstrap_ratio" in scrape(member))
