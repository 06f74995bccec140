"""The fake curl, which asks the check page through Tor: BOX/tor holds how Tor is, and which exits it has."""

from __future__ import annotations

from tests.box.quick import read
from tests.box.waves import now, wave

STAY = 480  # seconds that an exit is used


def answer(box: str, arguments: list[str]) -> tuple[int, str, str]:
    """The exit status, output and errors."""
    state, *addresses = read(f"{box}/tor").split()
    moment = now(box)
    seconds = wave("tor", moment, 0.4, 2.6, STAY)
    address = addresses[int(moment // STAY) % len(addresses)]
    if state == "down":
        proxy = arguments[arguments.index("--proxy") + 1].rpartition("/")[2]
        host, _, port = proxy.rpartition(":")
        return 7, "\n000 0.000214", f"curl: (7) Failed to connect to {host} port {port}: Connection refused\n"
    if state == "broken":
        return 0, f"Too many requests\n429 {seconds:.6f}", ""
    is_tor = "true" if state == "up" else "false"
    return 0, f'{{"IsTor":{is_tor},"IP":"{address}"}}\n200 {seconds:.6f}', ""
