import signal
import socket
import time
from pathlib import Path

from tests.daemon import daemon, run
from tests.system.test_subprocesses import alive

HOST = "probes: {host: {}}\n"


def hanging_tool(tmp_path: Path) -> tuple[str, Path]:
    """A configuration whose command hangs, ignores SIGTERM and has a child; the file with both pids."""
    pids, tool = tmp_path / "pids", tmp_path / "hang"
    tool.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 1000 &\necho $$ $! > {pids}\nwait\n")
    tool.chmod(0o755)
    return f"probes: {{host: {{}}, commands: [{{name: hang, argv: [{tool}], timeout: 10m}}]}}\n", pids


def wait_for(path: Path) -> list[int]:
    end = time.monotonic() + 100
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    return [int(pid) for pid in path.read_text().split()]


def test_sigterm_leaves_no_child_behind(tmp_path: Path) -> None:
    """Also with a tool under way that ignores SIGTERM and has a child, the end is clean and complete."""
    config, pids = hanging_tool(tmp_path)
    with daemon(tmp_path, config) as exporter:
        running = wait_for(pids)
        assert exporter.stop() == 0
    end = time.monotonic() + 100
    while any(alive(pid) for pid in running):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_start_up_screen(tmp_path: Path) -> None:
    """The first screen names every probe with its state, and both addresses."""
    with daemon(tmp_path, HOST) as exporter:
        exporter.wait_logged("for you")
        log = exporter.log.read_text()
        assert "✓ host" in log
        assert f"http://127.0.0.1:{exporter.port}/metrics" in log


def test_sighup_activates_a_new_configuration(tmp_path: Path) -> None:
    """Without a restart, and counted as the last good reload."""
    with daemon(tmp_path, HOST) as exporter:
        (tmp_path / "config.yml").write_text("probes: {host: {ttl: 7s}}\n")
        exporter.process.send_signal(signal.SIGHUP)
        exporter.wait_logged("configuration was read again")
        assert 'grid_probe_ttl_seconds{probe="host"} 7.0' in exporter.get()[1]


def test_a_bad_new_configuration_changes_nothing(tmp_path: Path) -> None:
    """The active one stays, and the metrics show that the new one was refused."""
    with daemon(tmp_path, HOST) as exporter:
        (tmp_path / "config.yml").write_text("probes: {host: {ttl: soon}}\n")
        exporter.process.send_signal(signal.SIGHUP)
        exporter.wait_logged("probes.host.ttl: expected a duration such as 60s, got 'soon'")
        text = exporter.get()[1]
        assert "grid_exporter_config_last_reload_successful 0.0" in text
        assert 'grid_probe_ttl_seconds{probe="host"} 2.0' in text


def test_a_busy_port_hides_no_mistake_in_a_file(tmp_path: Path) -> None:
    """Both files are read before the exporter listens."""
    (tmp_path / "config.yml").write_text("probes: {host: {tll: 60s}}\n")
    (tmp_path / "web.yml").write_text("basic_auth_user: {}\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for flag, name, message in (
            ("--config.file", "config.yml", "probes.host.tll: unknown key (line 1)"),
            ("--web.config.file", "web.yml", "basic_auth_user: unknown key (line 1)"),
        ):
            ended = run("--web.listen-address", address, flag, tmp_path / name)
            assert (ended.returncode, ended.stderr) == (2, f"grid-exporter: configuration: {message}\n")


def test_a_port_already_taken_is_one_clear_line() -> None:
    """No trace, a hint, and exit status 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("--web.listen-address", address)
    assert ended.returncode == 1
    why = "Address already in use; is another exporter running? (ss -ltnp)"
    assert ended.stderr == f"grid-exporter: can't listen on {address}: {why}\n"
