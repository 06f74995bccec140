"""An engine's API on a socket of its own, whose containers a test sets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass
class FakeEngine:
    """The engine. containers: what inspect reports of each, by id. status: the list's text for each.

    answers: a path's status and body where a test sets them. requests: the paths that were asked for.
    connections: how many were opened.
    """

    path: Path
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    version: str = "1.41"
    connections: set[object] = field(default_factory=set)

    @property
    def host(self) -> str:
        """Its address."""
        return f"unix://{self.path}"

    def put(self, id_: str, status: str = "Up 2 hours", **more: Any) -> None:
        """Adds or changes a container."""
        state = {"Status": "running", **more.pop("State", {})}
        self.containers[id_] = {"Id": id_, "Name": f"/{id_[:2]}", "State": state, **more}
        self.status[id_] = status

    def asked(self) -> list[str]:
        """What was asked for since the last call, without a version and the containers' full ids."""
        asked, self.requests = self.requests, []
        return [it.replace(f"/v{self.version}", "").replace("/containers/", "")[:7] for it in asked]

    async def respond(self, request: web.Request) -> web.Response:
        """Answers as Docker does."""
        self.requests.append(request.path_qs)
        self.connections.add(request.transport)
        path = request.path.removeprefix(f"/v{self.version}")
        headers = {"Api-Version": self.version} if self.version else {}
        if path in self.answers:
            status, body = self.answers[path]
            return web.Response(status=status, body=body, headers=headers)
        if path == "/_ping":
            return web.Response(text="OK", headers=headers)
        if path == "/containers/json":
            return web.json_response([self._listed(id_) for id_ in self.containers])
        id_ = path.removeprefix("/containers/").removesuffix("/json")
        if id_ not in self.containers:
            return web.json_response({"message": f"No such container: {id_}"}, status=404)
        return web.json_response(self.containers[id_])

    def _listed(self, id_: str) -> dict[str, Any]:
        it = self.containers[id_]
        return {
            "Id": id_, "Names": [it["Name"]], "State": it["State"]["Status"], "Status": self.status[id_],
        }  # fmt: skip

    def body(self) -> bytes:
        """The list as it is sent."""
        return json.dumps([self._listed(id_) for id_ in self.containers]).encode()


@asynccontextmanager
async def fake_engine(directory: Path) -> AsyncIterator[FakeEngine]:
    """Runs one."""
    engine = FakeEngine(directory / "docker.sock")
    app = web.Application()
    app.router.add_get("/{path:.*}", engine.respond)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(engine.path)).start()
    try:
        yield engine
    finally:
        await runner.cleanup()
