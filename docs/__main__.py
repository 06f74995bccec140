"""``python -m docs`` writes docs/metrics.md."""

from __future__ import annotations

from pathlib import Path

from docs.metrics import page

if __name__ == "__main__":
    Path(__file__).with_name("metrics.md").write_text(page(), encoding="utf-8")
