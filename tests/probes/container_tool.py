"""A docker that prints what a test sets."""

import json
from pathlib import Path

FIRST, SECOND = "ab" * 32, "cd" * 32


class Tool:
    """A docker that prints what a test sets, and logs its calls."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.argv = (str(directory / "docker"), "--host=somewhere")
        script = directory / "docker"
        script.write_text(
            f"#!/bin/sh\ncd '{directory}'\n"
            'echo "$*" >>calls\ncat "$2.out"; cat "$2.err" >&2; exit "$(cat "$2.code")"\n'
        )
        script.chmod(0o755)
        self.prints("ps", f"{FIRST}\n{SECOND}\n")
        self.prints("inspect", inspected(FIRST, SECOND))

    def prints(self, subcommand: str, out: str | bytes = "", err: str = "", code: int = 0) -> None:
        """Sets what a subcommand prints, and its exit status."""
        (self.directory / f"{subcommand}.out").write_bytes(out if isinstance(out, bytes) else out.encode())
        (self.directory / f"{subcommand}.err").write_text(err)
        (self.directory / f"{subcommand}.code").write_text(str(code))

    def calls(self) -> list[str]:
        """The arguments of each run."""
        return (self.directory / "calls").read_text().splitlines()


def inspected(*ids: str) -> str:
    """What inspect prints of containers of which little is known."""
    return json.dumps([{"Id": it, "Name": f"/{it[:2]}", "State": {"Status": "running"}} for it in ids])
