"""Alerts about the integrity of the box's files."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import clock, latest, over, series, span

BOX = "on (job, instance)"
LAST_CHECK = "grid_aide_last_check_timestamp_seconds"
WATCHED = 'probe="aide"'
DATABASE = "grid_aide_database_timestamp_seconds"
ACCEPTED = "grid_aide_accept_timestamp_seconds"
# The database is looked at by checks alone, once a day, and not known after one that failed: hence two days.
DAYS = "2d"
PACKAGES = latest("grid_aide_packages_timestamp_seconds")
DIFFERS = f"{latest('grid_aide_clean')} == 0"
COUNTS = (
    "{{ range query (printf `grid_aide_entries{job=%q, instance=%q} > 0` $labels.job $labels.instance) }}"
    "{{ .Value }} {{ .Labels.change }}, {{ end }}"
)


def alerts() -> list[Alert]:
    """What a check found, checks that failed or are overdue, and a database that nobody accepted."""
    return [*_outcome(), _overdue(), _database()]


def _outcome() -> list[Alert]:
    # Who has upgrades install themselves each night, and accepts each morning, need not be warned each time.
    # Looked at every hour: all samples of a week would be too many.
    week = f"{series('grid_aide_clean')}[{span(t.AIDE_AGAIN_SECONDS)}:1h]"
    unaccepted = f"max_over_time({over(t.AIDE_UNACCEPTED_SECONDS, 'grid_aide_clean')}) == 0"
    # More changes than changes to 0: others ended before these.
    again = f"(\n  changes({week}) > resets({week})\n  unless {unaccepted}\n)"
    return [
        Alert(
            name="GridAideFindings",
            severity="warning",
            expr=f"{DIFFERS}\nunless {again}",
            summary="{{ $labels.instance }}: files are not as they were",
            description=f"The last AIDE check of {{{{ $labels.instance }}}} found differences: {COUNTS}not "
            "accepted yet. Packages changed since its database was made, or nobody knows when.",
        ),
        Alert(
            name="GridAideFindingsAgain",
            severity="info",
            expr=f"{DIFFERS}\nand {again}",
            summary="{{ $labels.instance }}: files are not as they were, again",
            description=f"The last AIDE check of {{{{ $labels.instance }}}} found differences: {COUNTS}not "
            "accepted yet, after others within the last week. It becomes a warning in a day.",
        ),
        Alert(
            name="GridAideUnexplained",
            severity="critical",
            expr=f"{DIFFERS}\nand {BOX} {PACKAGES} < {latest(DATABASE)}",
            summary="{{ $labels.instance }}: files changed, and no package did",
            description=f"The last AIDE check of {{{{ $labels.instance }}}} found differences: {COUNTS}not "
            "accepted yet. No package changed since its database was made.",
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
        expr=f"{clock()}\n- {BOX} {latest(LAST_CHECK)}\n> {t.AIDE_OVERDUE_SECONDS}\n"
        f"or\nmax by (job, instance) (\n  {never}\n) * {t.AIDE_OVERDUE_SECONDS}",
        wait=4 * 3600,  # a box that was off for days checks soon after it is on
        summary="{{ $labels.instance }}: no AIDE check for too long",
        description="For {{ $value | humanizeDuration }} no AIDE check of {{ $labels.instance }} has "
        "ended: whether its files are as they were is not known.",
    )


def _database() -> Alert:
    """More new databases than accepts: two days long, also where Prometheus restarts meanwhile."""
    replaced = f"changes({series(DATABASE)}[{DAYS}])"
    accepted = f"{series(ACCEPTED)} and {BOX} {series('grid_aide_accept_success')} == 1"
    accepts = f"changes(({accepted})[{DAYS}:5m])"
    # Of the first accept no change is seen: it appears.
    new = f"({accepted}) > {BOX} ({clock()} - {2 * 86400})"
    first = f"count by (job, instance) ({new} unless {series(ACCEPTED)} offset {DAYS})"
    return Alert(
        name="GridAideDatabaseChanged",
        severity="critical",
        expr=f"{replaced}\n- {BOX} ({accepts} or {replaced} * 0)\n- {BOX} ({first} or {BOX} {replaced} * 0)\n"
        "> 0",
        wait=600,  # the database and its accept may be seen one after the other
        summary="{{ $labels.instance }}: the AIDE database was replaced",
        description="The AIDE database of {{ $labels.instance }} was replaced though nobody accepted a "
        "check through grid-exporter. Whoever did it decides what counts as unchanged.",
    )
