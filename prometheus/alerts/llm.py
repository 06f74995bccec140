"""Alerts about the servers of language models and what they have loaded."""

from __future__ import annotations

from prometheus import thresholds as t
from prometheus.alert import Alert
from prometheus.expressions import amount, latest, over, series

LOADING = "grid_llm_model_state", 'state="loading"'
SERVER = "on (job, instance, server)"
MODEL = "on (job, instance, server, model)"
# Of a server that answers, only what it lists now; of one that isn't seen, what it listed last.
ANSWERS = f"{series('grid_llm_up')} == 1"
# Where something else answers, or it answers nonsense, its probe fails, which is another alert.
SILENT = latest("grid_llm_read_error", 'reason=~"refused|timeout"')
WAITING = "grid_llm_requests", 'state="waiting"'
ON_HOST = "grid_llm_model_memory_bytes", 'location="host"'
UNLOADED = over(6 * 3600, "grid_llm_model_unloads_total", 'reason="early"')
PINNED = over(86400, "grid_llm_model_pinned")
RESIDENT = "grid_llm_model_state", 'state=~"loaded|loading|sleeping"'
# It unloads one model to load another, by design, also those without a time to expire.
SWAPS = latest("grid_llm_server_info", 'kind="llama-swap"')


def alerts() -> list[Alert]:
    """The servers first, then their queues, then the models in their memory."""
    return [_down(), _loading(), _queue(), _spilled(), _pinned()]


def _listed(name: str, *matchers: str) -> str:
    return f"{series(name, *matchers)}\n  or {latest(name, *matchers)} unless {SERVER} {ANSWERS}"


def _down() -> Alert:
    return Alert(
        name="GridLlmServerDown",
        severity="critical",
        # vLLM listens only once its model is loaded, which may take after each restart as long as
        # GridLlmLoadingLong waits. A container or service that has ended is known sooner, by itself.
        expr=f"{latest('grid_llm_up')} == 0\nand {SERVER} {SILENT} == 1",
        wait=1800,
        summary="{{ $labels.instance }}: the LLM server {{ $labels.server }} is down",
        description="Nothing answers where the LLM server {{ $labels.server }} of {{ $labels.instance }} "
        "listened, or is to listen.",
    )


def _loading() -> Alert:
    return Alert(
        name="GridLlmLoadingLong",
        severity="warning",
        # One that crashes while it loads and starts anew is never ready either.
        expr=f"{latest('grid_llm_ready')} == 0\nor (\n  {_listed(*LOADING)}\n) == 1",
        wait=1800,
        summary="{{ $labels.instance }}: {{ $labels.server }} does not finish loading"
        "{{ with $labels.model }} {{ . }}{{ end }}",
        description="The LLM server {{ $labels.server }} of {{ $labels.instance }} has been loading"
        "{{ with $labels.model }} {{ . }}{{ end }} for half an hour, or crashes meanwhile and starts anew.",
    )


def _queue() -> Alert:
    newer, older = (f"avg_over_time({over(600, *WAITING)}{offset})" for offset in ("", " offset 10m"))
    return Alert(
        name="GridLlmQueueGrows",
        severity="warning",
        # A batch that was sent at once waits for long, too, but its queue gets shorter.
        expr=f"{newer}\n- {older}\n> {t.LLM_QUEUE_GROWTH}\nand min_over_time({over(1200, *WAITING)}) > 0",
        wait=300,
        keep=600,
        value=f"{newer}\n- {older}",
        summary="{{ $labels.instance }}: the queue of {{ $labels.model }} grows",
        description="Requests to {{ $labels.model }} on {{ $labels.server }} of {{ $labels.instance }} come "
        "faster than they are answered: within ten minutes {{ $value | humanize }} more wait for their turn.",
    )


def _spilled() -> Alert:
    host = _listed(*ON_HOST)
    whole = f"sum by (job, instance, server, model) (\n  {_listed('grid_llm_model_memory_bytes')}\n)"
    return Alert(
        name="GridLlmModelSpilled",
        severity="info",
        # Where there is no card, the CPU is where models are to be.
        expr=f"sum by (job, instance, server, model) (\n  {host}\n)\n/ {whole}\n"
        f"> {t.LLM_SPILLED_RATIO}\nand on (job, instance) {latest('grid_gpus')} > 0",
        wait=1800,
        summary="{{ $labels.instance }}: {{ $labels.model }} is partly on the CPU",
        description="{{ $value | humanizePercentage }} of the "
        f"{amount('grid_llm_model_memory_bytes', 'server', 'model')} of "
        "{{ $labels.model }} on {{ $labels.server }} of {{ $labels.instance }} are not on a GPU. It answers "
        "several times more slowly.",
    )


def _pinned() -> Alert:
    return Alert(
        name="GridLlmPinnedModelGone",
        severity="warning",
        # A server that was restarted unloads all, and that is no surprise: its reason is another.
        expr=f"increase({UNLOADED}) > 0\nand {MODEL} last_over_time({PINNED}) == 1\n"
        f"and {SERVER} {latest('grid_llm_up')} == 1\n"
        f"unless {MODEL} (\n  {_listed(*RESIDENT)}\n) == 1\nunless {SERVER} {SWAPS}",
        wait=600,
        summary="{{ $labels.instance }}: the pinned model {{ $labels.model }} is gone",
        description="{{ $labels.model }} on {{ $labels.server }} of {{ $labels.instance }} was to stay in "
        "memory for ever, and was unloaded while the server ran. The next request has to load it again.",
    )
