"""Makes a fake box and prints how to use it: ``python -m tests.box DIRECTORY``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.box.box import TOOLS, make

USAGE = """\
A box is in {directory}. Run the exporter on it:

    {environment} python -m exporter {flags}

Break a tool, and repair it (tests/box/faults.py lists the faults; the tools are {tools}):

    echo "slow 3" >{directory}/faults/docker
    rm {directory}/faults/docker
"""


def main() -> int:
    """Makes the box."""
    parser = argparse.ArgumentParser(prog="python -m tests.box", description="Makes a fake box.")
    parser.add_argument("directory", type=Path, help="where; a new one")
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--containers", type=int, default=13)
    parser.add_argument("--models", type=int, default=10)
    options = parser.parse_args()
    if options.directory.exists():
        parser.error(f"{options.directory} is there already")
    box = make(options.directory, gpus=options.gpus, count=options.containers, models=options.models)
    environment = f"PATH={box.directory}/bin:$PATH STATE_DIRECTORY={box.directory}/state"
    words = {"directory": box.directory, "tools": ", ".join(TOOLS), "flags": " ".join(box.flags)}
    sys.stdout.write(USAGE.format(environment=environment, **words))
    return 0


if __name__ == "__main__":
    sys.exit(main())
