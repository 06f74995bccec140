"""A user's own command: the values of an uninterruptible power supply, in Prometheus's text format."""

from __future__ import annotations

from tests.box.waves import now, wave

PRINTED = """\
# HELP ups_battery_charge_ratio Charge of the battery, 0 to 1.
# TYPE ups_battery_charge_ratio gauge
ups_battery_charge_ratio {charge:.2f}
# HELP ups_load_watts Power drawn from the supply.
# TYPE ups_load_watts gauge
ups_load_watts {load:.0f}
"""


def answer(box: str, _: list[str]) -> tuple[int, str, str]:
    """The exit status, output and errors."""
    moment = now(box)
    return 0, PRINTED.format(charge=wave("charge", moment, 0.94, 1), load=wave("load", moment, 350, 900)), ""
