"""NVIDIA cards by nvidia-smi: one or two queries a run however many cards there are, two more with MIG."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from functools import partial

from msgspec import Struct, field

from exporter.metrics.families import Samples
from exporter.probe import Host, Note, ProbeError, Result
from exporter.probes.gpu import families as f
from exporter.probes.gpu.nvidia import cards, mig, processes
from exporter.probes.gpu.nvidia.csv_table import missing_end, parse_fields
from exporter.probes.gpu.nvidia.diagnosis import CardList, Response, hint, list_cards, notes
from exporter.probes.gpu.nvidia.process_list import ProcessList
from exporter.probes.gpu.nvidia.xid import KernelLog
from exporter.probes.gpu.programs import in_own_pid_namespace
from exporter.probes.gpu.served_model import model_of
from exporter.system import subprocesses
from exporter.system.cgroup import container_of
from exporter.system.subprocesses import Output
from exporter.system.threads import run_in_thread, run_in_thread_if_large

FORMAT = "--format=csv,nounits"
REFUSAL = re.compile(r'Field "([^"]{1,100})" is not a valid field to query')
LIMIT = 256 * 1024  # bytes of output; the longest, the help, has a fifth of it
MIG_LIMIT = 1024 * 1024  # of -q; a card with seven parts has some 25,000
DIVIDED = b"Enabled"  # a cell: that of mig.mode.current, the only one that may hold it
RUN_IT = "run nvidia-smi by hand, as the user that the exporter runs as"


class FieldCache(Struct):
    """The fields that the driver lists, learnt from its help: its name of each, and ours.

    refused: those that it lists and refuses all the same; remembered until the list is another one.
    proven: whether a query of them has succeeded. text: the list that they were learnt from.
    whole: whether that had an end, or came twice the same.
    """

    listed: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    proven: bool = False
    text: str = ""
    whole: bool = True

    @property
    def fields(self) -> dict[str, str]:
        """Those to ask for."""
        return {name: ours for name, ours in self.listed.items() if name not in self.refused}

    def learn(self, listing: Output) -> None:
        """Takes the fields of the help; none where the driver failed and printed something else.

        Raises:
            ProbeError: the list is cut off.
        """
        self.listed, self.proven = parse_fields(listing.text, cards.FIELDS), False
        if not self.listed:
            return
        ends = listing.text.endswith("\n")
        if listing.code and not ends:
            self.listed = {}
            raise _error("the list of its fields is cut off")
        self.whole = ends or listing.text == self.text
        if listing.text != self.text:
            self.text, self.refused = listing.text, set()

    def succeeded(self) -> None:
        """Keeps the fields after a good response; a list without an end is asked for again."""
        self.proven = True
        if not self.whole:
            self.listed = {}


class State(Struct):
    """What is kept from run to run."""

    cache: FieldCache
    log: KernelLog
    processes: ProcessList


def new_state(host: Host) -> State:
    """The state before the first run."""
    return State(FieldCache(), KernelLog(host.root / "dev/kmsg"), ProcessList(host.proc))


class Responses(Struct, frozen=True):
    """What nvidia-smi printed in a run, or why it did not.

    cards: of which the fields are those asked for, ours by the driver's name. parts: -q and -L, only where a
    card is divided (MIG).
    """

    cards: Output
    fields: Mapping[str, str]
    processes: Output | ProbeError
    parts: tuple[Output, Output] | ProbeError | None = None


async def run(host: Host, state: State) -> Result:
    """One run.

    Raises:
        ProbeError: the driver fails, or part of its output is invalid; its families hold the rest.
    """
    responses = await _ask(state)
    try:
        result = await run_in_thread(_result, host, responses, state.log)
    except ProbeError:
        state.cache.listed = {}  # by now it may be another driver
        state.processes.output = None
        raise
    state.cache.succeeded()
    if isinstance(running := responses.processes, Output):
        await run_in_thread_if_large(len(running.stdout), state.processes.keep, running)
    return result


async def _ask(state: State) -> Responses:
    """Queries the cards and their processes side by side, and a divided card's parts.

    Where the processes are likely the same as before, their query waits for the cards', to be left out if so.

    Raises:
        ProbeError: it could not list the cards.
    """
    known = state.processes
    if known.is_likely_current:
        output, fields = await _query_cards(state.cache)
        await run_in_thread_if_large(len(output.stdout), known.read_memory, output, fields)
        running = known.current() or await _query_processes()
    else:
        output, fields, running = await _query_both(state.cache)
        await run_in_thread_if_large(len(output.stdout), known.read_memory, output, fields)
    parts: tuple[Output, Output] | ProbeError | None = None
    if DIVIDED in output.stdout:
        try:
            async with asyncio.TaskGroup() as tasks:
                both = [tasks.create_task(_smi(option, limit=MIG_LIMIT)) for option in ("-q", "-L")]
            parts = (both[0].result(), both[1].result())
        except* ProbeError as errors:
            parts = next(error for error in errors.exceptions if isinstance(error, ProbeError))
    return Responses(output, fields, running, parts)


async def _smi(*options: str, limit: int = LIMIT) -> Output:
    return await subprocesses.run("nvidia-smi", *options, limit=limit)


async def _query_both(cache: FieldCache) -> tuple[Output, dict[str, str], Output | ProbeError]:
    """What ``_query_cards`` gives, and the query of the processes or why it failed."""
    # Both are waited for, whatever becomes of the other: no process may outlive the run.
    listed, running = await asyncio.gather(_query_cards(cache), _query_processes(), return_exceptions=True)
    if isinstance(listed, BaseException):
        raise listed
    if isinstance(running, BaseException) and not isinstance(running, ProbeError):
        raise running
    return *listed, running


async def _query_processes() -> Output | ProbeError:
    try:
        return await _smi(f"--query-compute-apps={','.join(processes.FIELDS)}", FORMAT)
    except ProbeError as error:
        return error


async def _query_cards(cache: FieldCache) -> tuple[Output, dict[str, str]]:
    """Asks for all cards: the output, and the fields that it was asked for, ours by the driver's name.

    One field that the driver refuses fails the whole query. Where the list was good before, the driver may be
    another by now, and is asked what it lists; else the field is left out. Where it lists none, what it
    printed instead is the output: a driver that fails reports that to any query.

    Raises:
        ProbeError: nvidia-smi could not be run, or its list of fields is cut off.
    """
    while True:
        if not cache.listed:
            listing = await _smi("--help-query-gpu")
            cache.learn(listing)
            if not cache.fields:
                return listing, {}
        fields = cache.fields
        output = await _smi(f"--query-gpu={','.join(fields)}", FORMAT)
        refusal = REFUSAL.search(output.text)
        if refusal is None or refusal[1] not in fields:
            return output, fields
        if cache.proven:
            cache.listed = {}
        else:
            cache.refused.add(refusal[1])


def _result(host: Host, responses: Responses, log: KernelLog) -> Result:
    """Puts the responses together.

    Raises:
        ProbeError: as ``run``.
    """
    samples = Samples()
    end = missing_end(responses.cards.text)
    listed = list_cards(Response(responses.cards, responses.fields, cards.NAME, end))
    samples.add(f.GPUS, listed.count, "nvidia")
    cards.add_cards(samples, listed.cards)
    log.read()
    log.add(samples, listed.cards)
    error, messages = "", list[str]()
    if listed.cards:
        end = "" if listed.error else end
        error, messages = _add_processes(samples, host, listed, responses.processes, end)
    if listed.error or error:
        raise _error(listed.error or error, samples)
    warnings = [*listed.warnings, *messages, *_add_parts(samples, listed, responses.parts)]
    return Result(samples.families(), (*notes(warnings), *_blind_spots(host, listed)))


def _add_parts(
    samples: Samples, listed: CardList, parts: tuple[Output, Output] | ProbeError | None
) -> list[str]:
    """Adds the memory of divided cards' parts; returns why that is missing."""
    if not any(card.divided for card in listed.cards):
        return []
    if isinstance(parts, tuple) and (found := mig.parse_parts(parts[0].text)):
        mig.add_parts(samples, found, mig.parse_profiles(parts[1].text), listed.cards)
        return []
    return [f"no memory of MIG's parts: {parts.reason if isinstance(parts, ProbeError) else '-q lists none'}"]


def _blind_spots(host: Host, listed: CardList) -> Iterator[Note]:
    """Why the number of processes is missing though nothing failed."""
    if listed.cards and in_own_pid_namespace(host.proc):
        yield Note(
            "nvidia-smi can't list the cards' processes from within a PID namespace of its own",
            "run the exporter on the host, or its container with --pid=host",
        )
    elif blind := [card.index for card in listed.cards if card.blind and not card.conditions]:
        yield Note(f"nvidia-smi lists no processes of GPU {', '.join(blind)}, nor its load or memory")


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
        container, model = partial(container_of, host=host), partial(model_of, host=host)
        hidden = in_own_pid_namespace(host.proc)
        processes.add_processes(
            samples, rows, listed.cards, container, missed=missed, hidden=hidden, model=model
        )
    return response.error and f"processes: {response.error}", response.messages


def _error(reason: str, samples: Samples | None = None) -> ProbeError:
    return ProbeError(f"nvidia-smi: {reason}", hint(reason) or RUN_IT, samples.families() if samples else ())
