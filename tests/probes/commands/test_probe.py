import threading
from pathlib import Path

import pytest
from prometheus_client.process_collector import ProcessCollector

from exporter.config.load import parse as parse_config
from exporter.metrics.exposition import join, render
from exporter.probe import Duration, Host, Note, Probe, ProbeError
from exporter.probes.commands import probe as commands
from exporter.probes.commands.probe import Command, build, discover
from exporter.probes.commands.textformat import Printed, parse
from tests.strict import parsed

HISTOGRAM = '# TYPE sx histogram\nsx_bucket{le="+Inf"} 1\nsx_sum 1\nsx_count 1\n'


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program to fill in; see ``write``."""
    return tmp_path / "metrics"


def write(script: Path, body: str) -> Path:
    """Makes the program do this."""
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return script


def prints(script: Path, text: str) -> Path:
    """Makes the program print this."""
    (script.parent / f"{script.name}.out").write_text(text)
    return write(script, f'cat "{script}.out"')


def probes(*scripts: Path, box: Host | None = None) -> list[Probe]:
    """The probes of commands that are named after their program."""
    return build([Command(name=script.name, argv=(str(script),)) for script in scripts], box or Host())


async def scrape(*found: Probe) -> list[str]:
    """What a scrape shows after each of the probes has run once."""
    return join([render((await probe.run()).families) for probe in found]).decode().splitlines()


async def reason(probe: Probe) -> str:
    """Why the probe fails."""
    with pytest.raises(ProbeError) as caught:
        await probe.run()
    return caught.value.reason


async def test_series_carry_the_commands_name(script: Path) -> None:
    """All that the command printed is served, labelled; a missing HELP or TYPE is filled in."""
    text = '# HELP x_total Things.\n# TYPE x_total counter\nx_total{b="1"} 2\nx 1\n'
    assert await scrape(*probes(prints(script, text))) == [
        "# HELP x_total Things.",
        "# TYPE x_total counter",
        'x_total{b="1",command="metrics"} 2.0',
        "# HELP x Printed by a configured command, cached.",
        "# TYPE x untyped",
        'x{command="metrics"} 1.0',
    ]


async def test_arguments_reach_the_program_as_they_are(script: Path) -> None:
    """No shell comes between: blanks and stars are the program's."""
    write(script, 'echo "args{first=\\"$1\\"} $#"')
    (probe,) = build([Command(name="c", argv=(str(script), "a * $HOME", ""))], Host())
    assert (await scrape(probe))[-1] == 'args{command="c",first="a * $HOME"} 2.0'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("echo x 1; exit 3", "metrics failed: exit status 3"),
        ("kill -9 $$", "metrics failed: ended by SIGKILL"),
        ("true", "metrics printed no metrics that can be served"),
        ("echo '# TYPE x gauge'", "metrics printed no metrics that can be served"),
        (
            "echo x one",
            "metrics printed no metrics that can be served: x (line 1 has no number for its value)",
        ),
        ("printf 'x 1'", "line 1 (is cut off: it lacks a newline)"),
        ("echo 'grid_gpus 8'", "grid_gpus (the name is the exporter's or Prometheus's own)"),
        ("head -c 2000000 /dev/zero", "metrics printed more than 1024 KiB"),
    ],
)
async def test_failures(script: Path, body: str, expected: str) -> None:
    """Nothing of a failed run is served, and the reason names the mistake."""
    (probe,) = probes(write(script, body))
    assert expected in await reason(probe)


@pytest.mark.parametrize("body", ["echo token=hunter2 >&2; exit 3", "kill -9 $$", "echo x one", "true"])
async def test_arguments_and_errors_stay_secret(script: Path, body: str) -> None:
    """A failed command's arguments and error messages are in no reason, which everybody reads."""
    (probe,) = build([Command(name="c", argv=(str(write(script, body)), "--token", "hunter2"))], Host())
    with pytest.raises(ProbeError) as caught:
        await probe.run()
    assert "hunter2" not in caught.value.reason + caught.value.hint
    assert "probe command:c" in caught.value.hint


async def test_missing_program(script: Path) -> None:
    """A program that isn't there, or may not be executed, is named."""
    (probe,) = probes(script)
    assert await reason(probe) == f"{script} is not installed"
    script.touch(0o644)
    assert await reason(probe) == f"{script} may not be executed"


async def test_warnings_on_stderr_do_no_harm(script: Path) -> None:
    """A good command's warnings do not mix with its metrics."""
    write(script, "echo grumble >&2; echo x 1")
    assert (await scrape(*probes(script)))[-1] == 'x{command="metrics"} 1.0'


async def test_one_family_of_two_commands(tmp_path: Path) -> None:
    """Two commands' family of one type stands under one header, with both commands' samples."""
    both = probes(*(prints(tmp_path / name, "# TYPE x gauge\nx 1\n") for name in ("a", "b")))
    assert (await scrape(*both))[1:] == ["# TYPE x gauge", 'x{command="a"} 1.0', 'x{command="b"} 1.0']


CLASH = "which is another command's or the exporter's"


