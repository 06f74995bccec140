"""NVIDIA cards, as nvidia-smi tells of them: two queries a run, however many cards there are."""

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
from exporter.probes.gpu.nvidia.diagnosis import Answer, Found, find, hint, notes
from exporter.probes.gpu.summary import summarize
from exporter.system.cgroup import container_of
from exporter.system.subprocesses import Output, run
from exporter.system.threads import run_in_thread

FORMAT = "--format=csv,nounits"
REFUSAL = re.compile(r'Field "([^"]*)" is not a valid field to query')
LIMIT = 256 * 1024  # of bytes in an answer; the longest, the help, has a fifth of it
RUN_IT = "run nvidia-smi by hand, as the user that the exporter runs as"
VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}


class Settings(Schedule, frozen=True):
    """When to look; there is nothing else to set."""


@dataclass(slots=True)
class Memory:
    """The fields that the last good query asked for: the driver's name of each, and ours.

    listed: the list that they were learnt from. whole: whether it had an end, or came twice the same.
    """

    fields: dict[str, str] = field(default_factory=dict)
    listed: str = ""
    whole: bool = True


def build(settings: Settings, host: Host) -> list[Probe]:
    """The one probe of all cards."""
    return [Probe("gpu", settings, settings, partial(_look, host, Memory()), summarize)]


async def discover(host: Host) -> Settings | Note:
    """Cards are looked at where there is an nvidia-smi."""
    if shutil.which("nvidia-smi"):
        return Settings()
    vendors = _vendors(host)
    others = " and ".join(sorted(vendors - {"NVIDIA"}))
    if others and "NVIDIA" not in vendors:
        return Note(f"no nvidia-smi, but a card of {others}: only those of NVIDIA can be looked at")
    return Note(
        "no NVIDIA driver (nvidia-smi) here", "install the driver with its nvidia-smi where there is a card"
    )


def _vendors(host: Host) -> set[str]:
    """Whose cards the kernel shows."""
    found = set()
    for path in host.root.glob("sys/class/drm/card*/device/vendor"):
        with contextlib.suppress(OSError, ValueError):
            found.add(VENDORS.get(path.read_text().strip(), ""))
    return found - {""}


async def _look(host: Host, memory: Memory) -> Result:
    """One run.

    Raises:
        ProbeError: the driver fails, or part of its answer is no good; its families hold the rest.
    """
    # Both are waited for, whatever becomes of the other: no process may outlive the run.
    listed, running = await asyncio.gather(
        _query_cards(memory),
        _smi(f"--query-compute-apps={','.join(processes.FIELDS)}", FORMAT),
        return_exceptions=True,
    )
    if isinstance(listed, BaseException):
        raise listed
    if isinstance(running, BaseException) and not isinstance(running, ProbeError):
        raise running
    output, fields = listed
    result = await run_in_thread(_result, host, output, fields, running)
    if memory.whole:
        memory.fields = fields
    return result


async def _smi(*options: str) -> Output:
    return await run("nvidia-smi", *options, limit=LIMIT)


async def _query_cards(memory: Memory) -> tuple[Output, dict[str, str]]:
    """Asks for all cards: the answer, and the fields that it was asked for, ours by the driver's name.

    They are learnt once, and again after an answer that was no good: one field that the driver doesn't know
    fails the whole query, and by now it may be another driver. A field that it lists and refuses is left out.
    Where it lists none, what it said instead is the answer: a driver that fails says so whatever it is asked.
    A list without an end may lack some, and is asked for again the next time: one that is the same then lost
    no more than its end, to a script around the tool.

    Raises:
        ProbeError: nvidia-smi could not be run, or its list of fields is cut off.
    """
    fields, memory.fields = memory.fields, {}
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
            memory.whole = ends or listed.text == memory.listed
            memory.listed = listed.text
        output = await _smi(f"--query-gpu={','.join(fields)}", FORMAT)
        refusal = REFUSAL.search(output.text)
        if refusal is None or refusal[1] not in fields:
            return output, fields
        refused.add(refusal[1])
        fields = {}


def _result(host: Host, output: Output, fields: Mapping[str, str], running: Output | ProbeError) -> Result:
    """Puts both answers together.

    Raises:
        ProbeError: as ``_look``.
    """
    samples = Samples()
    end = missing_end(output.text)
    found = find(Answer(output, fields, cards.NAME, end))
    samples.add(cards.GPUS, found.count)
    cards.add_cards(samples, found.cards)
    trouble, said = "", list[str]()
    if found.cards:
        trouble, said = _add_processes(samples, host, found, running, "" if found.trouble else end)
    if found.trouble or trouble:
        raise _error(found.trouble or trouble, samples)
    return Result(samples.families(), notes([*found.remarks, *said]))


def _add_processes(
    samples: Samples, host: Host, there: Found, answered: Output | ProbeError, end: str
) -> tuple[str, list[str]]:
    """Adds the cards' processes: the trouble where that can't be done, or not wholly, and what was said.

    end: what is missing at the end of the tool's answers.
    """
    if isinstance(answered, ProbeError):
        return f"processes: {answered.reason}", []
    answer = Answer(answered, {name: name for name in processes.FIELDS}, processes.NAME, end)
    if answer.table.columns and not answer.table.torn:
        running = processes.parse_processes(answer.table)
        missed = bool(answer.trouble) or answer.lost > there.lost  # one was lost since
        container = partial(container_of, host=host)
        processes.add_processes(samples, running, there.cards, container, missed=missed)
    return answer.trouble and f"processes: {answer.trouble}", answer.words


def _error(reason: str, samples: Samples | None = None) -> ProbeError:
    return ProbeError(f"nvidia-smi: {reason}", hint(reason) or RUN_IT, samples.families() if samples else ())


KIND = Kind("gpu", Settings, build, discover)
