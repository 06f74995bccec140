"""Alerts about the way out through Tor."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import latest, over

IS_TOR = "grid_tor_is_tor"


def alerts() -> list[Alert]:
    """Tor that carries nothing, and traffic that leaves elsewhere."""
    return [
        Alert(
            name="GridTorDown",
            severity="critical",
            expr=f"{latest('grid_tor_up')} == 0",
            wait=600,
            keep=1800,
            value=latest("grid_tor_up"),
            summary="{{ $labels.instance }}: nothing gets out through Tor",
            description="Requests of {{ $labels.instance }} through Tor's SOCKS port are not answered.",
        ),
        Alert(
            name="GridTorBypassed",
            severity="critical",
            expr=f"{latest(IS_TOR)} == 0\nand (\n  {_never_tor(t.TOR_BYPASSED_SECONDS)}\n"
            f"  or {_never_tor(t.TOR_SAME_EXIT_SECONDS)}\n"
            f"  and on (job, instance) {_addresses(t.TOR_SAME_EXIT_SECONDS)} == 1\n)",
            wait=300,
            summary="{{ $labels.instance }}: requests do not leave through Tor",
            description="The check page does not see the requests of {{ $labels.instance }} come from a "
            "Tor exit: they leave under another address, perhaps its own.",
        ),
    ]


def _never_tor(seconds: int) -> str:
    """Where no check of so many seconds saw a Tor exit, and checks are known for as long.

    The check page does not know every exit: one is not enough.
    """
    known = f"last_over_time({over(600, IS_TOR)} offset {seconds - 600}s)"
    return f"max_over_time({over(seconds, IS_TOR)}) == 0\n  and {known}"


def _addresses(seconds: int) -> str:
    """How many addresses requests left under within so many seconds."""
    return f"count by (job, instance) (count_over_time({over(seconds, 'grid_tor_exit_info')}))"
