"""Alerts about the integrity of the box's files."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import latest, over, span

BOX = "on (job, instance)"
LAST_CHECK = "grid_aide_last_check_timestamp_seconds"
WATCHED = 'probe="aide"'
DATABASE = "grid_aide_database_timestamp_seconds"
# It is looked at by checks alone, once a day, and not known after one that failed: hence two days back.
DATABASE_BEFORE = f"last_over_time({over(2 * 86400, DATABASE)} offset 1h)"
# Longer than the database differs from an hour before, since the two are not seen at the same moment.
ACCEPTED = (
    f"{latest('grid_aide_accept_timestamp_seconds')} > time() - 5400\n"
    f"  and {latest('grid_aide_accept_success')} == 1"
)


def alerts() -> list[Alert]:
    """What a check found, checks that failed or are overdue, and a database that nobody accepted."""
    return [*_outcome(), _overdue(), _database()]


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


def _overdue() -> Alert:
    """The last check was long ago, or AIDE has been watched for as long and no check was ever seen."""
    long = span(t.AIDE_OVERDUE_SECONDS)
    watched = f"{latest('grid_probe_enabled', WATCHED)} == 1"
    before = f"max_over_time({over(86400, 'grid_probe_enabled', WATCHED)} offset {long}) == 1"
    checked = f"max_over_time({over(t.AIDE_OVERDUE_SECONDS, LAST_CHECK)})"
    never = f"{watched}\n  and {before}\n  unless {BOX} {checked}"
    return Alert(
        name="GridAideCheckOverdue",
        severity="warning",
        expr=f"time() - {latest(LAST_CHECK)} > {t.AIDE_OVERDUE_SECONDS}\n"
        f"or\nmax by (job, instance) (\n  {never}\n) * {t.AIDE_OVERDUE_SECONDS}",
        wait=600,
        summary="{{ $labels.instance }}: no AIDE check for too long",
        description="For {{ $value | humanizeDuration }} no AIDE check of {{ $labels.instance }} has "
        "ended: whether its files are as they were is not known.",
    )


def _database() -> Alert:
    return Alert(
        name="GridAideDatabaseChanged",
        severity="critical",
        expr=f"{latest(DATABASE)}\n!= {DATABASE_BEFORE}\nunless {BOX} (\n  {ACCEPTED}\n)",
        wait=300,  # the database and the word of its accept may be seen one after the other
        keep=86400,
        summary="{{ $labels.instance }}: the AIDE database was replaced",
        description="The AIDE database of {{ $labels.instance }} was replaced though nobody accepted a "
        "check through grid-exporter. Whoever did it decides what counts as unchanged.",
    )
