import asyncio
import os
import threading
from pathlib import Path

import pytest

from exporter.config.load import HUNG, TIMEOUT, discover, duration, load, load_in_time, parse
from exporter.config.strict_yaml import ConfigError
from exporter.probe import Host, Kind, Note, Schedule
from exporter.probes import KINDS, host
from tests.clock import now, virtual_time
from tests.daemon import PROJECT

EXAMPLE = (PROJECT / "systemd/config.example.yml").read_text()

BAD = {
    "": "the file: expected a mapping, got nothing (write {} for its defaults)",
    "[]": "the file: expected a mapping, got a list (line 1)",
    "probe: {}": "probe: unknown key (line 1)",
    "{}": "probes: missing (line 1)",
    "probes:": "probes: expected a mapping, got nothing (write {} for its defaults) (line 1)",
    "probes: {gpu:}": "probes.gpu: expected a mapping, got nothing (write {} for its defaults) (line 1)",
    "probes: {gpus: {}}": "probes.gpus: unknown key (line 1)",
    "probes: {gpu: {tll: 5s}}": "probes.gpu.tll: unknown key (line 1)",
    "probes: {gpu: {ttl: soon}}": "probes.gpu.ttl: expected a duration such as 60s, got 'soon' (line 1)",
    "probes: {gpu: {ttl: 60}}": "probes.gpu.ttl: expected a duration such as 60s, got 60 (line 1)",
    "probes: {gpu: {ttl: 10ms}}": "probes.gpu: ttl must be at least 1s, got 10ms (line 1)",
    "probes: {gpu: {timeout: 0s}}": "probes.gpu: timeout must be longer than 0s (line 1)",
    "probes: {gpu: {expect: two}}": (
        "probes.gpu.expect: expected a whole number or nothing, got text (line 1)"
    ),
    "probes: {gpu: {expect: 1.5}}": (
        "probes.gpu.expect: expected a whole number or nothing, got a number (line 1)"
    ),
    "probes: {gpu: {expect: 0}}": (
        "probes.gpu: expect must be a number of cards from 1 to 1024, got 0 (line 1)"
    ),
    "probes: {disk: {}}": "probes.disk.directories: missing (line 1)",
    "probes: {disk: {directories: /ai}}": "probes.disk.directories: expected a list, got text (line 1)",
    "probes: {disk: {directories: [1]}}": (
        'probes.disk.directories[0]: expected text, got a whole number, write "1" in quotes (line 1)'
    ),
    "probes: {gpu: {}, gpu: {}}": "line 1: 'gpu' is given twice",
    "probes: {gpu: {}": "line 1: expected ',' or '}', but got '<stream end>'",
    "1: {}": 'the file: expected keys that are text, write "1" in quotes (line 1)',
    "probes: {host: {3: 4}}": 'probes.host: expected keys that are text, write "3" in quotes (line 1)',
    'probes: {"ho\\nst": {}}': r"line 1: 'ho\nst' can't be a key",
    r'probes: {disk: {directories: ["/a\0b"]}}': r"line 1: text can't hold the character '\x00'",
    r'probes: {disk: {directories: ["/a\ud800"]}}': r"line 1: text can't hold the character '\ud800'",
    "[" * 5000: "it is nested too deeply, or contains itself (an alias in its own anchor)",
    "probes: &a [*a]": "probes: expected a mapping, got a list (line 1)",
    "probes: 2001-99-99": "line 1: what stands here is no timestamp",
    'probes: {gpu: !!int ""}': "line 1: what stands here is no int",
    "probes:\n  gpu: !!bool x": "line 2: what stands here is no bool",
    "probes: {gpu: !!timestamp x}": "line 1: what stands here is no timestamp",
    "probes: {gpu: !!float x}": "line 1: what stands here is no float",
    "probes: {gpu: !!set x}": "line 1: expected a mapping node, but found scalar",
    "probes: {services: {categories: {a: [x], ai: [no], z: [y]}}}": (
        'probes.services.categories.ai[0]: expected text, got true or false, write "no" in quotes (line 1)'
    ),
    "probes:\n  services:\n    categories:\n      ai: [x.service]\n      on: [a.service]\n": (
        'probes.services.categories: expected keys that are text, write "on" in quotes (line 5)'
    ),
    "probes:\n  services:\n    categories:\n      ai:\n        - x\n        - {y: 1}\n": (
        "probes.services.categories.ai[1]: expected text, got a mapping (line 6)"
    ),
    "probes:\n  gpu:\n    ttl: 1s\n    timeout: soon\n": (
        "probes.gpu.timeout: expected a duration such as 60s, got 'soon' (line 4)"
    ),
    "probes:\n  host: {}\n  gpus: {}\n": "probes.gpus: unknown key (line 3)",
    f"probes: {{gpu: {{ttl: {'x' * 10_000}}}}}": (
        f"probes.gpu.ttl: expected a duration such as 60s, got '{'x' * 57}…' (line 1)"
    ),
}


