import os
import re
import signal
import subprocess
from pathlib import Path

from exporter.scanner import scan
from tests.daemon import PROJECT, command_line, run
from tests.system.test_subprocesses import alive
from tests.test_daemon import wait_for


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(text)
    return path


def test_check_config_accepts_a_good_configuration(tmp_path: Path) -> None:
    """check-config ends with 0 and one line."""
    path = config(tmp_path, "probes: {host: {}}\n")
    ended = run("--config.file", path, "check-config")
    assert (ended.returncode, ended.stdout) == (0, f"{path} is good: 1 probe\n")


def test_check_config_accepts_no_configuration() -> None:
    """The service checks before it starts, also where it is to serve what the box has."""
    ended = run("check-config")
    assert (ended.returncode, ended.stdout) == (0, "no --config.file: what this host has is served\n")


def test_a_bad_configuration_is_one_line_and_status_2(tmp_path: Path) -> None:
    """Also where the exporter is to serve: it does not start with half a configuration."""
    path = config(tmp_path, "probes: {host: {tll: 60s}}\n")
    for command in (["check-config"], []):
        ended = run("--config.file", path, *command)
        assert (ended.returncode, ended.stderr) == (
            2,
            "grid-exporter: configuration: probes.host.tll: unknown key (line 1)\n",
        )


def test_a_missing_configuration_is_one_line_and_status_2(tmp_path: Path) -> None:
    """A file that was named and isn't there is not taken for "none named"."""
    ended = run("--config.file", tmp_path / "none.yml")
    assert ended.returncode == 2
    assert ended.stderr.endswith("none.yml can't be read: No such file or directory\n")


def test_one_probe_can_be_run_by_hand(tmp_path: Path) -> None:
    """Its metrics come on stdout, as Prometheus would see them; its status on stderr."""
    path = config(tmp_path, "probes: {host: {}}\n")
    ended = run("--config.file", path, "probe", "host")
    assert ended.returncode == 0
    assert ended.stdout.startswith("# HELP grid_memory_total_bytes")
    assert re.search(r"✓ host +OK \(0\.\d\ds\)", ended.stderr)


def test_a_failing_probe_prints_what_ran_and_why(tmp_path: Path) -> None:
    """The commands, their exit status, their error messages, and status 1."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho out of cheese >&2\nexit 3\n")
    tool.chmod(0o755)
    path = config(tmp_path, f"probes: {{commands: [{{name: cheese, argv: [{tool}]}}]}}\n")
    ended = run("--config.file", path, "probe", "command:cheese")
    assert ended.returncode == 1
    assert f"ran {tool}: exit 3" in ended.stderr
    assert "out of cheese" in ended.stderr
    assert "✗ command:cheese" in ended.stderr


def test_an_unknown_probe_lists_what_there_is(tmp_path: Path) -> None:
    """A typing mistake is answered with the choice, and status 2."""
    path = config(tmp_path, "probes: {host: {}}\n")
    ended = run("--config.file", path, "probe", "hots")
    assert (ended.returncode, ended.stderr) == (2, "there is no probe 'hots' here: there is host\n")


def test_doctor_reports_every_probe(tmp_path: Path) -> None:
    """Each probe has its line; one that can't work makes the status 1 and brings its remedy."""
    path = config(tmp_path, "probes: {host: {}, disk: {directories: [/nonexistent/models]}}\n")
    ended = run("--config.file", path, "doctor")
    assert ended.returncode == 1
    assert "✓ host" in ended.stdout
    assert "✗ disk:/nonexistent/models" in ended.stdout
    assert "- gpu" in ended.stdout


def test_the_version() -> None:
    """As Prometheus's own programs do it."""
    ended = run("--version")
    assert re.fullmatch(r"grid-exporter \d+\.\d+\.\d+\n", ended.stdout)


def test_a_character_the_terminal_lacks_is_escaped(tmp_path: Path) -> None:
    """In whatever encoding: what can't be shown must not end the program."""
    path = config(tmp_path, "probes: {host: {}}\n")
    ended = run("--config.file", path, "doctor", env={"PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0
    assert r"\u2713 host" in ended.stdout


def test_a_reader_may_close_the_pipe(tmp_path: Path) -> None:
    """`grid-exporter doctor | head -1` ends without a trace of Python's."""
    path = config(tmp_path, "probes: {host: {}}\n")
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        command_line("--config.file", path, "doctor"),
        cwd=PROJECT, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_closed_output_is_no_error(tmp_path: Path) -> None:
    """A service manager may start it with nothing to write to."""
    path = config(tmp_path, "probes: {host: {}}\n")
    script = 'exec "$@" >&- 2>&-'
    ended = subprocess.run(
        ["sh", "-c", script, "sh", *command_line("--config.file", path, "doctor")],
        cwd=PROJECT, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0


def test_doctor_names_the_user(tmp_path: Path) -> None:
    """By its user id, whatever the environment claims; one without a name by number."""
    ended = run("--config.file", config(tmp_path, "probes: {}\n"), "doctor", env={"LOGNAME": "mallory"})
    assert ended.stdout.startswith(f"As user {scan.user()}, with ")


def test_doctor_prints_each_probe_as_it_finishes(tmp_path: Path) -> None:
    """A scan may take minutes: who looks at the screen sees by then how the quick probes fare."""
    tool, seen = tmp_path / "slow", tmp_path / "seen"
    tool.write_text(f"#!/bin/sh\nwhile [ ! -e {seen} ]; do sleep 0.01; done\necho x 1\n")
    tool.chmod(0o755)
    path = config(
        tmp_path, f"probes: {{host: {{}}, commands: [{{name: slow, argv: [{tool}], timeout: 60s}}]}}\n"
    )
    command = command_line("--config.file", path, "doctor")
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout is not None
        assert any("✓ host" in line for line in ours.stdout)
        seen.touch()
        assert "✓ command:slow" in ours.stdout.read()
    assert ours.returncode == 0


def test_an_ignored_sigchld_is_not_inherited(tmp_path: Path) -> None:
    """A supervisor that does so hands that on, and the kernel then keeps no exit status for us."""
    path = config(tmp_path, "probes: {commands: [{name: fails, argv: [/bin/false]}]}\n")
    command = command_line("--config.file", path, "probe", "command:fails")
    ended = subprocess.run(
        ["env", "--ignore-signal=CHLD", *command],
        cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "/bin/false failed: exit status 1" in ended.stderr


def test_ctrl_c_ends_a_probe_with_its_tool(tmp_path: Path) -> None:
    """Whoever runs a probe by hand and has waited long enough leaves nothing behind."""
    tool, pids = tmp_path / "hang", tmp_path / "pids"
    tool.write_text(f"#!/bin/sh\nsleep 1000 &\necho $$ $! > {pids}\nwait\n")
    tool.chmod(0o755)
    path = config(tmp_path, f"probes: {{commands: [{{name: hang, argv: [{tool}]}}]}}\n")
    with subprocess.Popen(command_line("--config.file", path, "probe", "command:hang"), cwd=PROJECT) as ours:
        running = wait_for(pids)
        ours.send_signal(signal.SIGINT)
        assert ours.wait(100) == 130
    assert not any(alive(pid) for pid in running)
