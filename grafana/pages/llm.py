"""LLM servers: what they serve, how quick they are, and what waits."""

from __future__ import annotations

from grafana.annotations import alerts, reboots
from grafana.dashboard import Page
from grafana.gpu.memory import will_it_fit
from grafana.llm import models, requests, servers
from grafana.sdk import Panel
from grafana.stat_panels import Value, state_stat, values_stat
from grafana.value_mappings import CRITICAL, WARNING
from prometheus.health import LLM

PAGE = "The LLM servers: their models, requests, tokens a second and waiting times."


def page() -> Page:
    """The page."""
    llm = Page("grid-llm", PAGE, since="6h", refresh="30s")
    llm.band(4, state_stat(LLM), stats(), widths=(6, 18))
    llm.band(5, servers.servers_now(), servers.versions())
    llm.band(6, models.models_now(), models.work_now())
    llm.band(7, models.sizes_now(), will_it_fit())
    llm.band(7, models.memory())
    llm.band(7, requests.tokens(), requests.prompts())
    llm.band(7, requests.running(), requests.waiting_times())
    llm.heading("Caches, loads and reads", folded=True)
    llm.band(7, requests.cache(), models.loads())
    llm.band(7, requests.finished(), servers.reads())
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
