"""Any other server with OpenAI's API: whether it answers, and which models it offers (/v1/models)."""

from __future__ import annotations

from exporter.probes.llm.client import OK, UNAUTHORIZED, UNAVAILABLE, Client, Failure
from exporter.probes.llm.identify import other_kind
from exporter.probes.llm.reading import Reading, count, objects

PATHS = frozenset({"/v1/models"})


class OpenAi:
    """Reads one server. What it offers need not be loaded, so that no state is known."""

    paths = PATHS

    async def read(self, client: Client, reading: Reading) -> None:
        """Fills in what the server reports."""
        answer = await client.get("/v1/models")
        if answer.status == UNAUTHORIZED:
            reading.up = True
            raise Failure("auth", "the server asks for a key", "name a file with it: api_key_file")
        if answer.status == UNAVAILABLE:
            reading.up, reading.ready = True, False
            return
        try:
            value = await answer.json() if answer.status == OK else {}
        except Failure:
            value = {}
        if "data" not in value:
            raise Failure("other_kind", other_kind(answer))
        reading.up = reading.ready = True
        for item in objects(value["data"]):
            if model := reading.model(item.get("id")):
                model.context = count(item.get("max_model_len")) or None
