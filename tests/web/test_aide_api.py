"""Reviewing and accepting over HTTP: who may, how often, and what a request does."""

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from multidict import CIMultiDict

from exporter.aide.accept_request import NAME, accept_request
from exporter.aide.lock import exclusive
from exporter.aide.proof import make_proof
from exporter.aide.summary import Outcome, Summary, save
from exporter.web.aide_api import ACCEPT, REPORT, SUMMARY, Action, mount
from tests.aide.store import KEY, Store, make, summary
from tests.web.test_rate_limit import Clock

TOKEN = "0123456789abcdef" * 4
PROOF = "fedcba9876543210" * 4
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Host:
    """A box with the action switched on, and a client of it."""

    store: Store
    runtime: Path
    token_file: Path
    client: TestClient[web.Request, web.Application]
    action: Action | None

    async def report(self, headers: dict[str, str] | None = None) -> ClientResponse:
        """Asks for the report."""
        return await self.client.get(REPORT, headers=RIGHT if headers is None else headers)

    async def accept(self, id_: str, proof: str = PROOF) -> ClientResponse:
        """Requests that an ID be accepted."""
        return await self.client.post(ACCEPT, json={"id": id_, "proof": proof}, headers=RIGHT)

    def requested(self) -> str | None:
        """The request that root would find."""
        path = self.runtime / NAME
        return path.read_text() if path.exists() else None


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Host]:
    """A box on which a check has succeeded, with the action switched on."""
    runtime, token_file = tmp_path / "run", tmp_path / "token"
    runtime.mkdir()
    token_file.touch(mode=0o640)
    token_file.write_text(TOKEN)
    store = make(tmp_path)
    app = web.Application()
    mount(app, lambda: made.action)
    async with TestClient(TestServer(app)) as client:
        made = Host(store, runtime, token_file, client, Action(token_file, store.paths, runtime))
        yield made


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the action logs."""
    with caplog.at_level(logging.INFO, "exporter.web.aide_api"):
        yield caplog


async def test_off(box: Host) -> None:
    """Without a token file configured the pages do not exist, whatever the token."""
    box.action = None
    assert (await box.report()).status == 404
    assert (await box.accept(box.store.id)).status == 404
    assert box.requested() is None


async def test_report(box: Host) -> None:
    """The report holds the last check and its findings, the last attempt to accept, and what is under way."""
    save(box.store.paths.outcome, Outcome(success=False, timestamp=5, reason="r"))
    response = await box.report()
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    body = await response.json()
    assert body["check"]["id"] == box.store.id
    assert body["check"]["findings"] == [{"change": "added", "path": "/c", "kind": "f", "attributes": {}}]
    assert body["accept"]["reason"] == "r"
    assert (body["under_way"], body["requested"]) == (None, False)


async def test_report_before_any_check(box: Host) -> None:
    """Before the first check the report has none."""
    box.store.paths.summary.unlink()
    assert (await (await box.report()).json())["check"] is None


async def test_accept(box: Host) -> None:
    """With the proof of the summary that is served, root makes the candidate the active database."""
    summary = await box.client.get(SUMMARY, headers=RIGHT)
    assert summary.content_type == "application/json"
    proof = make_proof(await summary.read(), KEY.encode())
    assert (await box.accept(box.store.id, proof)).status == 202
    assert box.requested() == f"{box.store.id} {proof}\n"
    assert (await (await box.report()).json())["requested"] is True
    assert accept_request(box.store.paths, box.runtime, box.store.key_file) == 0
    assert box.store.database.read_bytes() == box.store.new
    body = await (await box.report()).json()
    assert (body["accept"]["success"], body["requested"]) == (True, False)
    assert (await box.accept(box.store.id)).status == 409


async def test_no_summary(box: Host) -> None:
    """Before the first check there is no summary; one that can't be read is an error."""
    box.store.paths.summary.unlink()
    assert (await box.client.get(SUMMARY, headers=RIGHT)).status == 404
    box.store.paths.summary.mkdir()
    assert (await box.client.get(SUMMARY, headers=RIGHT)).status == 503


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": f"Bearer {TOKEN}x"}, 403),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 403),
        ({"Authorization": f"Bearer {TOKEN.upper()}"}, 403),
        ({"Authorization": "Bearer \u00fc"}, 403),
    ],
)
async def test_without_the_token_nothing_is_served(
    box: Host, logged: pytest.LogCaptureFixture, headers: dict[str, str], status: int
) -> None:
    """Without the token nothing is served, nothing requested, and the address is logged."""
    for response in (
        await box.report(headers),
        await box.client.get(SUMMARY, headers=headers),
        await box.client.post(ACCEPT, json={"id": box.store.id, "proof": PROOF}, headers=headers),
    ):
        assert response.status == status
        assert ("WWW-Authenticate" in response.headers) == (status == 401)
        assert box.store.id not in await response.text()
    assert box.requested() is None
    messages = [record.getMessage() for record in logged.records]
    for line, try_ in zip(messages, (f"GET {REPORT}", f"GET {SUMMARY}", f"POST {ACCEPT}"), strict=True):
        assert line.startswith(f"{try_} from 127.0.0.1: {status} ")
    assert not [record for record in logged.records if TOKEN in record.getMessage()]


