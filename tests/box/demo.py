"""``make demo``: the whole stack on fake boxes, in the first of which things happen, until Ctrl-C."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from prometheus.stack.__main__ import serve
from prometheus.stack.stack import Box
from tests.box import apu, control, llm, story
from tests.box.box import make


def main() -> int:
    """Makes the boxes, runs the stack on them, and removes them in the end."""
    with tempfile.TemporaryDirectory(prefix="grid-demo-") as folder:
        box = make(Path(folder) / "box")
        box.use_own_disks()
        second = apu.running(Path(folder) / "second")
        with (
            control.served(box),
            llm.served(box) as follow,
            story.running(story.Story(box, _report, follow)),
            second as other,
        ):
            return serve(Box("demo", box.flags, box.environment), other)


def _report(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
