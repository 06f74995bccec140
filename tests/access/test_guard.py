import os
from pathlib import Path

import pytest

from exporter.access.guard import Guard
from exporter.strictyaml import ConfigError
from exporter.web import make_app
from tests.access.certificates import Certificates
from tests.access.test_credentials import HASH, basic
from tests.scripted import Script
from tests.test_web import Connect, exporter_of

RIGHT = {"Authorization": basic("alice", "secret")}


def web_config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "web.yml"
    path.write_text(text)
    return path


def touch_later(path: Path, text: str) -> None:
    """Writes anew, with a time that differs whatever the file system's resolution."""
    before = path.stat().st_mtime_ns
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


async def test_metrics_and_page_are_behind_the_door(tmp_path: Path, aiohttp_client: Connect) -> None:
    """Whatever is asked for, but for /-/healthy and /-/ready, stays closed without credentials."""
    guard = Guard(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
    client = await aiohttp_client(make_app(exporter_of(Script()), guard))
    for path in ("/metrics", "/", "/nothing", "/metrics?collect[]=x", "/-/healthy/", "/-/healthyx"):
        answer = await client.get(path)
        assert (answer.status, await answer.text()) == (401, "Unauthorized\n"), path
        assert answer.headers["WWW-Authenticate"] == "Basic"
    for path in ("/metrics", "/"):
        assert (await client.get(path, headers=RIGHT)).status == 200
    assert (await client.get("/nothing", headers=RIGHT)).status == 404
    for path in ("/-/healthy", "/-/ready"):
        assert (await client.get(path)).status in {200, 503}


async def test_two_authorizations_are_none(tmp_path: Path, aiohttp_client: Connect) -> None:
    """A request that brings several, which a proxy may read differently, stays outside."""
    guard = Guard(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
    client = await aiohttp_client(make_app(exporter_of(Script()), guard))
    both = [("Authorization", RIGHT["Authorization"]), ("Authorization", basic("x", "y"))]
    assert (await client.get("/metrics", headers=both)).status == 401


async def test_configured_headers_are_on_every_answer(tmp_path: Path, aiohttp_client: Connect) -> None:
    """On good answers, refusals and errors alike."""
    text = (
        f"http_server_config: {{headers: {{X-Frame-Options: deny}}}}\nbasic_auth_users: {{alice: '{HASH}'}}"
    )
    client = await aiohttp_client(make_app(exporter_of(Script()), Guard(web_config(tmp_path, text))))
    for path, headers in (("/metrics", RIGHT), ("/metrics", {}), ("/nothing", RIGHT), ("/-/healthy", {})):
        assert (await client.get(path, headers=headers)).headers["X-Frame-Options"] == "deny"


async def test_tokens_are_rotated_without_a_restart(tmp_path: Path, aiohttp_client: Connect) -> None:
    """A changed token file is taken at the next look: the new token opens, the old one does not."""
    token = tmp_path / "token"
    token.write_text("first\n")
    guard = Guard(web_config(tmp_path, "bearer_token_files: [token]"))
    client = await aiohttp_client(make_app(exporter_of(Script()), guard))
    assert (await client.get("/metrics", headers={"Authorization": "Bearer first"})).status == 200
    touch_later(token, "second\n")
    assert guard.refresh()
    assert (await client.get("/metrics", headers={"Authorization": "Bearer first"})).status == 401
    assert (await client.get("/metrics", headers={"Authorization": "Bearer second"})).status == 200


def test_a_broken_new_file_keeps_the_old_rules(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake neither opens the door nor locks out who could come in, is logged once, and can be mended."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    guard = Guard(path)
    before = guard.rules
    touch_later(path, "basic_auth_users: {alice: secret}")
    assert not guard.refresh()
    assert not guard.refresh()
    assert guard.rules is before
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    touch_later(path, f"basic_auth_users: {{bob: '{HASH}'}}")
    assert guard.refresh()
    path.unlink()
    assert not guard.refresh()
    assert guard.protects


def test_a_broken_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    """The exporter does not start without the protection that was asked for."""
    with pytest.raises(ConfigError, match=r"none\.yml can't be read: No such file"):
        Guard(tmp_path / "none.yml")
    with pytest.raises(ConfigError, match=r"tls_server_config: .*a\.crt: No such file"):
        Guard(web_config(tmp_path, "tls_server_config: {cert_file: a.crt, key_file: a.key}"))


def test_what_protects_is_known(tmp_path: Path) -> None:
    """TLS alone keeps nobody out; users, tokens and required client certificates do."""
    certificates = Certificates(tmp_path)
    assert not Guard(None).protects
    assert not Guard(web_config(tmp_path, certificates.server())).protects
    assert Guard(web_config(tmp_path, certificates.server(clients=True))).protects
