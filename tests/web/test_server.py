import asyncio
import contextlib
import logging
import shutil
import socket
import ssl
from pathlib import Path
from typing import cast

import pytest

from exporter.web import server
from exporter.web.auth import Auth
from tests.crowd import GET, Crowd, crowd
from tests.scripted import Script, held
from tests.web.certificates import Certificates
from tests.web.test_auth import touch_later, web_config
from tests.web.test_credentials import HASH
from tests.web.test_listeners import At


@pytest.mark.parametrize("protected", [True, False])
async def test_listening_to_the_world_without_protection_is_warned_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    protected: bool,  # noqa: FBT001
) -> None:
    """Everybody could read what this box runs; with passwords, tokens or client certificates they can't."""
    certificates = Certificates(tmp_path)
    path = web_config(tmp_path, certificates.server(clients=protected))
    monkeypatch.setattr(server, "is_loopback", lambda _: False)
    async with crowd(Script(), web_config=path):
        assert [record.levelno for record in caplog.records] == ([] if protected else [logging.WARNING])


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:10058"), ("::1", "http://[::1]:10058"),
     ("0.0.0.0", "http://127.0.0.1:10058"), ("::", "http://[::1]:10058")],  # noqa: S104
)  # fmt: skip
async def test_the_url_is_one_that_works_on_this_machine(host: str, url: str) -> None:
    """Nobody can open http://0.0.0.0."""
    async with crowd(Script()) as visitors:
        visitors.server._listeners = [cast("socket.socket", At(host))]
        assert visitors.server.url == url


async def serial(visitors: Crowd, tls: ssl.SSLContext) -> str:
    """The serial number of the certificate that a new connection gets."""
    while True:
        with contextlib.suppress(ConnectionError):  # made while TLS changes
            client = await visitors.connect(tls=tls)
            return str(client.writer.get_extra_info("peercert")["serialNumber"])


async def until_refused(visitors: Crowd, tls: ssl.SSLContext) -> None:
    async with asyncio.timeout(100):
        while True:
            try:
                status = await visitors.scrape(tls=tls)
            except (ssl.SSLError, ConnectionError):
                return
            if status == 0:
                return
            await asyncio.sleep(0.02)


async def watched(visitors: Crowd, monkeypatch: pytest.MonkeyPatch) -> asyncio.Task[None]:
    """Has the server check its files all the time."""
    monkeypatch.setattr(server, "REFRESH_SECONDS", 0.02)
    return asyncio.create_task(visitors.server.watch())


async def test_a_renewed_certificate_is_served_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New connections get the new one; one that rests is closed, so that its client makes a new one."""
    certificates = Certificates(tmp_path)
    path, tls = web_config(tmp_path, certificates.server()), certificates.client_context()
    async with crowd(Script(), web_config=path) as visitors, asyncio.timeout(100):
        watching = await watched(visitors, monkeypatch)
        before = await serial(visitors, tls)
        old = visitors.clients[-1]
        certificates.issue("server", certificates.ca)
        while await serial(visitors, tls) == before:
            await asyncio.sleep(0.02)
        await old.closed()
        watching.cancel()


async def test_another_ca_is_taken_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of the new CA come in, those of the old one no longer."""
    certificates, other = Certificates(tmp_path), Certificates(_directory(tmp_path / "other"))
    path = web_config(tmp_path, certificates.server(clients=True))
    mine, theirs = certificates.client_context("client"), certificates.client_context()
    theirs.load_cert_chain(tmp_path / "other/client.crt", tmp_path / "other/client.key")
    async with crowd(Script(), web_config=path) as visitors:
        watching = await watched(visitors, monkeypatch)
        assert await visitors.scrape(tls=mine) == 200
        await until_refused(visitors, theirs)
        shutil.copy(other.directory / "ca.crt", tmp_path / "ca.crt")
        await until_refused(visitors, mine)
        assert await visitors.scrape(tls=theirs) == 200
        watching.cancel()


