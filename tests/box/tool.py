"""Runs one of a fake box's tools: ``tool.py BOX TOOL ARGUMENT...``, which BOX/bin/TOOL calls.

A tool finds its box by its own path, since the exporter gives it next to no environment. It notes that it
ran (BOX/runs/TOOL) and suffers the fault that is switched on for it (BOX/faults/TOOL).
"""

from __future__ import annotations

import sys
import time

box, name, *arguments = sys.argv[1:]
sys.path.append(__file__.rpartition("/tests/")[0])

from tests.box.quick import note, read  # noqa: E402 - only now can it be found

# A tool's module, imported alone: a tool must cost little more than the interpreter's start.
MODULES = {"nvidia-smi": "cards", "docker": "engine", "systemctl": "systemd", "curl": "exits"}


def run() -> tuple[int, str, str]:
    """What the tool does where nothing is wrong: its exit status, output and errors."""
    module = __import__(f"tests.box.{MODULES.get(name, name)}", fromlist=["answer"])
    answer: tuple[int, str, str] = module.answer(box, arguments)
    return answer


def fault() -> str:
    """The fault that is switched on, if any."""
    try:
        return read(f"{box}/faults/{name}")
    except FileNotFoundError:
        return ""


def main() -> int:
    """One run; returns the exit status."""
    note(f"{box}/runs/{name}", f"{time.time():.6f} {' '.join(arguments)}")
    if switched_on := fault():
        from tests.box.faults import suffer  # noqa: PLC0415 - only who suffers pays for it

        return suffer(switched_on, run)
    code, out, err = run()
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code


sys.exit(main())
