"""A real Prometheus scrapes real exporters for a minute and logs no warning."""

from __future__ import annotations

import subprocess
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.real.stack.observatory import Observatory

pytestmark = [
    pytest.mark.real("prometheus", "prometheus-alertmanager", "promtool", "mount", "umount"),
    pytest.mark.timeout(300),
]
MINUTE = 60
JOBS = ("steady", "machine")


@pytest.mark.parametrize("job", JOBS)
def test_every_scrape_of_a_minute_succeeds(seen: Observatory, job: str) -> None:
    """A fake box with everything, and this machine: each scrape and probe succeeds, no sample is refused."""
    assert seen.wait_for(f'count_over_time(up{{job="{job}"}}[{MINUTE}s]) >= {MINUTE // 5 - 1}')
    assert seen.query(f'min_over_time(up{{job="{job}"}}[{MINUTE}s]) < 1') == []
    probes = f'grid_probe_success{{job="{job}"}}'
    assert seen.query(f"min_over_time({probes}[{MINUTE}s]) < 1") == []
    assert len(seen.query(probes)) >= (9 if job == "steady" else 2)
    refused = f'scrape_samples_scraped{{job="{job}"}} - scrape_samples_post_metric_relabeling{{job="{job}"}}'
    assert {series["value"][1] for series in seen.query(refused)} == {"0"}


def test_prometheus_logs_no_warning(seen: Observatory) -> None:
    """Nothing in its log is a warning: no duplicate sample, none out of order, no rule that fails."""
    lines = seen.prometheus.log.read_text("utf-8").splitlines()
    assert any("Server is ready" in line for line in lines)
    assert [line for line in lines if "level=info" not in line.lower()] == []


def test_no_rule_fails(seen: Observatory) -> None:
    """Every rule is evaluated, in time and without an error."""
    assert seen.query("prometheus_rule_group_iterations_missed_total > 5") == []
    failures = seen.query("prometheus_rule_evaluation_failures_total")
    assert failures
    assert {series["value"][1] for series in failures} == {"0"}


@pytest.mark.parametrize("job", JOBS)
def test_exposition_is_clean(seen: Observatory, job: str) -> None:
    """Promtool finds nothing to criticise, and no series comes twice, which promtool does not notice."""
    (target,) = seen.query(f'up{{job="{job}"}}')
    with urllib.request.urlopen(f"http://{target['metric']['instance']}/metrics") as response:
        text = response.read()
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")
    samples = [
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    ]
    assert len(samples) == len(set(samples)) > 40
