"""What happens on the demo's box: a model is downloaded, and one thing after another goes wrong."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from exporter.probes.tor.exit_memory import ExitMemory
from tests.box.box import FakeBox
from tests.box.waves import wave

TICK = 5
# At first the faults follow each other quickly, so that within five minutes there is one of each part of the
# box; after that each lasts long enough for its alert. All in seconds.
FIRST, NEXT, SHORT = 20, 40, 130
CHECKED = 180  # when AIDE's check ends
SLOWLY, LASTS, PAUSE = 480, 960, 120
MODEL, SIZE, PACE = "deepseek-r1-distill-llama-70b-q8_0.gguf", 75e9, 60e6  # bytes, and bytes a second
MEMORY = 96 * 2**20  # KiB: enough for all containers of the box, whatever this machine has
DOWNLOADED = 60  # when that begins: the exporter has seen the directory without it


class Fault(NamedTuple):
    """Something that goes wrong, and is put right."""

    message: str
    begin: Callable[[FakeBox], None]
    end: Callable[[FakeBox], None]


SCARCE = Fault("memory is nearly out", lambda box: box.memory(0.03), lambda box: box.memory(0.5))
FAULTS = (
    Fault(
        "the container searxng is unhealthy",
        lambda box: box.container("searxng", health="unhealthy"),
        lambda box: box.container("searxng", health="healthy"),
    ),
    Fault("Tor is down", lambda box: box.tor("down"), lambda box: box.tor()),
    Fault("card 1 is too hot", lambda box: box.gpu(1, "hot"), lambda box: box.gpu(1)),
    Fault(
        "rag-index@mail.service has failed",
        lambda box: box.service("rag-index@mail.service", "failed"),
        lambda box: box.start_service("rag-index@mail.service"),
    ),
    Fault(
        "the container vllm is stopped, and its LLM server is down",
        lambda box: box.container("vllm", status="exited"),
        lambda box: box.container("vllm", status="running", started=box.now()),
    ),
    Fault("the command ups fails", lambda box: box.fault("ups", "exit 1"), lambda box: box.repair("ups")),
    SCARCE,
    Fault("docker hangs", lambda box: box.fault("docker", "hang"), lambda box: box.repair("docker")),
    Fault("card 0 is gone", lambda box: box.gpu(0, "gone"), lambda box: box.gpu(0)),
)
QUICK = FAULTS[:7]  # the other parts of the box are the disk, with the download, and AIDE


def begin(box: FakeBox) -> None:
    """What there is to see from the start: much memory, a job that failed, a restart, a new exit."""
    now = box.now()
    box.memory(0.5, MEMORY)
    ExitMemory(box.directory / "state/tor-exit.json").record("192.0.2.7", now)
    box.container("whisper", restarts=1, started=now - 1500)
    box.container("postgres", watched=False)
    box.container("backup", exit_code=1, started=now - 1200)


def faults_at(second: int) -> set[Fault]:
    """The faults that there are so many seconds after the beginning."""
    if second < SLOWLY:
        starts = {fault: FIRST + NEXT * number for number, fault in enumerate(QUICK)}
        return {fault for fault, start in starts.items() if start <= second < start + SHORT}
    number, into = divmod(second - SLOWLY, LASTS + PAUSE)
    return {FAULTS[number % len(FAULTS)]} if into < LASTS else set()


class Story:
    """What happens, step by step. report: gets a message of each fault. follow: called after each step."""

    def __init__(self, box: FakeBox, report: Callable[[str], None], follow: Callable[[], None]) -> None:
        """The box as it is at the beginning."""
        self.box, self.report, self.follow = box, report, follow
        self.present: set[Fault] = set()
        begin(box)

    def step(self, second: int) -> None:
        """Brings the box to where it is so many seconds after the beginning; each TICK is a step."""
        self._advance(second)
        now = faults_at(second)
        for fault in self.present - now:
            fault.end(self.box)
            self.report(f"no longer: {fault.message}")
        for fault in now - self.present:
            fault.begin(self.box)
            self.report(f"from now on {fault.message}")
        self.present = now
        if SCARCE not in now:
            self.box.memory(wave("memory", self.box.now(), 0.3, 0.7))
        self.follow()

    def _advance(self, second: int) -> None:
        """What happens besides the faults: a download goes on, and AIDE's check ends."""
        size = (second - DOWNLOADED) * PACE
        if 0 <= size <= SIZE:
            self.box.model(MODEL, size)
        if second == CHECKED:
            self.box.aide(ago=0, added=1, changed=2)


@contextlib.contextmanager
def running(story: Story) -> Iterator[None]:
    """Lets things happen meanwhile."""
    over = threading.Event()

    def run() -> None:
        for second in range(0, 10**9, TICK):
            story.step(second)
            if over.wait(TICK):
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
