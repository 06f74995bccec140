"""Files for the fake tools, which start often: importing pathlib takes as long as the interpreter's start."""
# ruff: noqa: PTH123

from __future__ import annotations

import posix


def read(path: str) -> str:
    """A file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def names(folder: str) -> list[str]:
    """The files in a folder, in order; a hidden one is just being written."""
    return sorted(name for name in posix.listdir(folder) if name[0] != ".")


def note(path: str, line: str) -> None:
    """Adds a line to a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def replace(path: str, text: str) -> None:
    """Replaces a file whole: the exporter may be reading it."""
    new = f"{path}.{posix.getpid()}"
    with open(new, "w", encoding="utf-8") as file:
        file.write(text)
    posix.rename(new, path)
