"""LLM servers: what they serve, how quick they are, and what waits."""

from __future__ import annotations

from grafana.annotations import alerts, reboots
from grafana.charts import bars, lines
from grafana.dashboard import Page
from grafana.gpu.memory import will_it_fit
from grafana.sdk import Panel, over_time
from grafana.stat_panels import Value, state_stat, values_stat
from grafana.state_codes import one_code
from grafana.tables import Column, number, state, table, text
from grafana.value_mappings import CRITICAL, NEUTRAL, NO_VALUE, OFF, OK, WARNING
from prometheus.health import LLM
from prometheus.thresholds import LLM_SPILLED_RATIO

PAGE = "The LLM servers: their models, requests, tokens a second and waiting times."
NO_SERVER = "No LLM server in this range"
NO_COUNTS = "No server here reports this"
EACH = "by (instance, server, model)"
MODEL = "${who}{{server}} {{model}}"
READING_ERRORS = (
    ("refused", 21, "refused", CRITICAL),
    ("timeout", 22, "timeout", CRITICAL),
    ("auth", 11, "needs a key", WARNING),
    ("forbidden_host", 12, "forbids our host", WARNING),
    ("metrics_off", 10, "metrics are off", NEUTRAL),
    ("bad_answer", 13, "bad answer", WARNING),
    ("too_large", 14, "answer too large", WARNING),
    ("other_kind", 15, "another kind", WARNING),
)
SERVER_STATES = {1: ("ready", OK), 2: ("loading", NEUTRAL), 20: ("down", CRITICAL)}
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


def page() -> Page:
    """The page."""
    llm = Page("grid-llm", PAGE, since="6h", refresh="30s")
    llm.band(4, state_stat(LLM), stats(), widths=(6, 18))
    llm.band(5, servers_now(), versions())
    llm.band(6, models_now(), work_now())
    llm.band(7, sizes_now(), will_it_fit())
    llm.band(7, memory())
    llm.band(7, tokens(), prompts())
    llm.band(7, requests(), waiting_times())
    llm.heading("Caches, loads and reads", folded=True)
    llm.band(7, cache(), loads())
    llm.band(7, finished(), reads())
    llm.annotate(reboots(), alerts("llm"))
    return llm


def stats() -> Panel:
    """All servers in six values."""
    up = "sum(grid_llm_up{BOX})"
    generated = "sum(rate(grid_llm_generated_tokens_total{BOX}[$__rate_interval]))"
    running, waiting = (f'sum(grid_llm_requests{{BOX, state="{name}"}})' for name in ("running", "waiting"))
    return values_stat(
        "All LLM servers",
        "Servers that answer, models that are loaded, requests now, and tokens generated a second.",
        (
            Value("Servers up", up, "short"),
            Value("Down", "count(grid_llm_up{BOX}) - sum(grid_llm_up{BOX})", "short", steps=((1, CRITICAL),)),
            Value("Loaded", 'sum(grid_llm_model_state{BOX, state="loaded"})', "short"),
            Value("Running", running, "short"),
            Value("Waiting", waiting, "short", steps=((1, WARNING),)),
            Value("Tokens/s", generated, "none", decimals=1),
        ),
    )


def servers_now() -> Panel:
    """A row a server."""
    each = "by (instance, server)"
    up, ready = f"max {each} (grid_llm_up{{BOX}})", f"max {each} (grid_llm_ready{{BOX}})"
    code = f"({up} == 0) + 20 or 2 - {ready} or {up}"
    errors = one_code(
        each, {f'grid_llm_read_error{{BOX, reason="{name}"}}': code for name, code, _, _ in READING_ERRORS}
    )
    texts = {0: ("none", OFF)} | {
        code: (description, colour) for _, code, description, colour in READING_ERRORS
    }
    loaded = f'max {each} (grid_llm_models{{BOX, where="loaded"}})'
    return table(
        "Servers",
        "A row a server, worst first; the error is what kept the exporter from reading all of it.",
        text("Server", "server", least=84),
        state("State", code, SERVER_STATES, 84),
        Column(title="Error", promql=f"{errors} or {up} * 0", unit="short", width=110, texts=texts),
        number("Loaded", loaded, "short", 72, empty=NO_VALUE),
        worst_by="State",
        empty="No LLM server now",
    )