async def test_several_tokens_are_none(box: Host) -> None:
    """A request that brings two Authorization headers, one of them right, brings none."""
    for other in (f"Bearer {TOKEN}", "Bearer wrong", "Basic x"):
        for values in ((f"Bearer {TOKEN}", other), (other, f"Bearer {TOKEN}")):
            headers = CIMultiDict(("Authorization", value) for value in values)
            assert (await box.client.get(REPORT, headers=headers)).status == 401


async def test_every_try_is_logged(box: Host, logged: pytest.LogCaptureFixture) -> None:
    """What was let through is logged as what was not."""
    await box.report()
    await box.accept(box.store.id)
    assert [record.getMessage() for record in logged.records] == [
        f"GET {REPORT} from 127.0.0.1: 200 OK",
        f"POST {ACCEPT} from 127.0.0.1: 202 Accepted",
    ]


async def test_a_new_token(box: Host) -> None:
    """A token that is exchanged works at once, and the old one no longer."""
    box.token_file.write_text("n" * 40)
    assert (await box.report()).status == 403
    assert (await box.report({"Authorization": f"Bearer {'n' * 40}"})).status == 200


async def test_a_token_file_that_is_too_open(box: Host, logged: pytest.LogCaptureFixture) -> None:
    """A token that everyone on the box can read is not accepted; the reason is in the log alone."""
    box.token_file.chmod(0o644)
    response = await box.report()
    assert response.status == 503
    assert str(box.token_file) not in await response.text()
    assert "chmod 640" in logged.text


async def test_no_token_file(box: Host) -> None:
    """Without the file nothing opens."""
    box.token_file.unlink()
    assert (await box.report()).status == 503


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"null", "application/json", 400),
        (b'"%s"' % (b"0" * 64), "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"id": 5}', "application/json", 400),
        (b'{"id": "x"}', "application/json", 400),
        (b'{"id": "../../../etc/passwd"}', "application/json", 400),
        (b'{"id": "%s\\n", "proof": "%s"}' % (b"0" * 64, b"0" * 64), "application/json", 400),
        (b'{"id": "%s", "proof": "%s"}' % (b"A" * 64, b"0" * 64), "application/json", 400),
        (b'{"id": "%s", "proof": "%s"}' % (b"0" * 64, b"0" * 63), "application/json", 400),
        (b'{"id": "%s"}' % (b"0" * 64), "application/json", 400),
        (b'{"id": "%s", "proof": "%s", "force": true}' % (b"0" * 64, b"0" * 64), "application/json", 400),
        (b'{"id": "%s"}' % (b"0" * 64), "text/plain", 415),
        (b"id=%s" % (b"0" * 64), "application/x-www-form-urlencoded", 415),
        (b'{"id": "%s"}' % (b"0" * 2000), "application/json", 413),
        (b" " * 900_000, "application/json", 413),
        (b'{"id": "%s", "proof": "%s"}' % (b"0" * 64, b"0" * 64), "application/json; charset=utf-8", 409),
    ],
)
async def test_odd_bodies(box: Host, body: bytes, content_type: str, status: int) -> None:
    """A body that is no ID in JSON is refused with its own status, and leaves no request."""
    response = await box.client.post(ACCEPT, data=body, headers={**RIGHT, "Content-Type": content_type})
    assert response.status == status
    assert box.requested() is None
    assert (await box.report()).status == 200