@pytest.mark.parametrize(
    ("first", "second", "name", "clash"),
    [
        ("# TYPE x gauge\nx 1\n", "x 2\n", "x", "x of type gauge"),
        (HISTOGRAM, "sx_count 7\n", "sx_count", "sx of type histogram"),
        ("sx_count 7\n", HISTOGRAM, "sx", "sx_count of type untyped"),
        ("a 1\n", "process_open_fds 1\n", "process_open_fds", "process_open_fds of type gauge"),
    ],
)
async def test_families_that_clash(tmp_path: Path, first: str, second: str, name: str, clash: str) -> None:
    """The command that is written first keeps the name; the other's family is left out until they agree."""
    one, two = probes(prints(tmp_path / "a", first), prints(tmp_path / "b", f"{second}other 1\n"))
    await one.run()
    assert (await two.run()).notes[0].text == f"left out: {name} (it clashes with {clash}, {CLASH})"
    parsed("".join(f"{line}\n" for line in await scrape(one, two)))
    prints(tmp_path / "a", "a 1\n")
    prints(tmp_path / "b", "other 1\n")
    await one.run()
    assert (await two.run()).notes == ()


async def test_families_that_clash_before_the_first_ran(tmp_path: Path) -> None:
    """Whichever runs first: a scrape in between is valid, too."""
    one, two = probes(prints(tmp_path / "a", HISTOGRAM), prints(tmp_path / "b", "sx_count 7\n"))
    later = render((await two.run()).families)
    body = join([render((await one.run()).families), later]).decode()
    assert len(parsed(body)) == 3
    assert 'command="b"' not in body


async def test_what_is_left_out_is_named(script: Path) -> None:
    """The first few with their reasons; the rest of the output is served."""
    names = "".join(f"grid_{n} 1\n" for n in range(7))
    (probe,) = probes(prints(script, f"{names}x 1\n"))
    (note,) = (await probe.run()).notes
    assert note.text.startswith("left out: grid_0 (the name is the exporter's or Prometheus's own), grid_1 (")
    assert note.text.endswith("grid_4 (the name is the exporter's or Prometheus's own) and 2 more")
    assert (await scrape(probe))[-1] == 'x{command="metrics"} 1.0'


def test_the_exporters_own_families_are_known() -> None:
    """What a command may print, too, has the type that it has in the exporter's own metrics."""
    own = render(ProcessCollector(registry=None).collect())
    assert {name: family.header.split()[-1].decode() for name, family in own.items()} == commands.OWN


async def test_a_command_that_is_gone_holds_no_name(tmp_path: Path) -> None:
    """After a reload without the first command its types bind nobody."""
    box = Host()
    first, second = prints(tmp_path / "a", "# TYPE x gauge\nx 1\n"), prints(tmp_path / "b", "x 2\n")
    (alone,) = probes(first, box=box)
    await alone.run()
    (other,) = probes(second, box=box)
    await other.run()


async def test_output_is_read_beside_the_loop(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte of samples takes a while to read: that must not be the loop's thread."""
    readers = []

    def reader(data: bytes, now: float) -> Printed:
        readers.append(threading.current_thread())
        return parse(data, now)

    monkeypatch.setattr(commands, "parse", reader)
    (probe,) = probes(write(script, "seq 10000 | sed 's/.*/x{n=\"&\"} &/'"))
    assert len((await probe.run()).families[0].samples) == 10000
    assert readers != [threading.main_thread()]


def test_each_command_is_a_probe_of_its_own() -> None:
    """It has its name, and its own schedule: slow by default, never waited for."""
    plain = Command(name="ups", argv=("/u",))
    seldom = Command(name="ipmi", argv=("/i", "-a"), ttl=Duration(60))
    assert [probe.name for probe in build([plain, seldom], Host())] == ["command:ups", "command:ipmi"]
    assert [c.ttl + c.wait for c in (plain, seldom)] == [30, 60]


def test_two_commands_of_one_name() -> None:
    """Their series would be the same."""
    with pytest.raises(ValueError, match="two commands are named ups"):
        build([Command(name="ups", argv=("/a",)), Command(name="ups", argv=("/b",))], Host())


@pytest.mark.parametrize(
    ("name", "argv", "expected"),
    [
        ("", ("/a",), "name must be made of"),
        ("a b", ("/a",), "name must be made of"),
        ("a\n", ("/a",), "name must be made of"),
        ("1a", ("/a",), "name must be made of"),
        ("a", (), "argv must begin with a program's full path"),
        ("a", ("ups",), "argv must begin with a program's full path"),
    ],
)
def test_impossible_commands(name: str, argv: tuple[str, ...], expected: str) -> None:
    """What can't be run or named is refused before anything runs."""
    with pytest.raises(ValueError, match=expected):
        Command(name=name, argv=argv)


async def test_nothing_is_guessed() -> None:
    """Without a configuration there is no command, and the way to add one is shown."""
    note = await discover(Host())
    assert isinstance(note, Note)
    assert "commands" in parse_config(note.hint)
