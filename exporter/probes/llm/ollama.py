"""Ollama: what is loaded, where and until when (/api/ps), and what lies on disk (/api/tags)."""

from __future__ import annotations

import re
import time
from datetime import datetime

from exporter.probe import Note
from exporter.probes.llm.client import FORBIDDEN, NOT_FOUND, OK, UNAUTHORIZED, Answer, Client, Failure
from exporter.probes.llm.identify import other_kind
from exporter.probes.llm.reading import Reading, count, objects, text

PATHS = frozenset({"/", "/api/version", "/api/ps", "/api/tags"})
TAGS_EVERY = 300.0  # seconds: it opens every manifest
NEVER = 50 * 365.25 * 86400  # keep_alive -1 is some 292 years
VERSION = re.compile(r"(\d{1,5})\.(\d{1,5})\.(\d{1,5})", re.ASCII)
SAFE = (0, 32, 4)  # from here on /api/ps takes the scheduler's lock
PS_EVERY = 15.0  # seconds, before that: a fast poll can crash it
OWN_BUILD = (0, 0, 0)
UPDATE = "update it: 0.32.4 and later are safe"
HOST_HINT = "ask it by localhost or an IP address: Ollama refuses host names that it doesn't know"


class Ollama:
    """Reads one server; remembers what is not asked with each run."""

    paths = PATHS

    def __init__(self) -> None:
        self._known = False
        self._tags: list[dict[str, object]] = []
        self._tags_due = 0.0
        self._ps: dict[str, object] = {}
        self._ps_due = 0.0

    async def read(self, client: Client, reading: Reading) -> None:
        """Fills in what the server reports."""
        try:
            await self._identify(client, reading)
        except Failure:
            self._known = False
            self._ps_due = 0.0
            raise
        await self._read_ps(client, reading)
        await self._read_tags(client, reading)

    async def _identify(self, client: Client, reading: Reading) -> None:
        answer = await client.get("/api/version")
        if answer.status == FORBIDDEN:
            reading.up = True
            raise Failure("forbidden_host", "Ollama refuses the host name of the URL", HOST_HINT)
        if answer.status in (OK, NOT_FOUND) and b'"version"' not in answer.body[:1000]:
            raise Failure("other_kind", other_kind(answer))
        reading.version = text((await _object(answer)).get("version"))
        if not self._known:
            root = await client.get("/")
            if b"Ollama is running" not in root.body[:200]:
                raise Failure("other_kind", other_kind(root))
            self._known = True
        reading.up = reading.ready = True

    async def _read_ps(self, client: Client, reading: Reading) -> None:
        old = _is_old(reading.version)
        if old:
            note = f"Ollama {reading.version[:16]!a} can crash while it is asked what it has loaded"
            reading.notes.append(Note(f"{note}: it is asked every {PS_EVERY:g} s at most", UPDATE))
        if not old or time.monotonic() >= self._ps_due:
            self._ps = await _object(await client.get("/api/ps"))
            self._ps_due = time.monotonic() + PS_EVERY
        listed = self._ps.get("models")
        if listed is not None and not isinstance(listed, list):
            raise Failure("bad_answer", "Ollama's list of loaded models is none")
        now = time.time()
        for item in objects(listed):
            model = reading.model(item.get("name") or item.get("model"))
            if model is None:
                continue
            model.state = "loaded"
            size, on_gpu = count(item.get("size")), count(item.get("size_vram"))
            model.gpu = on_gpu
            model.host = None if size is None or on_gpu is None else max(0.0, size - on_gpu)
            model.context = count(item.get("context_length")) or None
            expires = _moment(item.get("expires_at"))
            if expires is not None:
                model.pinned = expires > now + NEVER
                model.expires = None if model.pinned else expires
        reading.counts["loaded"] = len(objects(listed))
        reading.complete = True

    async def _read_tags(self, client: Client, reading: Reading) -> None:
        if time.monotonic() >= self._tags_due:
            self._tags = objects((await _object(await client.get("/api/tags"))).get("models"))
            self._tags_due = time.monotonic() + TAGS_EVERY
        local = [tag for tag in self._tags if not tag.get("remote_host")]
        reading.counts["disk"] = len(local)
        reading.counts["cloud"] = len(self._tags) - len(local)
        for tag in local:
            model = reading.model(tag.get("name") or tag.get("model"))
            if model is not None:
                model.disk = count(tag.get("size"))


async def _object(answer: Answer) -> dict[str, object]:
    if answer.status == UNAUTHORIZED:
        raise Failure("auth", "something before Ollama asks for a key", "name a file with it: api_key_file")
    if answer.status != OK:
        raise Failure("bad_answer", f"Ollama answered GET {answer.path} with {answer.status}")
    return await answer.json()


def _is_old(version: str) -> bool:
    match = VERSION.match(version)
    numbers = tuple(int(part) for part in match.groups()) if match else OWN_BUILD
    return OWN_BUILD < numbers < SAFE


def _moment(value: object) -> float | None:
    """A time as Ollama writes it, with nanoseconds, as Unix time; None for none, such as the year 1."""
    try:
        moment = datetime.fromisoformat(text(value))
        seconds = moment.timestamp() if moment.tzinfo else 0.0
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if seconds > 0 else None