async def test_a_body_that_does_not_come(box: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that holds back its body is not waited for beyond a limit."""
    monkeypatch.setattr("exporter.web.aide_api._BODY_SECONDS", 0.05)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    headers = {**RIGHT, "Content-Type": "application/json"}
    assert (await box.client.post(ACCEPT, data=slowly(), headers=headers)).status == 408


async def test_a_client_that_goes_away(box: Host, logged: pytest.LogCaptureFixture) -> None:
    """A client that leaves in the middle of its body is no error, and leaves no request."""
    _, writer = await asyncio.open_connection(box.client.host, box.client.port)
    head = f"POST {ACCEPT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 80\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    async with asyncio.timeout(60):
        while f"POST {ACCEPT} from 127.0.0.1: " not in logged.text:
            await asyncio.sleep(0.01)
    assert box.requested() is None
    assert "Error handling request" not in logged.text


async def test_a_body_of_another_encoding(box: Host) -> None:
    """A body that is declared as compressed and is not is a bad request."""
    headers = {**RIGHT, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert (await box.client.post(ACCEPT, data=b"no gzip", headers=headers)).status == 400


async def test_stale(box: Host) -> None:
    """An ID that the last check doesn't offer (any more) is refused with the reason."""
    assert (await box.accept("0" * 64)).status == 409
    save(box.store.paths.summary, Summary(success=False, started=1, ended=2, reason="no disk"))
    response = await box.accept(box.store.id)
    assert response.status == 409
    assert "the last check failed: no disk" in (await response.json())["error"]
    box.store.paths.summary.unlink()
    assert (await box.accept(box.store.id)).status == 409
    save(box.store.paths.summary, summary(box.store, accepted=5.0))
    assert (await box.accept(box.store.id)).status == 409
    assert box.requested() is None


async def test_while_something_is_under_way(box: Host) -> None:
    """While a check or an accept runs, or a request waits, no other is taken."""
    for command in ("check", "accept"):
        with exclusive(box.store.paths, command):
            assert (await box.accept(box.store.id)).status == 409
            assert (await (await box.report()).json())["under_way"] == command
    assert (await box.accept(box.store.id)).status == 202
    response = await box.accept(box.store.id)
    assert response.status == 409
    assert "grid-aide-accept.path" in (await response.json())["error"]


async def test_of_concurrent_requests_one_is_written(box: Host) -> None:
    """Of many that ask in one moment one is heard, and what root finds is whole."""
    responses = await asyncio.gather(*(box.accept(box.store.id) for _ in range(12)))
    assert sorted(response.status for response in responses) == [202] + [409] * 11
    assert box.requested() == f"{box.store.id} {PROOF}\n"
    assert [path.name for path in box.runtime.iterdir()] == [NAME]


async def test_no_runtime_directory(box: Host, logged: pytest.LogCaptureFixture) -> None:
    """Where the request cannot be left, the client learns that, and the log learns why."""
    box.runtime.rmdir()
    assert (await box.accept(box.store.id)).status == 503
    assert re.search(r"cannot write its request: .*No such file", logged.text)


async def test_a_damaged_summary(box: Host, logged: pytest.LogCaptureFixture) -> None:
    """What the last check left and cannot be read is neither reported nor accepted."""
    box.store.paths.summary.write_bytes(b"{")
    assert (await box.report()).status == 503
    assert (await box.accept(box.store.id)).status == 503
    assert "summary.json is damaged" in logged.text


async def test_guesses_are_limited_and_logged_once(box: Host, logged: pytest.LogCaptureFixture) -> None:
    """Too many guesses get 429, fill no log, and do not lock out the owner behind the same address."""
    assert box.action
    clock = still(box.action)
    wrong = {"Authorization": "Bearer wrong"}
    statuses = [(await box.report(wrong)).status for _ in range(30)]
    assert statuses == [403] * 10 + [429] * 20
    assert int((await box.report(wrong)).headers["Retry-After"]) == 6
    assert (await box.report()).status == 200
    messages = [record.getMessage().rpartition(": ")[2][:3] for record in logged.records]
    assert messages == ["403"] * 10 + ["429", "200"]
    clock.now += 6
    for _ in range(5):
        await box.report(wrong)
    assert [record.getMessage().rpartition(": ")[2][:3] for record in logged.records[12:]] == ["403", "429"]


async def test_unusable_token_file_does_not_fill_the_log(box: Host, logged: pytest.LogCaptureFixture) -> None:
    """A token file that can't be used is no way to fill the log either."""
    assert box.action
    still(box.action)
    box.token_file.unlink()
    statuses = [(await box.report()).status for _ in range(30)]
    assert statuses == [503] * 10 + [429] * 20
    assert len(logged.records) == 2 * 10 + 1


async def test_who_goes_away_at_once_fills_no_log(
    box: Host, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that leaves before its token was compared counts as one without it."""
    assert box.action
    still(box.action)
    monkeypatch.setattr(box.action, "_token", asyncio.Event().wait)
    tries = [asyncio.create_task(box.action.report(make_mocked_request("GET", REPORT))) for _ in range(30)]
    await asyncio.sleep(0)
    for going in tries:
        going.cancel()
    await asyncio.gather(*tries, return_exceptions=True)
    assert len(logged.records) == 10


def still(action: Action) -> Clock:
    """Gives the action's limits a clock that stands still."""
    clock = Clock()
    for limit in action._limits.values():
        limit._clock = clock
    return clock


async def test_right_token_is_limited_too(box: Host) -> None:
    """The right token has its limit too."""
    statuses = [response.status for response in await asyncio.gather(*(box.report() for _ in range(60)))]
    assert statuses.count(200) >= 20
    assert 429 in statuses


async def test_other_methods(box: Host) -> None:
    """Neither path answers to another method."""
    assert (await box.client.head(REPORT, headers=RIGHT)).status == 405
    assert (await box.client.get(ACCEPT, headers=RIGHT)).status == 405
    assert (await box.client.put(ACCEPT, headers=RIGHT)).status == 405


async def test_the_error_is_json(box: Host) -> None:
    """A refusal has its reason in JSON."""
    response = await box.report({})
    assert response.content_type == "application/json"
    assert json.loads(await response.text()) == {"error": "the action's token is needed"}


async def test_no_file_is_left_open(box: Host) -> None:
    """Tries of every kind leave no descriptor behind."""
    await box.report()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - its own descriptor must not count twice
    for _ in range(5):
        await box.report()
        await box.report({})
        await box.accept("0" * 64)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
