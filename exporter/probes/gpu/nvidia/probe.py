"""NVIDIA cards by nvidia-smi: two queries a run, however many cards there are."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from exporter.metrics.families import Samples
from exporter.probe import Host, Kind, Note, Probe, ProbeError, Result, Schedule
from exporter.probes.gpu.nvidia import cards, processes
from exporter.probes.gpu.nvidia.csv_table import missing_end, parse_fields
from exporter.probes.gpu.nvidia.diagnosis import CardList, Response, hint, list_cards, notes
from exporter.probes.gpu.summary import summarize
from exporter.system.cgroup import container_of
from exporter.system.subprocesses import Output, run
from exporter.system.threads import run_in_thread

FORMAT = "--format=csv,nounits"
REFUSAL = re.compile(r'Field "([^"]*)" is not a valid field to query')
LIMIT = 256 * 1024  # bytes of output; the longest, the help, has a fifth of it
RUN_IT = "run nvidia-smi by hand, as the user that the exporter runs as"
VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}


class Settings(Schedule, frozen=True):
    """When to collect; there is nothing else to set."""


@dataclass(slots=True)
class FieldCache:
    """The fields that the last good query asked for: the driver's name of each, and ours.

    listed: the list that they were learnt from. whole: whether it had an end, or came twice the same.
    """

    fields: dict[str, str] = field(default_factory=dict)
    listed: str = ""
    whole: bool = True


def build(settings: Settings, host: Host) -> list[Probe]:
    """The one probe of all cards."""
    return [Probe("gpu", settings, settings, partial(_collect, host, FieldCache()), summarize)]


async def discover(host: Host) -> Settings | Note:
    """NVIDIA cards are monitored where there is an nvidia-smi."""
    if shutil.which("nvidia-smi"):
        return Settings()
    vendors = _vendors(host)
    others = " and ".join(sorted(vendors - {"NVIDIA"}))
    if others and "NVIDIA" not in vendors:
        return Note(f"no nvidia-smi, but a card of {others}: only those of NVIDIA can be monitored")
    return Note(
        "no NVIDIA driver (nvidia-smi) here", "install the driver with its nvidia-smi where there is a card"
    )


def _vendors(host: Host) -> set[str]:
    """Whose cards the kernel shows."""
    vendors = set()
    for path in host.root.glob("sys/class/drm/card*/device/vendor"):
        with contextlib.suppress(OSError, ValueError):
            vendors.add(VENDORS.get(path.read_text().strip(), ""))
    return vendors - {""}


async def _collect(host: Host, cache: FieldCache) -> Result:
    """One run.

    Raises:
        ProbeError: the driver fails, or part of its output is invalid; its families hold the rest.
    """
    # Both are waited for, whatever becomes of the other: no process may outlive the run.
    listed, running = await asyncio.gather(
        _query_cards(cache),
        _smi(f"--query-compute-apps={','.join(processes.FIELDS)}", FORMAT),
        return_exceptions=True,
    )
    if isinstance(listed, BaseException):
        raise listed
    if isinstance(running, BaseException) and not isinstance(running, ProbeError):
        raise running
    output, fields = listed
    result = await run_in_thread(_result, host, output, fields, running)
    if cache.whole:
        cache.fields = fields
    return result


async def _smi(*options: str) -> Output:
    return await run("nvidia-smi", *options, limit=LIMIT)


async def _query_cards(cache: FieldCache) -> tuple[Output, dict[str, str]]:
    """Asks for all cards: the output, and the fields that it was asked for, ours by the driver's name.

    They are learnt once, and again after a response with an error: one field that the driver doesn't know
    fails the whole query, and by now it may be another driver. A field that it lists and refuses is left out.
    Where it lists none, what it printed instead is the output: a driver that fails reports that to any query.
    A list without an end may lack some, and is asked for again the next time: one that is the same then lost
    no more than its end, to a script around the tool.

    Raises:
        ProbeError: nvidia-smi could not be run, or its list of fields is cut off.
    """
    fields, cache.fields = cache.fields, {}
    refused: set[str] = set()
    while True:
        if not fields:
            listed = await _smi("--help-query-gpu")
            known = parse_fields(listed.text, cards.FIELDS)
            fields = {name: ours for name, ours in known.items() if name not in refused}
            if not fields:
                return listed, {}
            ends = listed.text.endswith("\n")
            if listed.code and not ends:
                raise _error("the list of its fields is cut off")
            cache.whole = ends or listed.text == cache.listed
            cache.listed = listed.text
        output = await _smi(f"--query-gpu={','.join(fields)}", FORMAT)
        refusal = REFUSAL.search(output.text)
        if refusal is None or refusal[1] not in fields:
            return output, fields
        refused.add(refusal[1])
        fields = {}


def _result(host: Host, output: Output, fields: Mapping[str, str], running: Output | ProbeError) -> Result:
    """Puts both responses together.

    Raises:
        ProbeError: as ``_collect``.
    """
    samples = Samples()
    end = missing_end(output.text)
    listed = list_cards(Response(output, fields, cards.NAME, end))
    samples.add(cards.GPUS, listed.count)
    cards.add_cards(samples, listed.cards)
    error, messages = "", list[str]()
    if listed.cards:
        error, messages = _add_processes(samples, host, listed, running, "" if listed.error else end)
    if listed.error or error:
        raise _error(listed.error or error, samples)
    return Result(samples.families(), notes([*listed.warnings, *messages]))


def _add_processes(
    samples: Samples, host: Host, listed: CardList, running: Output | ProbeError, end: str
) -> tuple[str, list[str]]:
    """Adds the cards' processes; returns the error where that is not possible, or not wholly, and messages.

    end: what is missing at the end of the tool's output.
    """
    if isinstance(running, ProbeError):
        return f"processes: {running.reason}", []
    response = Response(running, {name: name for name in processes.FIELDS}, processes.NAME, end)
    if response.table.columns and not response.table.truncated:
        rows = processes.parse_processes(response.table)
        missed = bool(response.error) or response.lost > listed.lost  # one was lost since
        container = partial(container_of, host=host)
        processes.add_processes(samples, rows, listed.cards, container, missed=missed)
    return response.error and f"processes: {response.error}", response.messages


def _error(reason: str, samples: Samples | None = None) -> ProbeError:
    return ProbeError(f"nvidia-smi: {reason}", hint(reason) or RUN_IT, samples.families() if samples else ())


KIND = Kind("gpu", Settings, build, discover)