@pytest.mark.parametrize("before", ["TLS", "plain HTTP", "client certificates"])
async def test_no_connection_outlives_its_tls_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """When TLS changes, one that rests ends, one half agreed on too, one being answered then."""
    certificates = Certificates(tmp_path)
    clients = before == "client certificates"
    path = web_config(tmp_path, "" if before == "plain HTTP" else certificates.server(clients=clients))
    tls = None if before == "plain HTTP" else certificates.client_context("client")
    release = asyncio.Event()
    async with crowd(held(release), web_config=path) as visitors, asyncio.timeout(100):
        resting = await visitors.connect(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n", tls=tls)
        assert await resting.status() == 200
        asking = await visitors.connect(GET, tls=tls)
        while not visitors.answering:
            await asyncio.sleep(0)
        mute = await visitors.connect()
        watching = await watched(visitors, monkeypatch)
        (tmp_path / "ca.crt").write_text((tmp_path / "stranger.crt").read_text())
        touch_later(path, certificates.server(clients=True))
        await resting.closed()
        await mute.closed()
        release.set()
        assert await asking.status() == 200
        asking.send(GET)
        assert await asking.status() == 0
        watching.cancel()


async def test_another_password_ends_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for with every request."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    async with crowd(Script(), web_config=path) as visitors, asyncio.timeout(100):
        client = await visitors.connect(GET)
        assert await client.status() == 401
        watching = await watched(visitors, monkeypatch)
        rules = visitors.server._auth.rules
        touch_later(path, f"basic_auth_users: {{bob: '{HASH}'}}")
        while visitors.server._auth.rules is rules:
            await asyncio.sleep(0.02)
        client.send(GET)
        assert await client.status() == 401
        watching.cancel()


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


async def test_tls_can_be_switched_on_without_a_restart_but_not_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An emptied file is a good one: it must not have passwords sent in the clear."""
    certificates = Certificates(tmp_path)
    path, tls = web_config(tmp_path, ""), certificates.client_context()
    async with crowd(Script(), web_config=path) as visitors, asyncio.timeout(100):
        watching = await watched(visitors, monkeypatch)
        assert await visitors.scrape() == 200
        touch_later(path, certificates.server())
        while not await _answers(visitors, tls):
            await asyncio.sleep(0.02)
        touch_later(path, "")
        while "only a restart takes away" not in caplog.text:
            await asyncio.sleep(0.02)
        assert await _answers(visitors, tls)
        assert not await _answers(visitors, None)
        watching.cancel()


async def _answers(visitors: Crowd, tls: ssl.SSLContext | None) -> bool:
    try:
        return await visitors.scrape(tls=tls) == 200
    except (ssl.SSLError, ConnectionError):
        return False


async def test_a_broken_new_certificate_keeps_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a file, as a careless copy leaves it for a moment, costs nobody a scrape; it is logged once."""
    certificates = Certificates(tmp_path)
    path, tls = web_config(tmp_path, certificates.server()), certificates.client_context()
    async with crowd(Script(), web_config=path) as visitors, asyncio.timeout(100):
        watching = await watched(visitors, monkeypatch)
        before = await serial(visitors, tls)
        (tmp_path / "server.crt").write_text((tmp_path / "server.crt").read_text()[:200])
        while not caplog.records:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        assert await serial(visitors, tls) == before
        assert ["was refused" in record.getMessage() for record in caplog.records] == [True]
        certificates.issue("server", certificates.ca)
        while await serial(visitors, tls) == before:
            await asyncio.sleep(0.02)
        watching.cancel()


def test_without_a_web_config_nothing_is_watched() -> None:
    """There is no file to read."""
    assert Auth(None).refresh() is False


async def test_a_bug_ends_no_watching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody thought of is logged once, and the checks go on."""
    checks = 0

    def broken(_: Auth) -> bool:
        nonlocal checks
        checks += 1
        raise LookupError("a bug")

    monkeypatch.setattr(Auth, "refresh", broken)
    async with crowd(Script(), web_config=web_config(tmp_path, "")) as visitors, asyncio.timeout(100):
        watching = await watched(visitors, monkeypatch)
        while checks < 3:
            await asyncio.sleep(0.02)
        watching.cancel()
    assert [record.getMessage()[:9] for record in caplog.records] == ["this is a"]
