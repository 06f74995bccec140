"""Alerts about the integrity of the box's files."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.promql import latest, over

BOX = "on (job, instance)"
CHECKED = latest("grid_aide_last_check_timestamp_seconds")
LOOKS = latest("grid_probe_success", 'probe="aide"')
LOOKED = over(86400, "grid_probe_success", 'probe="aide"')
DATABASE = latest("grid_aide_database_timestamp_seconds")
# A day back, so that a change while the box was silent counts as well. An accept counts for longer than the
# database differs from an hour before: the probe sees it first.
DATABASE_BEFORE = f"last_over_time({over(86400, 'grid_aide_database_timestamp_seconds')} offset 1h)"
ACCEPTED = (
    f"{latest('grid_aide_accept_timestamp_seconds')} > time() - 5400\n"
    f"  and {latest('grid_aide_accept_success')} == 1"
)


def alerts() -> list[Alert]:
    """What a check found, checks that say nothing, and a database that nobody accepted."""
    return [*_outcome(), *_missing(), _database()]


def _outcome() -> list[Alert]:
    return [
        Alert(
            name="GridAideFindings",
            severity="critical",
            expr=f"{latest('grid_aide_clean')} == 0",
            summary="{{ $labels.instance }}: files are not as they were",
            description="The last AIDE check of {{ $labels.instance }} found files added, removed or "
            "changed that nobody has accepted.",
        ),
        Alert(
            name="GridAideCheckFailed",
            severity="critical",
            expr=f"{latest('grid_aide_check_success')} == 0",
            summary="{{ $labels.instance }}: the AIDE check failed",
            description="The last AIDE check of {{ $labels.instance }} could not be done: whether its "
            "files are as they were is not known.",
        ),
    ]


def _missing() -> list[Alert]:
    return [
        Alert(
            name="GridAideCheckOverdue",
            severity="warning",
            expr=f"time() - {CHECKED} > {t.AIDE_OVERDUE_SECONDS}",
            wait=600,
            summary="{{ $labels.instance }}: no AIDE check for too long",
            description="The last AIDE check of {{ $labels.instance }} was {{ $value | humanizeDuration }} "
            "ago.",
        ),
        Alert(
            name="GridAideNeverChecked",
            severity="warning",
            # A day's grace for the first check, by the calendar: a box that is off at night comes to it too.
            expr=f"{LOOKS} == 1\nand max_over_time({LOOKED} offset 1d) == 1\nunless {BOX} {CHECKED}",
            wait=3600,
            summary="{{ $labels.instance }}: AIDE has never checked",
            description="AIDE has been set up on {{ $labels.instance }} for a day or more, but never "
            "checked a file.",
        ),
    ]


def _database() -> Alert:
    return Alert(
        name="GridAideDatabaseChanged",
        severity="critical",
        expr=f"{DATABASE}\n!= {DATABASE_BEFORE}\nunless {BOX} (\n  {ACCEPTED}\n)",
        keep=86400,
        summary="{{ $labels.instance }}: the AIDE database was replaced",
        description="The AIDE database of {{ $labels.instance }} was replaced though nobody accepted a "
        "check through grid-exporter. Whoever did it decides what counts as unchanged.",
    )
