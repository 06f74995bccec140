import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.exposition import render
from tests import scene
from tests.scene import result
from tests.summaries import SUMMARIES

NOW = 1e9
ACCEPTED = [f"aide_accept_timestamp_seconds {NOW - 300}"]
WHOLE = {
    "host": scene.HOST,
    "gpu": scene.GPU,
    "disk": scene.DISK,
    "tor": scene.TOR,
    "containers": scene.CONTAINERS,
    "services": scene.SERVICES,
    "aide": scene.AIDE,
    "llm": scene.LLM,
}
ACTIVE = ("active", "reloading", "refreshing")
HOTTEST = "2 cards, hottest 42 °C"


def line(kind: str, text: str, now: float = NOW) -> str:
    return SUMMARIES[kind](render(result(text).families), now)


@pytest.mark.parametrize(
    ("kind", "values", "summary"),
    [
        ("host", ["memory_total_bytes 4e9", "memory_available_bytes 3e9"], "memory 25% of 4.00 GB"),
        ("host", ["swap_total_bytes 1e9", "swap_free_bytes 1e9"], ""),
        ("host", ["swap_total_bytes 1e9", "swap_free_bytes 2e8"], "swap 80%"),
        ("host", ["load1 1.5", "cpus 1"], "load 1.50 on 1 CPU"),
        ("host", [f"boot_timestamp_seconds {NOW - 7200}"], "up 2 h"),
        ("gpu", ["gpus 0"], "no card"),
        ("gpu", ["gpus 1"], "1 card"),
        ("gpu", ["gpus 1", 'gpu_info{name="A"} 1', 'gpu_utilization_ratio{gpu="0"} 0.5'], "A, busy 50%"),
        ("gpu", ["gpus 2", *(f'gpu_temperature_celsius{{gpu="{n}"}} 4{n}' for n in (1, 2))], HOTTEST),
        ("gpu", ["gpus 2", *(f'gpu_info{{gpu="{n}",name="{n}"}} 1' for n in "AB")], "A and B"),
        ("gpu", ["gpus 1", 'gpu_ecc_errors_total{kind="corrected"} 9'], "1 card"),
        ("gpu", ["gpus 2", 'gpu_asleep{gpu="amd0"} 1', 'gpu_asleep{gpu="amd1"} 0'], "2 cards, 1 asleep"),
        ("gpu", ["gpus 1", 'gpu_throttle_active{reason="thermal"} 1'], "1 card, slowed down (thermal)"),
        (
            "gpu",
            ["gpus 1", 'gpu_ecc_errors_total{kind="uncorrected"} 1'],
            "1 card, 1 uncorrected memory error",
        ),
        ("disk", ['directory_size_bytes{path="/m"} 2e9'], "2.00 GB"),
        ("disk", ['directory_scan_errors{path="/m"} 2'], "2 parts unreadable"),
        (
            "disk",
            ['directory_scan_errors{path="/m"} 0', 'directory_entry_size_bytes{entry="a"} 1'],
            "1 model",
        ),
        ("disk", ['filesystem_avail_bytes{mountpoint="/"} 1'], ""),
        ("tor", ["tor_up 0", "tor_check_duration_seconds 0"], "down"),
        ("tor", ["tor_up 1", "tor_is_tor 0"], "up, not through Tor!"),
        ("tor", ["tor_up 1", 'tor_exit_info{address="192.0.2.1"} 1'], "up, exit 192.0.2.1"),
        ("tor", ["tor_is_tor 0"], ""),
        ("containers", ["container_engine_up 0"], "the engine is down"),
        ("containers", ["container_engine_up 1"], "no containers"),
        (
            "containers",
            ['container_state{state="running"} 1'],
            "1 of 1 container running, no Watchtower runs",
        ),
        ("services", ["systemd_failed_units 0"], "no unit failed"),
        (
            "services",
            [f'service_state{{name="{n}",state="{s}"}} {int(s == n)}' for n in ACTIVE for s in ACTIVE],
            "3 of 3 services active",
        ),
        ("aide", ["aide_check_success 0"], "the last check failed"),
        ("aide", ["aide_clean 1", "aide_accept_success 1", *ACCEPTED], "clean, accepted 5 min ago"),
        ("aide", ["aide_clean 1", "aide_accept_success 0", *ACCEPTED], "clean, an accept failed 5 min ago"),
        ("aide", [f"aide_last_check_timestamp_seconds {NOW + 60}"], "checked 0 ms ago"),
        ("llm", ["llm_up 0", 'llm_server_info{kind="ollama"} 1'], "down"),
        ("llm", ["llm_up 1", 'llm_model_state{model="a",state="loaded"} 0'], "no model loaded"),
        (
            "llm",
            ["llm_up 1", *(f'llm_model_memory_bytes{{location="{at}"}} 1e9' for at in ("gpu", "host"))],
            "2.00 GB in memory (50% on the CPU)",
        ),
        ("command", ['a{b="1"} 1', 'a{b="2"} 1', "c 1"], "3 series"),
    ],
)
def test_each_value_has_its_words(kind: str, values: list[str], summary: str) -> None:
    """The values that matter, singular and plural, what is amiss, and nothing of what isn't known."""
    assert line(kind, "".join(f"grid_{value}\n" for value in values)) == summary


