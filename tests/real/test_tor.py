"""The tor probe against a real Tor network: requests go through its relays, and nothing beyond loopback."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from exporter.metrics.exposition import join, render
from exporter.probe import Duration, Host, Note, Probe, ProbeError
from exporter.probes.tor import control as tor_control
from exporter.probes.tor import probe as tor
from exporter.system import subprocesses
from tests.daemon import TIMEOUT, Daemon, daemon
from tests.faults.vitals import scraped
from tests.real.tor_network import EXITS, TorNetwork, exit_address
from tests.real.tor_pages import serve_pages

pytestmark = pytest.mark.real("tor", "tor-gencert", "curl")

NOBODY = 65534
CHANGED = "grid_tor_exit_changed_timestamp_seconds"


@dataclass(frozen=True)
class World:
    """The network, the pages behind it, and probes that ask it."""

    network: TorNetwork
    page_port: int

    def probe(
        self, page: str = "http://page.test/api/ip", *, timeout: float = 20, state: Path | None = None,
        socks: str = "", control: str | None = None,
    ) -> Probe:  # fmt: skip
        """The probe as a configuration makes it; the page's port is filled in."""
        settings = tor.Settings(
            timeout=Duration(timeout),
            socks=socks or self.network.socks,
            url=page.replace(".test/", f".test:{self.page_port}/").replace(".nowhere/", ".nowhere:80/"),
            control=control,
        )
        [probe] = tor.build(settings, Host(state=state))
        return probe


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One network for all of these tests; each leaves it as it was."""
    with (
        tempfile.TemporaryDirectory(prefix="tor") as base,
        serve_pages([exit_address(number) for number in range(EXITS)]) as port,
        TorNetwork(Path(base), port).running() as network,
    ):
        yield World(network, port)


def values(families: Iterable[Metric]) -> dict[str, float]:
    """Every series as it is served, and its value."""
    lines = join([render(families)]).decode().splitlines()
    series = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in series}


async def collect(probe: Probe) -> tuple[dict[str, float], tuple[Note, ...]]:
    """Runs a probe that finds out: its metrics and notes."""
    result = await probe.run()
    return values(result.families), result.notes


async def fail(probe: Probe) -> tuple[dict[str, float], str]:
    """Runs a probe that can't find out: what it knows all the same, and why it is no more."""
    with pytest.raises(ProbeError) as caught:
        await probe.run()
    return values(caught.value.families), caught.value.reason


def exit_of(found: dict[str, float]) -> str:
    """The one exit address among the metrics."""
    [address] = [name for name in found if name.startswith("grid_tor_exit_info")]
    return address.partition('"')[2].rstrip('"}')


async def test_tor_works(world: World) -> None:
    """A request comes out at an exit that resolved its name, and the control port reports what it should."""
    found, notes = await collect(world.probe(control=world.network.control))
    version = (await subprocesses.run("tor", "--version")).text.split()[2].rstrip(".")
    assert notes == ()
    assert exit_of(found) in {exit_address(number) for number in range(EXITS)}
    assert 0 < found.pop("grid_tor_check_duration_seconds") < 16
    assert found.pop('grid_tor_traffic_bytes_total{direction="read"}') > 1000
    assert found.pop('grid_tor_traffic_bytes_total{direction="written"}') > 1000
    assert found == {
        "grid_tor_up": 1,
        "grid_tor_is_tor": 1,
        f'grid_tor_exit_info{{address="{exit_of(found)}"}}': 1,
        "grid_tor_bootstrap_ratio": 1,
        "grid_tor_circuit_established": 1,
        f'grid_tor_info{{version="{version}"}}': 1,
    }


async def test_sockets(world: World) -> None:
    """Both of Tor's ports may be unix sockets, as Debian's control port is."""
    directory = world.network.cookie.parent
    found, notes = await collect(
        world.probe(socks=f"unix:{directory}/socks", control=f"unix:{directory}/control")
    )
    assert (found["grid_tor_is_tor"], found["grid_tor_bootstrap_ratio"], notes) == (1, 1, ())


async def test_the_exit_changes(world: World, tmp_path: Path) -> None:
    """Another exit takes the series over at the next run; when that was is kept over a restart."""
    probe = world.probe(state=tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(world.network.use_exit, None)
        world.network.use_exit(0)
        found, _ = await collect(probe)
        assert (exit_of(found), CHANGED in found) == (exit_address(0), False)
        world.network.use_exit(1)
        before = time.time()
        found, _ = await collect(probe)
        assert exit_of(found) == exit_address(1)
        assert before <= found[CHANGED] <= time.time()
        restarted, notes = await collect(world.probe(state=tmp_path))
        assert (restarted[CHANGED], notes) == (found[CHANGED], ())


async def test_past_tor(world: World) -> None:
    """A page that did not see Tor is believed, and a note explains it."""
    found, notes = await collect(world.probe("http://page.test/not-tor"))
    assert (found["grid_tor_up"], found["grid_tor_is_tor"]) == (1, 0)
    assert "did not see the request come from Tor" in notes[0].text


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("http://page.test/html", "no JSON"),
        ("http://page.test/moved", "HTTP status 302"),
        ("http://page.test/broken", "HTTP status 500"),
        ("http://page.test/huge", "curl: (63)"),
        ("http://page.test/silent", "curl: (52)"),
        ("https://page.test/api/ip", "curl: (35)"),
        ("http://page.nowhere/api/ip", "SOCKS5 connection to page.nowhere. (4)"),
    ],
)
async def test_the_page_fails(world: World, page: str, reason: str) -> None:
    """A page that gives no answer is a failure with its reason, while Tor, which carried it, is up."""
    found, why = await fail(world.probe(page))
    found.pop("grid_tor_check_duration_seconds", None)
    assert found == {"grid_tor_up": 1}
    assert why.startswith("Tor works, but page.")
    assert reason in why


