import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import servers, story
from tests.box import box as fake

BODY = '# HELP x An x.\n# TYPE x gauge\nx{name="a"} 1.0\n'


def test_the_bare_handler_returns_the_same_bytes(tmp_path: Path) -> None:
    """It is the limit only if what goes out is the same, plain and compressed."""
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.write_bytes(b"plain")
    packed.write_bytes(b"packed")
    with servers.beside("bare", plain, packed) as bare:
        assert (bare.get(), bare.get("gzip")) == (b"plain", b"packed")


def test_the_plain_exporter_renders_the_same_figures(tmp_path: Path) -> None:
    """prometheus-client is given the same series to render."""
    (tmp_path / "body").write_text(BODY)
    with servers.beside("plain_client", tmp_path / "body") as plain:
        assert plain.get().decode() == BODY


@pytest.mark.parametrize("design", ["old_inline", "old_pooled"])
def test_the_old_designs_find_out_what_there_is(tmp_path: Path, design: str) -> None:
    """They are no straw men that answer nothing: all that they show is of the box."""
    box = fake.make(tmp_path / "box")
    with servers.beside(design, box.directory, env=box.environment) as server:
        found = json.loads(server.get())
    assert len(found["gpu"]) == 2
    assert found["containers"]["ollama"] == "running"
    assert {"Id": "jupyter.service", "ActiveState": "active"} in found["services"]
    assert found["disk"] > 1e9
    assert found["tor"]["IsTor"] is True
    assert found["aide"]["success"] is True


def test_a_server_that_ends_says_why(tmp_path: Path) -> None:
    """A bench that fails tells what to mend."""
    with pytest.raises(AssertionError, match="No such file"), servers.beside("plain_client", tmp_path / "no"):
        pass


def test_the_storys_box_has_some_thousand_series(tmp_path: Path) -> None:
    """As the results say; and the exporter is idle or at work as they say."""
    with servers.exporter(story.at_rest(tmp_path / "box")) as ours:
        lines = ours.get().decode().splitlines()
    assert 900 <= sum(not line.startswith("#") for line in lines) <= 1100
    assert 'grid_probe_ttl_seconds{probe="tor"} 3600.0' in lines


def test_processor_time_has_ended_threads_in_it_and_children_not() -> None:
    """A probe's work in a thread that has ended by now is the exporter's; a tool's work is the tool's."""
    burn = "[hash(str(n)) for n in range(1_000_000)]"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); "
    thread = f"import threading; t = threading.Thread(target=lambda: {burn}); t.start(); t.join(); "
    used = []
    for work in (thread, child):
        argv = [sys.executable, "-uc", f"{work}print(); input()"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            used.append(servers.Server("", process.pid).cpu())
            process.communicate(b"\n")
    assert used[0] > 2 * used[1]
