"""Models: where they are, what they do, and when they came and went."""

from __future__ import annotations

from grafana.charts import bars, lines
from grafana.sdk import Panel, over_time
from grafana.state_codes import one_code
from grafana.tables import Column, number, state, table, text
from grafana.value_mappings import CRITICAL, NEUTRAL, NO_VALUE, OFF, OK, WARNING
from prometheus.thresholds import LLM_SPILLED_RATIO

EACH = "by (instance, server, model)"
MODEL = "${who}{{server}} {{model}}"
MODEL_STATES = {"loaded": 1, "loading": 2, "sleeping": 3, "unloading": 4, "failed": 20}
MODEL_TEXTS = {
    1: ("loaded", OK),
    2: ("loading", NEUTRAL),
    3: ("sleeping", OFF),
    4: ("unloading", NEUTRAL),
    20: ("failed", CRITICAL),
}
MODEL_STATE = one_code(
    EACH, {f'grid_llm_model_state{{BOX, state="{name}"}}': code for name, code in MODEL_STATES.items()}
)
LISTED = f"max {EACH} (grid_llm_model_state{{BOX}} == 1)"


def models_now() -> Panel:
    """A row a model that a server lists: where it is."""
    gpu, host = (
        f'max {EACH} (grid_llm_model_memory_bytes{{BOX, location="{place}"}})' for place in ("gpu", "host")
    )
    on_cpu = f"{host} / ({gpu} + {host} > 0)"
    return table(
        "Models",
        "A row a model in memory, as its server reports it: where, and how much of it is on the CPU.",
        text("Model", "model", least=110),
        state("State", MODEL_STATE, MODEL_TEXTS, 85),
        number("GPU", gpu, "bytes", 75, decimals=1, empty=NO_VALUE),
        number("On CPU", on_cpu, "percentunit", 72, (LLM_SPILLED_RATIO, WARNING), decimals=0, empty=NO_VALUE),
        hidden=("server",),
        worst_by="State",
        empty="No model is loaded",
    )


def work_now() -> Panel:
    """A row a model: how quick it is, and when it goes."""
    expires = f"clamp_min(max {EACH} (grid_llm_model_expires_timestamp_seconds{{BOX}}) - time(), 0)"
    pinned = f"(max {EACH} (grid_llm_model_pinned{{BOX}}) == 1) * 0 - 1"
    rate = f"sum {EACH} (rate(grid_llm_generated_tokens_total{{BOX}}[$__rate_interval]))"
    return table(
        "What models do",
        "A row a model: its server, the tokens that it generates a second, when it is unloaded.",
        text("Model", "model", "server", least=170),
        number("Tokens/s", rate, "none", 100, decimals=1, empty=NO_VALUE),
        Column(
            title="Unloads",
            promql=f"{pinned} or {expires}",
            unit="s",
            decimals=0,
            width=75,
            texts={-1: ("pinned", OFF)},
            empty=NO_VALUE,
        ),
        labels_from=LISTED,
        worst_by="Tokens/s",
        empty="No model is loaded",
    )


def sizes_now() -> Panel:
    """A row a model: its size and context."""
    tokens = {"KV": "grid_llm_kv_cache_capacity_tokens", "Context": "grid_llm_model_context_tokens"}
    disk = f"max {EACH} (grid_llm_model_disk_bytes{{BOX}})"
    return table(
        "Sizes of models",
        "A row a model: its size on disk, and in tokens the capacity of its KV cache and its context.",
        text("Model", "model", least=85),
        number("Disk", disk, "bytes", 80, decimals=1, empty=NO_VALUE),
        *(
            number(title, f"max {EACH} ({family}{{BOX}})", "short", 78, empty=NO_VALUE)
            for title, family in tokens.items()
        ),
        hidden=("server",),
        labels_from=LISTED,
        worst_by="Disk",
        empty="No model is loaded",
    )


def memory() -> Panel:
    """Where the models are, as their servers report it, and as it is measured on the cards."""
    reported = f"sum {EACH[:-1]}, location) (grid_llm_model_memory_bytes{{BOX}})"
    measured = 'sum by (instance, model) (grid_gpu_process_memory_bytes{BOX, model!=""})'
    return lines(
        "Memory of the models",
        "Memory of each model on GPUs and on the host as its server reports it, and as measured on the GPUs.",
        "bytes",
        over_time(reported, f"{MODEL} {{{{location}}}}"),
        over_time(measured, "${who}{{model}} measured"),
        empty="No server reports it, and no process names its model",
    )


def loads() -> Panel:
    """Models that came and went."""
    return bars(
        "Loads and unloads",
        "Models that were loaded into memory, and unloaded: expired, early, or with their server.",
        "short",
        over_time(
            f"sum {EACH} (increase(grid_llm_model_loads_total{{BOX}}[$__rate_interval])) > 0",
            f"{MODEL} loaded",
        ),
        over_time(
            f"sum {EACH[:-1]}, reason) (increase(grid_llm_model_unloads_total{{BOX}}[$__rate_interval])) > 0",
            f"{MODEL} {{{{reason}}}}",
        ),
        empty="No model was loaded or unloaded in this range",
    )
