"""The fake docker: ``ps`` and ``inspect`` of the containers in BOX/docker (containers.py puts them there).

As it is asked it also renews the kernel's values of what the containers use, so that they move too.
"""

from __future__ import annotations

from tests.box.quick import names, read, replace
from tests.box.waves import now, total, wave

GONE = "Error response from daemon: No such container: {}\n"


def answer(box: str, arguments: list[str]) -> tuple[int, str, str]:
    """The exit status, output and errors."""
    ids = names(f"{box}/docker/containers")
    if arguments[:1] == ["ps"]:
        _renew(box)
        return 0, "".join(f"{identity}\n" for identity in ids), ""
    asked = arguments[3:]  # inspect --type container ID...
    known = set(ids)
    texts = [read(f"{box}/docker/containers/{identity}") for identity in asked if identity in known]
    missing = "".join(GONE.format(identity) for identity in asked if identity not in known)
    return (1 if missing else 0), f"[\n{','.join(texts)}\n]\n", missing


def _renew(box: str) -> None:
    """Writes what each container with a living cgroup uses now."""
    moment = now(box)
    for identity in names(f"{box}/docker/living"):
        cores, memory, since, group = read(f"{box}/docker/living/{identity}").split()
        usage = total(identity, float(since), moment, float(cores))
        use(group, usage, wave(identity, moment, 0.7 * float(memory), float(memory)))


def use(group: str, seconds: float, memory: float) -> None:
    """Writes a cgroup's values: processor time, and bytes of memory."""
    replace(f"{group}/cpu.stat", f"usage_usec {seconds * 1e6:.0f}\n")
    replace(f"{group}/memory.current", f"{memory:.0f}\n")
    replace(f"{group}/memory.stat", f"anon {0.8 * memory:.0f}\ninactive_file {0.1 * memory:.0f}\n")
