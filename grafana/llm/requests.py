"""Requests: how many there are, how quick they are, and what the caches save."""

from __future__ import annotations

from grafana.charts import lines
from grafana.llm.models import EACH, MODEL
from grafana.sdk import Panel, over_time

NO_COUNTS = "No server here reports this"


def tokens() -> Panel:
    """How quick the servers are."""
    return _pace(
        "Generated tokens a second",
        "Tokens generated, a second of all time, and of the time in which a request was generated.",
        "grid_llm_generated_tokens_total",
        "grid_llm_generate_seconds_total",
    )


def prompts() -> Panel:
    """How quickly prompts are read."""
    return _pace(
        "Prompt tokens a second",
        "Prompt tokens read, cached ones too, a second of all time, and of the time in which one was read.",
        "grid_llm_prompt_tokens_total",
        "grid_llm_prompt_seconds_total",
    )


def _pace(title: str, description: str, tokens: str, seconds: str) -> Panel:
    pace, busy = (f"sum {EACH} (rate({family}{{BOX}}[$__rate_interval]))" for family in (tokens, seconds))
    return lines(
        title,
        description,
        "none",
        over_time(pace, MODEL),
        over_time(f"{pace} / ({busy} > 0)", f"{MODEL} while busy"),
        empty=NO_COUNTS,
    )


def running() -> Panel:
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
