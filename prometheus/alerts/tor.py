"""Alerts about the way out through Tor."""

from __future__ import annotations

from prometheus.alert import Alert
from prometheus.expressions import latest


def alerts() -> list[Alert]:
    """Tor that carries nothing, and traffic that leaves elsewhere."""
    return [
        Alert(
            name="GridTorDown",
            severity="critical",
            expr=f"{latest('grid_tor_up')} == 0",
            wait=600,
            summary="{{ $labels.instance }}: nothing gets out through Tor",
            description="Requests of {{ $labels.instance }} through Tor's SOCKS port are not answered.",
        ),
        Alert(
            name="GridTorBypassed",
            severity="critical",
            # An exit that the check page does not know yet is used for 10 minutes: wait for the next.
            expr=f"{latest('grid_tor_is_tor')} == 0",
            wait=900,
            summary="{{ $labels.instance }}: requests do not leave through Tor",
            description="The check page does not see the requests of {{ $labels.instance }} come from a "
            "Tor exit: they leave under another address, perhaps its own.",
        ),
    ]
