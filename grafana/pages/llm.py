"""LLM servers: what they serve, how quick they are, and what waits."""

from __future__ import annotations

from grafana.annotations import alerts, reboots
from grafana.dashboard import Page
from grafana.gpu.memory import will_it_fit
from grafana.llm import models, requests, servers
from grafana.sdk import Panel
from grafana.stat_panels import Value, absent, state_stat, values_stat
from grafana.value_mappings import CRITICAL, WARNING
from prometheus.health import LLM

PAGE = "The LLM servers: their models, requests, tokens a second and waiting times."


def page() -> Page:
    """The page."""
    llm = Page("grid-llm", PAGE, since="6h", refresh="30s")
    llm.band(4, state_stat(LLM), stats(), widths=(6, 18))
    llm.band(6, servers.servers_now(), models.models_now())
    llm.band(7, requests.tokens(), requests.waiting_times())
    llm.heading("What models do, what fits", folded=True)
    llm.band(6, models.work_now(), models.sizes_now())
    llm.band(7, models.memory(), will_it_fit())
    llm.heading("Prompts, requests and caches", folded=True)
    llm.band(7, requests.prompts(), requests.running())
    llm.band(7, requests.cache(), requests.finished())
    llm.heading("Versions, loads and reads", folded=True)
    llm.band(7, servers.versions(), models.loads(), servers.reads(), widths=(12, 6, 6))
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
            absent(LLM),
        ),
    )