@pytest.mark.parametrize("text", BAD)
def test_a_mistake_is_one_line_with_its_path(text: str) -> None:
    """Whatever is wrong: where, what was expected, and what is there."""
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert str(error.value) == BAD[text]


def bomb(kind: str) -> str:
    """A few lines of YAML that stand for 4 ** 20 values."""
    lines = [f"x{n}: &x{n} " + kind.format(*[f"*x{n - 1}"] * 4) for n in range(1, 20)]
    return "\n".join(["x0: &x0 {a: 1}", *lines, "probes: {host: *x19}"])


@pytest.mark.parametrize(
    "kind", ["{{<<: [{}, {}, {}, {}]}}", "[{}, {}, {}, {}]", "{{a: {}, b: {}, c: {}, d: {}}}"]
)
async def test_a_bomb_is_refused(tmp_path: Path, kind: str) -> None:
    """At once, and leaves no thread behind that works on it, however often it is read."""
    path = tmp_path / "config.yml"
    path.write_text(bomb(kind))
    before = set(threading.enumerate())
    for _ in range(3):
        with pytest.raises(ConfigError, match="its aliases stand for too much"):
            await load_in_time(path, Host())
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


def test_an_alias_is_taken() -> None:
    """It is a part of YAML, and saves writing."""
    settings = parse("probes: {gpu: &often {ttl: 5s}, host: *often}")
    assert settings["host"].ttl == settings["gpu"].ttl == 5


def test_every_directory_and_command_is_a_probe_of_its_own(tmp_path: Path) -> None:
    """One that hangs costs the others nothing."""
    path = tmp_path / "config.yml"
    path.write_text("""
        probes:
          disk: {directories: [/ai/models, /srv/models]}
          commands: [{name: ups, argv: [/ups]}, {name: rack, argv: [/rack]}]
    """)
    names = [probe.name for probe in load(path, Host()).probes]
    assert names == ["disk:/ai/models", "disk:/srv/models", "command:ups", "command:rack"]


def test_with_every_kind_configured_none_is_absent(tmp_path: Path) -> None:
    """Then nothing is left to switch on."""
    path = tmp_path / "config.yml"
    path.write_text(EXAMPLE)
    plan = load(path, Host())
    assert set(plan.settings) == {kind.name for kind in KINDS}
    assert plan.absent == {}


def test_kinds_not_configured_are_absent(tmp_path: Path) -> None:
    """Each kind that is missing has its line, with how to switch it on."""
    path = tmp_path / "config.yml"
    path.write_text("probes: {host: {}}")
    plan = load(path, Host())
    assert set(plan.absent) == {kind.name for kind in KINDS} - {"host"}
    assert "config.yml" in plan.absent["gpu"].hint