async def test_an_endless_answer(world: World) -> None:
    """A page without end is given up, by curl from 8.4 on, and before that by the cap on its output."""
    _, why = await fail(world.probe("http://page.test/endless"))
    assert "curl printed more than 128 KiB" in why or "curl: (63)" in why


async def test_no_http(world: World) -> None:
    """What does not speak HTTP leaves Tor's state unknown."""
    found, why = await fail(world.probe("http://page.test/garbage"))
    assert (found, why.startswith("curl could not ask Tor: curl: (1)")) == ({}, True)


async def test_no_answer(world: World) -> None:
    """Where nothing comes back in time Tor is down; it is curl that gives up, not the probe."""
    found, notes = await collect(world.probe("http://page.test/hang", timeout=2))
    assert found == {"grid_tor_up": 0}
    assert "timed out" in notes[0].text


async def test_only_our_own_settings_count(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a .curlrc nor a proxy of the environment leads the request elsewhere."""
    (tmp_path / ".curlrc").write_text('proxy = "http://127.0.0.1:1"\nmax-time = 0.001\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, "page.test" if name == "NO_PROXY" else "http://127.0.0.1:1")
    found, _ = await collect(world.probe())
    assert found["grid_tor_is_tor"] == 1


async def test_the_cookie_is_another_tors(world: World) -> None:
    """An error of the control port is a note, and the request's metrics stand."""
    cookie = world.network.cookie.read_bytes()
    try:
        world.network.cookie.write_bytes(bytes(32))
        found, notes = await collect(world.probe(control=world.network.control))
    finally:
        world.network.cookie.write_bytes(cookie)
    assert (found["grid_tor_is_tor"], "grid_tor_bootstrap_ratio" in found) == (1, False)
    assert "does not know the cookie" in notes[0].text


async def test_the_cookie_may_not_be_read(world: World) -> None:
    """A user outside Tor's group gets a hint that names it."""
    os.seteuid(NOBODY)
    try:
        with pytest.raises(ProbeError, match="Permission denied") as caught:
            await tor_control.ask(world.network.control, 5)
    finally:
        os.seteuid(0)
    assert "GROUPS=debian-tor" in caught.value.hint


async def test_the_exits_go_and_come_back(world: World) -> None:
    """Without an exit Tor is down although its control port reports that all is well, until one is back."""
    probe = world.probe(control=world.network.control, timeout=5)
    for number in range(EXITS):
        world.network.stop_exit(number)
    try:
        found, notes = await collect(probe)
        assert (found["grid_tor_up"], "grid_tor_is_tor" in found) == (0, False)
        assert (found["grid_tor_circuit_established"], found["grid_tor_bootstrap_ratio"]) == (1, 1)
        # Tor either refuses the request, which proves that it runs, or lets it time out.
        assert notes[0].text.startswith(("Tor runs but could not connect", "Tor is down: curl: (28)"))
    finally:
        world.network.start_exits()
        world.network.wait_until_open()
    found, _ = await collect(probe)
    assert found["grid_tor_up"] == 1


def test_scrapes_while_there_is_no_exit(world: World, tmp_path: Path) -> None:
    """They are in time and show Tor as down; what was known of it is gone until one is back."""
    url = f"http://page.test:{world.page_port}/api/ip"
    tor_part = f"{{socks: {world.network.socks!r}, url: {url!r}, ttl: 1s, timeout: 5s}}"

    def until(exporter: Daemon, up: float) -> dict[str, float]:
        end = time.monotonic() + TIMEOUT
        while (series := scraped(exporter)).get("grid_tor_up") != up:
            assert time.monotonic() < end, exporter.log.read_text()
            time.sleep(0.1)
        return series

    with daemon(tmp_path, f"probes: {{host: {{}}, tor: {tor_part}}}\n") as exporter:
        assert exit_of(until(exporter, 1))
        for number in range(EXITS):
            world.network.stop_exit(number)
        try:
            series = until(exporter, 0)
            assert not [name for name in series if name.startswith(("grid_tor_exit_info", "grid_tor_is_tor"))]
            assert series['grid_probe_success{probe="tor"}'] == 1
        finally:
            world.network.start_exits()
            world.network.wait_until_open()
        assert exit_of(until(exporter, 1))


async def test_tor_stops_and_starts(world: World) -> None:
    """Where Tor does not run it is down and its own metrics are gone, and all is back when it is."""
    probe = world.probe(control=world.network.control)
    world.network.stop_client()
    try:
        found, notes = await collect(probe)
        assert found == {"grid_tor_up": 0}
        assert notes[0].text.startswith("Tor is down: curl: (7)")
        assert "systemctl status tor" in notes[0].hint
        assert "Connection refused" in notes[1].text
    finally:
        world.network.start_client()
    found, _ = await collect(probe)
    assert (found["grid_tor_is_tor"], found["grid_tor_bootstrap_ratio"]) == (1, 1)
