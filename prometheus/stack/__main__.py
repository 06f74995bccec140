"""``python -m prometheus.stack``: the stack on this machine, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

from prometheus.stack.program import StackError
from prometheus.stack.sink import Alert, in_words
from prometheus.stack.stack import Box, Stack, running

# A stack that has just begun has no day to show.
PAGE = "/d/grid-overview?from=now-15m&to=now"


def serve(*boxes: Box) -> int:
    """Runs the stack until Ctrl-C or SIGTERM; returns the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="grid-stack-") as folder:
        try:
            with running(Path(folder), boxes, _show) as stack:
                sys.stdout.write(greeting(stack))
                sys.stdout.flush()
                stack.watch()
        except StackError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        except KeyboardInterrupt:
            sys.stdout.write("\n")
    return 0


def greeting(stack: Stack) -> str:
    """Where everything is, and what is missing."""
    there = [
        f"  {name:14}{program.url}{PAGE if name == 'Grafana' else ''}"
        for name, program in stack.programs.items()
    ]
    missing = [f"  {name:14}not installed here: {what}" for name, what in stack.missing.items()]
    last = "Alerts are shown here and sent to nobody. Ctrl-C ends it all."
    return "\n".join(["", *there, *missing, "", last, ""])


def _show(receiver: str, alert: Alert) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {in_words(receiver, alert)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(serve(Box()))