def test_unchanged_settings_make_equal_probes(tmp_path: Path) -> None:
    """A reload compares probes to find what it leaves as it was."""
    path = tmp_path / "config.yml"
    path.write_text(EXAMPLE)
    before = load(path, Host()).probes
    assert load(path, Host()).probes == before
    path.write_text(EXAMPLE.replace("ttl: 60s", "ttl: 61s"))
    changed = [a.name for a, b in zip(before, load(path, Host()).probes, strict=True) if a != b]
    assert changed == [a.name for a in before if a.name.startswith(("disk:", "aide"))]


def test_a_world_writable_file_is_refused(tmp_path: Path) -> None:
    """Who may write the file could otherwise run what they like as the exporter's user."""
    path = tmp_path / "config.yml"
    path.write_text("probes: {containers: {command: [/tmp/docker]}}")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match=r"may be written by anyone: chmod o-w"):
        load(path, Host())


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\xff\xfe", "is not UTF-8 text"), (b"#" * 300_000, "is larger than 256 KiB: not a configuration")],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    """Binary and absurdly large files are refused before they are parsed."""
    path = tmp_path / "config.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=why):
        load(path, Host())


def test_a_half_written_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is longer than what was read of it is being written, and could pass for a whole one."""
    path = tmp_path / "config.yml"
    path.write_text("probes:\n  host: {}\n")
    status = os.fstat

    def meanwhile(fd: int) -> os.stat_result:
        path.write_text(EXAMPLE)
        return status(fd)

    monkeypatch.setattr(os, "fstat", meanwhile)
    with pytest.raises(ConfigError, match="is being written just now"):
        load(path, Host())


def test_a_configuration_may_come_through_a_pipe() -> None:
    """As the shell's ``<(...)`` gives one: what has no size is read all the same."""
    reader, writer = os.pipe()
    os.write(writer, b"probes: {host: {}}")
    os.close(writer)
    assert list(load(Path(f"/dev/fd/{reader}"), Host()).settings) == ["host"]
    os.close(reader)


def test_an_endless_file_is_no_configuration() -> None:
    """A device that never ends doesn't fill the memory."""
    with pytest.raises(ConfigError, match="is larger than 256 KiB"):
        load(Path("/dev/urandom"), Host())


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """The reason is the system's."""
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(tmp_path, Host())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("2m", 120), ("1h30m", 5400), ("500ms", 0.5), ("1d", 86400), ("0s", 0), ("0", 0), (0, 0)],
)
def test_durations_are_prometheus(text: object, seconds: float) -> None:
    """Each unit at most once, the largest first."""
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "60", "5 s", "1s1m", "1.5s", "-5s", "1mss", "٣s", "9" * 10 + "s", None, 60, False, 0.0, ["1s"]],
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    """Nothing is guessed: a bare number has no unit."""
    with pytest.raises(ValueError, match="expected a duration such as 60s"):
        duration(text)


async def test_discovery_finds_or_explains_every_kind(tmp_path: Path) -> None:
    """On an empty box nothing but the host is found, and each missing thing has its reason."""
    os.environ.pop("HF_HOME", None)
    plan = await discover(Host(root=tmp_path))
    assert {"host"} <= set(plan.settings)
    assert set(plan.settings) | set(plan.absent) == {kind.name for kind in KINDS}
    assert all(note.text for note in plan.absent.values())
    assert "tor" not in plan.settings


@virtual_time
async def test_a_kind_that_hangs_does_not_hold_up_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the timeout its discovery is cancelled, and the other kinds are served."""
    cancelled = []

    async def hang(_: Host) -> Note:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(now())
            raise
        return Note("")

    hanging = Kind("hanging", Schedule, lambda *_: [], hang)
    monkeypatch.setattr("exporter.config.load.KINDS", (host.KIND, hanging))
    started = now()
    plan = await discover(Host())
    assert plan.absent == {"hanging": HUNG}
    assert [probe.name for probe in plan.probes] == ["host"]
    await asyncio.sleep(0)
    assert cancelled == [started + TIMEOUT]
