"""LLM servers: which answer, what they are, and what reading them costs."""

from __future__ import annotations

from grafana.charts import lines
from grafana.sdk import Panel, over_time
from grafana.state_codes import one_code
from grafana.tables import Column, number, state, table, text
from grafana.value_mappings import CRITICAL, NEUTRAL, NO_VALUE, OFF, OK, WARNING

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


def reads() -> Panel:
    """What reading the servers costs, and the size of their caches."""
    return lines(
        "Time of a read",
        "How long the exporter took to read each server.",
        "s",
        over_time("grid_llm_read_seconds{BOX}", "${who}{{server}}"),
        empty="No LLM server in this range",
    )
