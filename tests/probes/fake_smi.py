"""A fake nvidia-smi for the tests of the gpu probe: replays recorded sessions, or prints what a test sets."""

from __future__ import annotations

from pathlib import Path

from exporter.probes.gpu.nvidia.cards import FIELDS
from exporter.probes.gpu.nvidia.csv_table import parse_fields
from exporter.probes.gpu.nvidia.processes import FIELDS as PROCESS_FIELDS
from tests.box import nvidia_smi

CAPTURES = Path(__file__).parents[1] / "captures" / "nvidia-smi"
SESSIONS = sorted(path.name for path in CAPTURES.iterdir())


def responses(session: str) -> tuple[str, str, str]:
    """A session's help, and its responses to the probe's two queries."""
    help_ = (CAPTURES / session / "help-query-gpu.txt").read_text()
    fields = list(parse_fields(help_, FIELDS))
    _, gpu = nvidia_smi.query(CAPTURES / session, "query-gpu", fields)
    _, apps = nvidia_smi.query(CAPTURES / session, "query-compute-apps", list(PROCESS_FIELDS))
    return help_, gpu, apps


class FakeSmi:
    """An nvidia-smi that prints what was set, and records what it was asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.set("help").set("gpu").set("apps").set("parts").set("list")
        self.install(
            f'#!/bin/sh\ncd {directory}\necho "$@" >>calls\n'
            'case "$1" in --help-query-gpu) it=help;; --query-gpu=*) it=gpu;; '
            "-q) it=parts;; -L) it=list;; *) it=apps;; esac\n"
            "cat $it.out; cat $it.err >&2; exit $(cat $it.code)\n"
        )

    def install(self, script: str) -> None:
        """Puts a script in the tool's place."""
        tool = self.directory / "nvidia-smi"
        tool.write_text(script)
        tool.chmod(0o755)

    def set(self, what: str, out: str = "", code: int = 0, err: str = "") -> FakeSmi:
        """What it prints from now on when asked for its help, the cards (gpu) or the processes (apps)."""
        (self.directory / f"{what}.out").write_text(out, "utf-8", "surrogateescape")
        (self.directory / f"{what}.err").write_text(err)
        (self.directory / f"{what}.code").write_text(str(code))
        return self

    def replay(self, session: str) -> FakeSmi:
        """Replays a recorded session."""
        help_, gpu, apps = responses(session)
        for what in ("parts", "list"):
            path = CAPTURES / session / f"{what}.txt"
            self.set(what, path.read_text() if path.exists() else "")
        return self.set("help", help_).set("gpu", gpu).set("apps", apps)

    def fail(self, out: str, code: int) -> FakeSmi:
        """Prints the same whatever it is asked, as it does when its driver fails."""
        return self.set("help", out, code).set("gpu", out, code).set("apps", out, code)

    def asked(self) -> list[str]:
        """The options of its runs since the last time, in a fixed order, without the fields."""
        calls = self.directory / "calls"
        lines = calls.read_text().splitlines()
        calls.unlink()
        return sorted(line.partition("=")[0] for line in lines)
