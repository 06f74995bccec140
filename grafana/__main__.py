"""``python -m grafana [--settings FILE] [--out DIR]`` writes the dashboards anew."""

from __future__ import annotations

from pathlib import Path

from prometheus import settings


def main() -> None:
    """Writes them beside this file, or where the command line says so."""
    _, folder = settings.arguments("the dashboards", Path(__file__).parent / "dashboards", None)
    # Pages read the thresholds as they are imported.
    from grafana.generate import write  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    write(folder)


if __name__ == "__main__":
    main()