@pytest.mark.parametrize(
    ("kind", "summary"),
    [
        ("host", ["memory 38% of 68.7 GB", "swap 12%", "load 1.73 on 16 CPUs", "up 12 days"]),
        ("gpu", ["2 NVIDIA GeForce RTX 4090", "busiest 87%", "memory 45% of 51.4 GB",
                            "hottest 86 °C", "464 W", "slowed down (hw_thermal_slowdown)"]),
        ("disk", ["412 GB", "2 models", "1.23 TB left on /ai"]),
        ("tor", ["up", "exit 198.51.100.4 (changed 11 min ago)", "a request took 1.3 s"]),
        ("containers", ["1 of 2 containers running", "1 unhealthy", "1 restarting",
                                          "1 updated by Watchtower"]),
        ("services", ["1 of 2 services active", "1 unit failed"]),
        ("llm", ["ollama 0.33.0", "2 models loaded", "25.0 GB in memory (20% on the CPU)",
                 "1 request running", "4 waiting"]),
        ("aide", ["1 removed", "3 changed", "checked 4 h ago", "an accept failed 60 min ago"]),
    ],
)  # fmt: skip
def test_a_whole_line(kind: str, summary: list[str]) -> None:
    """Everything that there is to say, in the order of its weight."""
    assert line(kind, WHOLE[kind], scene.NOW) == ", ".join(summary)


@pytest.mark.parametrize("kind", WHOLE)
def test_unknown_values_are_left_out(kind: str) -> None:
    """Each family may be missing, or be the only one: the others' words stay."""
    families = render(result(WHOLE[kind]).families)
    summary = set(SUMMARIES[kind](families, NOW).split(", "))
    for name in families:
        rest = {other: family for other, family in families.items() if other != name}
        for some in (rest, {name: families[name]}):
            assert len(set(SUMMARIES[kind](some, NOW).split(", ")) - summary - {""}) <= 1


def test_no_name_passes_for_a_label() -> None:
    """A container that is named as a label is written counts by its own state alone."""
    name = 'x",state="running'
    metric = Metric("grid_container_state", "Reported.", "gauge")
    for state, value in (("running", 0), ("exited", 1)):
        metric.add_sample("grid_container_state", {"container": name, "state": state}, value)
    assert SUMMARIES["containers"](render([metric]), NOW).startswith("0 of 1 container running")


@given(st.sampled_from(sorted(SUMMARIES)), st.lists(st.tuples(st.integers(0, 99), st.text(), st.floats())))
def test_no_values_break_it(kind: str, samples: list[tuple[int, str, float]]) -> None:
    """Whatever a family holds, any name in any label, there is a summary and nothing fails."""
    every = text_string_to_metric_families("".join(WHOLE.values()))
    families = {family.name: family for family in every}
    names = sorted(families)
    made: dict[str, Metric] = {}
    for which, text, value in samples:
        name = names[which % len(names)]
        labels = {label: text for sample in families[name].samples for label in sample.labels}
        made.setdefault(name, Metric(name, "Reported.", "gauge")).add_sample(name, labels, value)
    assert isinstance(SUMMARIES[kind](render(made.values()), NOW), str)
