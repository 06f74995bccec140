"""What happens on the demo's box: a model is downloaded, and one trouble follows another."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from exporter.probes.tor.exit_memory import ExitMemory
from tests.box.box import FakeBox
from tests.box.waves import wave

FIRST = 90  # seconds until the first trouble
LASTS, PAUSE = 720, 120  # seconds of a trouble, long enough for its alert, and between two
TICK = 5
MODEL, SIZE, PACE = "deepseek-r1-distill-llama-70b-q8_0.gguf", 75e9, 60e6  # bytes, and bytes a second


class Trouble(NamedTuple):
    """Something that goes wrong, and is put right."""

    said: str
    begin: Callable[[FakeBox], None]
    end: Callable[[FakeBox], None]


TROUBLES = (
    Trouble(
        "the container searxng is unhealthy",
        lambda box: box.container("searxng", health="unhealthy"),
        lambda box: box.container("searxng", health="healthy"),
    ),
    Trouble("card 1 is too hot", lambda box: box.gpu(1, "hot"), lambda box: box.gpu(1)),
    Trouble(
        "vllm@qwen.service has failed",
        lambda box: box.service("vllm@qwen.service", "failed"),
        lambda box: box.service("vllm@qwen.service", "active"),
    ),
    Trouble("Tor is down", lambda box: box.tor("down"), lambda box: box.tor()),
    Trouble("docker hangs", lambda box: box.fault("docker", "hang"), lambda box: box.repair("docker")),
    Trouble("card 0 is gone", lambda box: box.gpu(0, "gone"), lambda box: box.gpu(0)),
)


def begin(box: FakeBox) -> None:
    """What there is to see from the start: AIDE's findings, a job that failed, another exit than the last."""
    box.aide(added=1, changed=2)
    now = box.now()
    ExitMemory(box.directory / "state/tor-exit.json").record("192.0.2.7", now)
    box.container("whisper", restarts=1, started=now - 1500)
    box.container("postgres", watched=False)
    box.container("backup", exit_code=1, started=now - 1200)


@contextlib.contextmanager
def told(box: FakeBox, say: Callable[[str], None]) -> Iterator[None]:
    """Lets things happen meanwhile; ``say`` gets each in words."""
    over = threading.Event()
    begin(box)
    thread = threading.Thread(target=_tell, args=(box, say, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tell(box: FakeBox, say: Callable[[str], None], over: threading.Event) -> None:
    downloaded = 0.0
    for moment in range(0, 10**9, TICK):
        box.memory(wave("memory", box.now(), 0.3, 0.7))
        if downloaded < SIZE:
            downloaded += TICK * PACE
            box.model(MODEL, downloaded)
        cycle, into = divmod(moment - FIRST, LASTS + PAUSE)
        trouble = TROUBLES[cycle % len(TROUBLES)]
        if into == 0:
            trouble.begin(box)
            say(f"from now on {trouble.said}")
        elif into == LASTS and cycle >= 0:
            trouble.end(box)
            say(f"no longer: {trouble.said}")
        if over.wait(TICK):
            return
