"""``make demo``: the whole stack on a fake box where things happen, until Ctrl-C."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from prometheus.stack.__main__ import serve
from prometheus.stack.stack import Box
from tests.box import control, llm, story
from tests.box.box import make


def main() -> int:
    """Makes the box, runs the stack on it, and removes it in the end."""
    with tempfile.TemporaryDirectory(prefix="grid-demo-") as folder:
        box = make(Path(folder) / "box")
        box.use_own_disks()
        with control.served(box), llm.served(box), story.running(box, _report):
            return serve(Box("demo", box.flags, box.environment))


def _report(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