def versions() -> Panel:
    """A row a server: what it is."""
    each = "by (instance, server)"
    return table(
        "Kinds and versions",
        "A row a server: its kind and version, and how many models it has on disk.",
        text("Server", "server", least=91),
        text("Kind", "kind", least=91),
        text("Version", "version", least=91),
        number("On disk", f'max {each} (grid_llm_models{{BOX, where="disk"}})', "short", 76, empty=NO_VALUE),
        labels_from=f"max {each[:-1]}, kind, version) (grid_llm_server_info{{BOX}})",
        worst_by=(),
        empty="No LLM server now",
    )


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
        text("Model", "model", least=85),
        text("Server", "server", least=85),
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
    tokens = {"KV tokens": "grid_llm_kv_cache_capacity_tokens", "Context": "grid_llm_model_context_tokens"}
    disk = f"max {EACH} (grid_llm_model_disk_bytes{{BOX}})"
    return table(
        "Sizes of models",
        "A row a model: its size on disk, its context and the KV cache's capacity in tokens.",
        text("Model", "model", least=85),
        number("Disk", disk, "bytes", 80, decimals=1, empty=NO_VALUE),
        *(
            number(title, f"max {EACH} ({family}{{BOX}})", "short", 90, empty=NO_VALUE)
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


def tokens() -> Panel:
    """How quick the servers are."""
    generated = f"sum {EACH} (rate(grid_llm_generated_tokens_total{{BOX}}[$__rate_interval]))"
    busy = f"sum {EACH} (rate(grid_llm_generate_seconds_total{{BOX}}[$__rate_interval]))"
    return lines(
        "Generated tokens a second",
        "Tokens generated, a second of all time, and of the time in which a request was generated.",
        "none",
        over_time(generated, MODEL),
        over_time(f"{generated} / ({busy} > 0)", f"{MODEL} while busy"),
        empty=NO_COUNTS,
    )


def prompts() -> Panel:
    """How quickly prompts are read."""
    read = f"sum {EACH} (rate(grid_llm_prompt_tokens_total{{BOX}}[$__rate_interval]))"
    busy = f"sum {EACH} (rate(grid_llm_prompt_seconds_total{{BOX}}[$__rate_interval]))"
    return lines(
        "Prompt tokens a second",
        "Prompt tokens read, cached ones too, a second of all time, and of the time in which one was read.",
        "none",
        over_time(read, MODEL),
        over_time(f"{read} / ({busy} > 0)", f"{MODEL} while busy"),
        empty=NO_COUNTS,
    )


def requests() -> Panel:
    """What runs and waits."""
    return lines(
        "Requests",
        "Requests that run and that wait for their turn.",
        "short",
        over_time(f"max {EACH[:-1]}, state) (grid_llm_requests{{BOX}})", f"{MODEL} {{{{state}}}}"),
        empty=NO_COUNTS,
    )


def waiting_times() -> Panel:
    """How long people wait."""
    return lines(
        "Time per request",
        "Means of the requests that ended: in the queue, until the first token, in all.",
        "s",
        *(
            over_time(_mean(family), f"{MODEL} {name}")
            for family, name in (
                ("grid_llm_queue_seconds", "in the queue"),
                ("grid_llm_time_to_first_token_seconds", "to the first token"),
                ("grid_llm_request_seconds", "in all"),
            )
        ),
        empty=NO_COUNTS,
    )


def _mean(family: str) -> str:
    summed, count = (
        f"sum {EACH} (rate({family}_{part}{{BOX}}[$__rate_interval]))" for part in ("sum", "count")
    )
    return f"{summed} / ({count} > 0)"


def cache() -> Panel:
    """How full the caches are, and what they save."""
    cached, prompt = (
        f"sum {EACH} (rate(grid_llm_prompt_{part}tokens_total{{BOX}}[$__rate_interval]))"
        for part in ("cached_", "")
    )
    return lines(
        "KV cache",
        "How full the KV cache is, and the share of prompt tokens that came from a cache.",
        "percentunit",
        over_time(f"max {EACH} (grid_llm_kv_cache_usage_ratio{{BOX}})", f"{MODEL} used"),
        over_time(f"{cached} / ({prompt} > 0)", f"{MODEL} prompts cached"),
        high=1,
        dashed=(0.95,),
        empty=NO_COUNTS,
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


def finished() -> Panel:
    """How requests ended."""
    return lines(
        "Finished requests",
        "Requests that ended, a second, by outcome.",
        "reqps",
        over_time(
            f"sum {EACH[:-1]}, outcome) (rate(grid_llm_requests_finished_total{{BOX}}[$__rate_interval]))",
            f"{MODEL} {{{{outcome}}}}",
        ),
        empty=NO_COUNTS,
    )


def reads() -> Panel:
    """What reading the servers costs, and the size of their caches."""
    return lines(
        "Time of a read",
        "How long the exporter took to read each server.",
        "s",
        over_time("grid_llm_read_seconds{BOX}", "${who}{{server}}"),
        empty=NO_SERVER,
    )
