"""``python -m prometheus [--settings FILE] [--out DIR]`` writes the rule files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prometheus import settings


def main(argv: Sequence[str] | None = None) -> None:
    """Writes them beside this file, or where the command line says so."""
    chosen, folder = settings.arguments("the rule files", Path(__file__).parent / "rules", argv)
    # Conditions read the thresholds as they are imported.
    from prometheus.generate import files  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files(chosen).items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
