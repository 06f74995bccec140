"""systemd/: what can be checked of it without booting it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml

from exporter.aide import accept_request, proof
from exporter.aide.files import Paths
from exporter.config.load import parse
from exporter.probes import KINDS
from tests.daemon import PROJECT

UNITS = sorted(path for path in (PROJECT / "systemd").iterdir() if path.name.startswith("grid-"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
# Exposure as systemd-analyze counts it: 0 is sealed, 10 wide open. AIDE's check has to see the whole system.
MOST_EXPOSED = {"grid-exporter.service": 2.0, "grid-aide-accept.service": 2.0, "grid-aide-check.service": 3.5}
# AIDE would not see these parts of the box, or other than they are.
HIDING = {
    *("PrivateTmp", "PrivateDevices", "PrivateUsers", "PrivateNetwork", "PrivateIPC"),
    *("ProtectHome", "ProtectProc", "ProcSubset", "InaccessiblePaths", "TemporaryFileSystem"),
    *("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs"),
    *("RootDirectory", "BindPaths", "BindReadOnlyPaths", "DynamicUser"),
}

needs_analyze = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="not installed: systemd-analyze"
)


def settings(path: Path) -> dict[str, str]:
    """A unit's settings; of one given several times, the last."""
    return dict(re.findall(r"^([A-Z]\w*)=(.*)$", path.read_text(), re.MULTILINE))


@needs_analyze
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_knows_every_word(unit: Path) -> None:
    """A misspelt key would be ignored by systemd with no more than a line in its log."""
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    output = [line for line in done.stderr.splitlines() if "/bin/grid-exporter is not executable" not in line]
    assert output == []


@needs_analyze
@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_exposure(unit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What systemd itself thinks of each sandbox, printed."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    with capsys.disabled():
        print(f"\n{output.removeprefix('→ ')}")
    found = re.search(r"level for .*: ([0-9.]+)", output)
    assert found
    assert float(found[1]) <= MOST_EXPOSED[unit.name]


def test_what_is_left_out_has_its_reason() -> None:
    """Every protection that the exporter's unit goes without stands in it with a reason."""
    text = (PROJECT / "systemd/grid-exporter.service").read_text()
    reasons = dict(re.findall(r"^#   (\S.*?)  +(\S.*)$", text, re.MULTILINE))
    named = {name.partition("=")[0] for names in reasons for name in names.split(", ")}
    unset = {"ProtectProc", "ProcSubset", "PrivateDevices", "PrivateNetwork", "IPAddressDeny", "DynamicUser"}
    assert named == {*unset, "ProtectHome", "SystemCallFilter"}
    assert not unset & settings(PROJECT / "systemd/grid-exporter.service").keys()


def test_drop_in_for_gpu_processes() -> None:
    """The drop-in gives one capability, and closes the ways to others' memory; docs/gpu.md names it."""
    path = PROJECT / "systemd/gpu-processes.conf"
    assert settings(path) == {
        "CapabilityBoundingSet": "CAP_SYS_PTRACE",
        "AmbientCapabilities": "CAP_SYS_PTRACE",
        "PrivateUsers": "no",
        "SystemCallFilter": "~@debug process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp",
    }
    assert f"systemd/{path.name}" in (PROJECT / "docs/gpu.md").read_text()


def test_nothing_is_hidden_from_aide() -> None:
    """The check's sandbox has nothing that would change what AIDE sees."""
    unit = settings(PROJECT / "systemd/grid-aide-check.service")
    assert not HIDING & unit.keys()
    assert unit["ProtectSystem"] == "strict"


def test_units_and_code_mean_the_same_places() -> None:
    """What the code writes is what the units watch and let it write."""
    state, asked = Paths().state, accept_request.RUNTIME / accept_request.NAME
    watch = settings(PROJECT / "systemd/grid-aide-accept.path")
    assert (watch["PathExists"], watch["ConditionPathExists"]) == (str(asked), str(proof.KEY_FILE))
    assert (
        settings(PROJECT / "systemd/grid-exporter.service")["RuntimeDirectory"] == accept_request.RUNTIME.name
    )
    for name in ("grid-aide-check.service", "grid-aide-accept.service"):
        assert f"ReadWritePaths={state}\n" in (PROJECT / "systemd" / name).read_text()
    assert f"d {state} 2750 root grid-exporter" in (PROJECT / "systemd/tmpfiles.conf").read_text()


def test_the_example_has_every_key() -> None:
    """The example configuration is good, and leaves out no key of any probe; alternatives are comments."""
    text = (PROJECT / "systemd/config.example.yml").read_text()
    parse(text)
    probes = yaml.safe_load(text)["probes"]
    assert list(probes) == [kind.name for kind in KINDS]
    alternatives = set(re.findall(r"^ {4}# (\w+): \[", text, re.MULTILINE))
    for kind in KINDS:
        keys, fields = set(_keys(probes[kind.name])), {field.name for field in _fields(kind.settings)}
        assert keys <= fields <= keys | alternatives


def test_the_example_shows_defaults() -> None:
    """Where a key has a default, the example's value is that, or one that could be nobody's default."""
    read = parse((PROJECT / "systemd/config.example.yml").read_text())
    for kind in KINDS:
        shown = read[kind.name][0] if kind.name == "commands" else read[kind.name]
        for field in _fields(kind.settings):
            value = getattr(shown, field.name)
            if field.default not in (msgspec.NODEFAULT, None):
                assert value == field.default, f"{kind.name}.{field.name}"


def _fields(kind: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(get_args(kind)[0] if get_args(kind) else kind)


def _keys(part: Any) -> Iterator[str]:
    for mapping in part if isinstance(part, list) else [part]:
        yield from mapping
