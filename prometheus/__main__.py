"""``python -m prometheus`` writes prometheus/rules/*.yml."""

from __future__ import annotations

from pathlib import Path

from prometheus.generate import files


def main() -> None:
    """Writes the rule files beside this one."""
    folder = Path(__file__).parent / "rules"
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
