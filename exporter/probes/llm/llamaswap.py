"""llama-swap: which models run (/running); what would load or unload one is never asked."""

from __future__ import annotations

import re

from exporter.probes.llm.client import OK, UNAUTHORIZED, Answer, Client, Failure
from exporter.probes.llm.identify import other_kind
from exporter.probes.llm.reading import Reading, count, objects, text

PATHS = frozenset({"/running", "/api/version"})
PORT = re.compile(r"https?://[^/]{0,200}:(\d{1,5})(?:/|$)", re.ASCII)
STATES = {"ready": "loaded", "starting": "loading", "stopping": "unloading"}


class LlamaSwap:
    """Reads one server."""

    paths = PATHS

    async def read(self, client: Client, reading: Reading) -> None:
        """Fills in what the server reports."""
        answer = await client.get("/running")
        if answer.status == UNAUTHORIZED:
            reading.up = True
            raise Failure(
                "auth", "llama-swap asks for a key", "name a file with one of its apiKeys: api_key_file"
            )
        running = await _running(answer)
        reading.up = reading.ready = True
        for item in running:
            state = STATES.get(text(item.get("state")))
            model = reading.model(item.get("model")) if state else None
            if model is not None:
                model.state = state
                ttl = count(item.get("ttl"))
                model.pinned = None if ttl is None else ttl == 0
                if port := PORT.match(text(item.get("proxy"))):
                    reading.by_port[port[1]] = str(item["model"])
        reading.counts["loaded"] = sum(it.state == "loaded" for it in reading.models.values())
        reading.complete = True
        version = await client.get("/api/version")
        if version.status == OK:  # since v200 or so
            reading.version = text((await version.json()).get("version"))


async def _running(answer: Answer) -> list[dict[str, object]]:
    try:
        value = (await answer.json()).get("running") if answer.status == OK else None
    except Failure:
        value = None
    if not isinstance(value, list):
        raise Failure("other_kind", other_kind(answer))
    return objects(value)
