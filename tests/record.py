"""What the long runs came to, kept for README to quote: a line for each, the newest of its name."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

RESULTS = Path(__file__).with_name("long-runs.md")
HEADING = """\
# What the long runs came to

Written by `make fuzz` and `make soak`: of each the result of its last good run.
"""
LINE = re.compile(r"- \*\*(.+?)\*\*: .*")


def record(name: str, result: str, results: Path = RESULTS) -> None:
    """Puts the line in the place of the one that the run before left."""
    kept = LINE.finditer(results.read_text()) if results.exists() else ()
    lines = {line[1]: line[0] for line in kept}
    today = dt.datetime.now(dt.UTC).date()
    lines[name] = f"- **{name}**: {result} ({today}, {os.cpu_count()} processors)"
    results.write_text("\n".join([HEADING, *(lines[each] for each in sorted(lines)), ""]))
