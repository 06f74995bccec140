"""A server of language models in one line, for the status page."""

from __future__ import annotations

from exporter.humanize import percent, pluralize, size
from exporter.metrics import query


def summarize(families: query.Families, _: float) -> str:
    """The families in one line, for the status page."""
    up = query.value(families, "grid_llm_up")
    if not up:
        return "down" if up == 0 else ""
    infos = query.samples(families, "grid_llm_server_info")
    kind = " ".join(filter(None, (infos[0].labels["kind"], infos[0].labels["version"]))) if infos else None
    loaded = sum(query.values(families, "grid_llm_model_state", state="loaded"))
    states = bool(query.lines(families, "grid_llm_model_state")) or bool(
        query.lines(families, "grid_llm_models", where="loaded")
    )
    running = query.total(families, "grid_llm_requests", state="running")
    waiting = query.total(families, "grid_llm_requests", state="waiting")
    return query.join(
        kind,
        "not ready" if query.value(families, "grid_llm_ready") == 0 else None,
        (pluralize(loaded, "model") + " loaded" if loaded else "no model loaded") if states else None,
        _memory(families),
        f"{pluralize(running, 'request')} running" if running else None,
        f"{waiting:.0f} waiting" if waiting else None,
    )


def _memory(families: query.Families) -> str | None:
    """The memory of all models, and which part of it is not on a GPU."""
    on_gpu = query.total(families, "grid_llm_model_memory_bytes", location="gpu")
    on_host = query.total(families, "grid_llm_model_memory_bytes", location="host")
    whole = on_gpu + on_host
    if not whole:
        return None
    return f"{size(whole)} in memory" + (f" ({percent(on_host, whole)} on the CPU)" if on_host else "")
