import re
from pathlib import Path

from tests.daemon import run


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yml"
    path.write_text(text)
    return path


def test_a_good_configuration_is_said_to_be_good(tmp_path: Path) -> None:
    """check-config ends with 0 and one line."""
    path = config(tmp_path, "probes: {host: {}}\n")
    ended = run("--config.file", path, "check-config")
    assert (ended.returncode, ended.stdout) == (0, f"{path} is good: 1 probes\n")


def test_a_bad_configuration_is_one_line_and_status_2(tmp_path: Path) -> None:
    """Also where the exporter is to serve: it does not start with half a configuration."""
    path = config(tmp_path, "probes: {host: {tll: 60s}}\n")
    for command in (["check-config"], []):
        ended = run("--config.file", path, *command)
        assert (ended.returncode, ended.stderr) == (
            2,
            "grid-exporter: configuration: probes.host.tll: unknown key\n",
        )


def test_a_missing_configuration_is_one_line_and_status_2(tmp_path: Path) -> None:
    """A file that was named and isn't there is not taken for "none named"."""
    ended = run("--config.file", tmp_path / "none.yml")
    assert ended.returncode == 2
    assert ended.stderr.endswith("none.yml can't be read: No such file or directory\n")


def test_one_probe_can_be_run_by_hand(tmp_path: Path) -> None:
    """Its figures come on stdout, as Prometheus would see them; how it went, on stderr."""
    path = config(tmp_path, "probes: {host: {}}\n")
    ended = run("--config.file", path, "probe", "host")
    assert ended.returncode == 0
    assert ended.stdout.startswith("# HELP grid_memory_total_bytes")
    assert re.search(r"✓ host +works \(0\.\d\ds\)", ended.stderr)


def test_a_probe_that_fails_says_what_ran_and_why(tmp_path: Path) -> None:
    """The commands, their exit status, what they complained of, and status 1."""
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho out of cheese >&2\nexit 3\n")
    tool.chmod(0o755)
    path = config(tmp_path, f"probes: {{commands: [{{name: cheese, argv: [{tool}]}}]}}\n")
    ended = run("--config.file", path, "probe", "command:cheese")
    assert ended.returncode == 1
    assert f"ran {tool}: exit 3" in ended.stderr
    assert "out of cheese" in ended.stderr
    assert "✗ command:cheese" in ended.stderr


def test_an_unknown_probe_is_told_what_there_is(tmp_path: Path) -> None:
    """A typing mistake is answered with the choice, and status 2."""
    path = config(tmp_path, "probes: {host: {}}\n")
    ended = run("--config.file", path, "probe", "hots")
    assert (ended.returncode, ended.stderr) == (2, "there is no probe 'hots' here: there is host\n")


def test_doctor_tells_what_works_and_what_mends_the_rest(tmp_path: Path) -> None:
    """Each probe has its line; one that can't work makes the status 1 and brings its remedy."""
    path = config(tmp_path, "probes: {host: {}, disk: {directories: [/nonexistent/models]}}\n")
    ended = run("--config.file", path, "doctor")
    assert ended.returncode == 1
    assert "✓ host" in ended.stdout
    assert "✗ disk:/nonexistent/models" in ended.stdout
    assert "- gpu" in ended.stdout


def test_the_version_is_told() -> None:
    """As Prometheus's own programs do it."""
    ended = run("--version")
    assert re.fullmatch(r"grid-exporter \d+\.\d+\.\d+\n", ended.stdout)
