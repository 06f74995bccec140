"""``licences.py BOM`` prints each library of a CycloneDX bill of materials with its version and licence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def licences(component: dict[str, Any]) -> str:
    """The component's licences by their SPDX names, as far as it names any."""
    entries = component.get("licenses", [])
    named = (it.get("expression") or it["license"].get("id") or it["license"].get("name") for it in entries)
    return ", ".join(dict.fromkeys(name for name in named if name)) or "not named"


def main() -> None:
    """Prints a line for each library, in the order of their names."""
    bom = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for component in sorted(bom["components"], key=lambda it: str(it["name"]).lower()):
        sys.stdout.write(f"{component['name']} {component['version']}: {licences(component)}\n")


if __name__ == "__main__":
    main()
