import asyncio
import contextlib
import json
import logging
import os
import socket
import ssl
import threading
import time
from pathlib import Path

import bcrypt
import pytest

from exporter.config.load import Plan
from exporter.config.strict_yaml import ConfigError
from exporter.engine.exporter import Exporter
from exporter.engine.scrape import Scraper
from exporter.probes.aide import Settings as Aide
from exporter.status import page
from exporter.system.threads import TimedThread
from exporter.web import auth as auth_module
from exporter.web import credentials
from exporter.web.aide_api import REPORT
from exporter.web.app import make_app
from exporter.web.auth import Auth
from exporter.web.web_config import HEADERS
from tests.box.files import link
from tests.crowd import crowd
from tests.daemon import Daemon, daemon
from tests.scripted import Script, failing
from tests.web.certificates import Certificates
from tests.web.test_app import Connect, exporter_of
from tests.web.test_credentials import HASH, basic

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


def settled(auth: Auth) -> bool:
    """Whether other rules are active once the same files were read twice."""
    return auth.refresh() or auth.refresh()


async def test_only_health_is_open_without_credentials(tmp_path: Path, aiohttp_client: Connect) -> None:
    """Whatever is asked for, but for /-/healthy and /-/ready, stays closed without credentials."""
    auth = Auth(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
    client = await aiohttp_client(make_app(exporter_of(Script()), auth))
    for path in ("/metrics", "/", "/nothing", "/metrics?collect[]=x", "/-/healthy/", "/-/healthyx"):
        answer = await client.get(path)
        assert (answer.status, await answer.text()) == (401, "Unauthorized\n"), path
        assert answer.headers["WWW-Authenticate"] == "Basic"
    for path in ("/metrics", "/"):
        assert (await client.get(path, headers=RIGHT)).status == 200
    assert (await client.get("/nothing", headers=RIGHT)).status == 404
    for path in ("/-/healthy", "/-/ready"):
        assert (await client.get(path)).status in {200, 503}


BYPASSES = [
    *("/-/healthy/../../metrics", "/-/healthy/%2e%2e/%2e%2e/metrics", "/-/aide/../../metrics"),
    *("/-/aide/%2e%2e/%2e%2e/metrics", "/-/aide/..%2f..%2fmetrics", "/%2d/healthy/../../metrics"),
    *("//-/healthy", "/-//healthy", "/-/healthy;/metrics", "/-/healthy%00/../metrics", "/./metrics"),
    *("/metrics/", "/metrics#/-/healthy", "/metrics?/-/healthy", "/metrics;/-/healthy", "/METRICS"),
    *("/metrics%20", "/m%65trics", "http://x/metrics", "http://x//-/healthy", "/\\metrics"),
    *("/-/healthy%3f/metrics", "/-/healthy%23", "//x/-/healthy", "/-/aide", "/-%2faide%2f..%2fmetrics"),
]


@pytest.mark.parametrize("target", BYPASSES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "FOO"])
async def test_no_spelling_of_a_path_avoids_authentication(tmp_path: Path, target: str, method: str) -> None:
    """Dots, slashes, escapes, other methods: nothing of the exporter's comes out without credentials."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    async with crowd(Script(), web_config=path) as visitors, asyncio.timeout(100):
        client = await visitors.connect(f"{method} {target} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        answer = (await client.reader.read()).decode()
        assert int(answer.split()[1]) in {400, 401, 404, 405}
        assert "grid_" not in answer


WRONG_HEADERS = [
    *("Authorization", "Proxy-Authorization", "X-Forwarded-User", "Cookie", "X-Original-URL"),
    *("X-Rewrite-URL", "X-Forwarded-Uri", "X-HTTP-Method-Override", "Forwarded"),
]


@pytest.mark.parametrize("name", WRONG_HEADERS)
async def test_no_other_header_authenticates(tmp_path: Path, aiohttp_client: Connect, name: str) -> None:
    """Such as proxies and frameworks believe in."""
    auth = Auth(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
    client = await aiohttp_client(make_app(exporter_of(Script()), auth))
    for value in ("/-/healthy", "alice", "Basic", "Basic ", "Bearer", "Bearer ", HASH):
        assert (await client.get("/metrics", headers={name: value})).status == 401


async def test_open_paths_reveal_nothing_else(tmp_path: Path, aiohttp_client: Connect) -> None:
    """Whether it lives and is ready: no name of a probe, no version of it, no metric."""
    auth = Auth(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
    exporter = exporter_of(Script("secret-probe", error=failing("secret reason")))
    client = await aiohttp_client(make_app(exporter, auth))
    assert await (await client.get("/-/ready")).text() == "not ready: the first runs are under way\n"
    exporter.start_runs()
    await exporter.cache.refresh(exporter.cache.select([]))
    for path, text in (("/-/healthy", "healthy\n"), ("/-/ready", "ready\n")):
        answer = await client.get(path)
        assert await answer.text() == text
        assert "secret" not in str(answer.headers)


async def test_guesses_do_not_hold_up_who_is_known(tmp_path: Path, aiohttp_client: Connect) -> None:
    """While many try passwords, each of which costs a hash, who was let in before is answered."""
    costly = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    auth = Auth(web_config(tmp_path, f"basic_auth_users: {{alice: '{costly}'}}"))
    client = await aiohttp_client(make_app(exporter_of(Script()), auth))
    assert (await client.get("/metrics", headers=RIGHT)).status == 200
    guesses = [
        asyncio.create_task(client.get("/metrics", headers={"Authorization": basic("alice", str(n))}))
        for n in range(60)
    ]
    await asyncio.sleep(0)
    for _ in range(20):
        assert (await client.get("/metrics", headers=RIGHT)).status == 200
    assert not all(guess.done() for guess in guesses)
    for guess in guesses:
        guess.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)


async def test_guesses_do_not_hold_up_another_address(tmp_path: Path) -> None:
    """Nor is one who comes for the first time, from elsewhere, behind all of those guesses."""
    costly = bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{costly}'}}")
    asked = "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n\r\n"
    async with crowd(Script(), web_config=path) as visitors, asyncio.timeout(100):
        for number in range(60):
            await visitors.connect(asked.format(basic("alice", str(number))).encode())
        right = await visitors.connect(
            asked.format(RIGHT["Authorization"]).encode(), local_addr=("127.0.0.2", 0)
        )
        assert await right.status() == 200
        assert len(visitors.answering) > 40


async def test_two_authorizations_are_none(tmp_path: Path, aiohttp_client: Connect) -> None:
    """A request that brings several, which a proxy may read differently, stays outside."""
    auth = Auth(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
    client = await aiohttp_client(make_app(exporter_of(Script()), auth))
    both = [("Authorization", RIGHT["Authorization"]), ("Authorization", basic("x", "y"))]
    assert (await client.get("/metrics", headers=both)).status == 401


def test_the_end_waits_for_no_password(tmp_path: Path) -> None:
    """A hash that takes hours to check, of which Python's own worker threads would hold up the end."""
    costly = HASH.replace("$04$", "$31$")
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{costly}'}}")
    request = f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: {RIGHT['Authorization']}\r\n\r\n"
    with (
        daemon(tmp_path, "probes: {}", "--web.config.file", path) as exporter,
        socket.create_connection(("127.0.0.1", exporter.port)) as asking,
    ):
        before = cpu_seconds(exporter)
        asking.sendall(request.encode())
        while cpu_seconds(exporter) < before + 0.5:
            time.sleep(0.02)
        assert exporter.stop() == 0


def cpu_seconds(exporter: Daemon) -> float:
    """How long it has computed."""
    fields = Path(f"/proc/{exporter.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


async def test_without_a_thread_no_password_is_accepted(
    tmp_path: Path, aiohttp_client: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is sent, no password is called wrong, and a token still works."""
    token = "t" * 32
    (tmp_path / "token").write_text(token)
    auth = Auth(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}\nbearer_token_files: [token]"))

    async def refused(*_: object) -> bool:
        raise failing("can't start new thread")

    client = await aiohttp_client(make_app(exporter_of(Script()), auth))
    monkeypatch.setattr(credentials, "run_in_thread", refused)
    answer = await client.get("/metrics", headers=RIGHT)
    assert (answer.status, await answer.text()) == (503, "can't start new thread\n")
    assert (await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})).status == 200


async def test_configured_headers_are_on_every_answer(tmp_path: Path, aiohttp_client: Connect) -> None:
    """On good answers, refusals and errors alike."""
    text = (
        f"http_server_config: {{headers: {{X-Frame-Options: deny}}}}\nbasic_auth_users: {{alice: '{HASH}'}}"
    )
    client = await aiohttp_client(make_app(exporter_of(Script()), Auth(web_config(tmp_path, text))))
    for path, headers in (("/metrics", RIGHT), ("/metrics", {}), ("/nothing", RIGHT), ("/-/healthy", {})):
        assert (await client.get(path, headers=headers)).headers["X-Frame-Options"] == "deny"


async def test_other_headers_are_on_the_next_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aiohttp_client: Connect
) -> None:
    """Although its body is the one before, and its message had been put together."""
    monkeypatch.setattr(Scraper, "kept", lambda *_, body=b"x 1\n", **__: body)
    path = web_config(tmp_path, "http_server_config: {headers: {X-Frame-Options: deny}}")
    auth = Auth(path)
    client = await aiohttp_client(make_app(exporter_of(Script()), auth))
    assert (await client.get("/metrics")).headers["X-Frame-Options"] == "deny"
    touch_later(path, "http_server_config: {headers: {X-Frame-Options: sameorigin}}")
    assert settled(auth)
    assert (await client.get("/metrics")).headers["X-Frame-Options"] == "sameorigin"


CONFIGURABLE = {
    "Content-Security-Policy": "default-src 'none'",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "sameorigin",
    "X-XSS-Protection": "1",
}
ANSWERS = {
    "a scrape": (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    "no page": (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "no such method": (b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "an expectation": (b"GET /metrics HTTP/1.1\r\nHost: x\r\nExpect: cake\r\n\r\n", 417),
    "a bug": (b"GET /-/ready HTTP/1.1\r\nHost: x\r\n\r\n", 500),
    "what the parser refuses": (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_answers_have_every_header_and_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever answers: the application, its router, or aiohttp's own parser."""
    assert set(CONFIGURABLE) == set(HEADERS)
    path = web_config(tmp_path, json.dumps({"http_server_config": {"headers": CONFIGURABLE}}))
    monkeypatch.setattr(Exporter, "ready", lambda _: 1 // 0)
    request, status = ANSWERS[name]
    async with crowd(Script(), web_config=path) as visitors, asyncio.timeout(100):
        head = (await (await visitors.connect(request)).reader.readuntil(b"\r\n\r\n")).decode()
    sent = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
    assert int(head.split()[1]) == status
    assert sent["Server"] == "grid-exporter"
    assert "Python" not in head
    assert {key: sent.get(key) for key in CONFIGURABLE} == CONFIGURABLE


@pytest.mark.parametrize("name", ANSWERS)
async def test_no_answers_type_is_guessed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each has nosniff, also without a web-config."""
    monkeypatch.setattr(Exporter, "ready", lambda _: 1 // 0)
    request, status = ANSWERS[name]
    async with crowd(Script()) as visitors, asyncio.timeout(100):
        head = (await (await visitors.connect(request)).reader.readuntil(b"\r\n\r\n")).decode()
    assert int(head.split()[1]) == status
    assert "\r\nX-Content-Type-Options: nosniff\r\n" in head


async def test_a_pages_own_header_stands(tmp_path: Path, aiohttp_client: Connect) -> None:
    """The status page's policy is stricter than one for all could be; elsewhere the configured one counts."""
    text = 'http_server_config: {headers: {Content-Security-Policy: "default-src *"}}'
    client = await aiohttp_client(make_app(exporter_of(Script()), Auth(web_config(tmp_path, text))))
    policies = [
        (await client.get(path)).headers.getall("Content-Security-Policy") for path in ("/", "/metrics")
    ]
    assert policies == [[page.HEADERS["Content-Security-Policy"]], ["default-src *"]]


async def test_tokens_are_rotated_without_a_restart(tmp_path: Path, aiohttp_client: Connect) -> None:
    """A changed token file is read again: the new token is right, the old one is not."""
    token = tmp_path / "token"
    first, second = "first" * 8, "second" * 8
    token.write_text(f"{first}\n")
    auth = Auth(web_config(tmp_path, "bearer_token_files: [token]"))
    client = await aiohttp_client(make_app(exporter_of(Script()), auth))
    assert (await client.get("/metrics", headers={"Authorization": f"Bearer {first}"})).status == 200
    touch_later(token, f"{second}\n")
    assert settled(auth)
    assert (await client.get("/metrics", headers={"Authorization": f"Bearer {first}"})).status == 401
    assert (await client.get("/metrics", headers={"Authorization": f"Bearer {second}"})).status == 200


def test_a_broken_new_file_keeps_the_old_rules(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mistake changes nothing of who may scrape, is logged once, and can be corrected."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth = Auth(path)
    before = auth.rules
    touch_later(path, "basic_auth_users: {alice: secret}")
    for _ in range(4):
        assert not auth.refresh()
    assert auth.rules is before
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    touch_later(path, f"basic_auth_users: {{bob: '{HASH}'}}")
    assert settled(auth)
    path.unlink()
    assert not settled(auth)
    assert auth.protects


def test_a_file_that_anyone_may_write_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At the start and later: whoever may write it decides who gets in."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth = Auth(path)
    path.chmod(0o646)
    assert not settled(auth)
    assert "anyone may write it: chmod o-w" in caplog.text
    with pytest.raises(ConfigError, match="anyone may write it: chmod o-w"):
        Auth(path)


def reloads(exporter: Exporter) -> dict[str, float]:
    """The exporter's metrics of how the web-config was last read."""
    text = b"".join(family.samples for family in exporter.own.render([]).values()).decode()
    lines = (line.split() for line in text.splitlines() if line.startswith("grid_exporter_web_config"))
    return {name.removeprefix("grid_exporter_web_config_last_reload_"): float(value) for name, value in lines}


def test_metrics_report_how_the_last_reload_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, corrected, and back to what is active; without a web-config there are none."""
    exporter = exporter_of()
    make_app(exporter, Auth(None))
    assert reloads(exporter) == {}
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    monkeypatch.setattr("time.time", lambda: 1000.0)
    auth = Auth(path)
    make_app(exporter, auth)
    assert reloads(exporter) == {"successful": 1, "success_timestamp_seconds": 1000}
    monkeypatch.setattr("time.time", lambda: 2000.0)
    touch_later(path, "basic_auth_users: {alice: secret}")
    assert not settled(auth)
    assert reloads(exporter) == {"successful": 0, "success_timestamp_seconds": 1000}
    touch_later(path, f"basic_auth_users: {{bob: '{HASH}'}}")
    assert settled(auth)
    assert reloads(exporter) == {"successful": 1, "success_timestamp_seconds": 2000}


async def test_files_that_do_not_answer_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a dead mount: logged once and in the metrics; one thread waits, until it is back."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth, exporter, back, hanging = Auth(path), exporter_of(), threading.Event(), 0
    make_app(exporter, auth)
    fingerprint = auth_module._fingerprint

    def hang(name: Path) -> object:
        nonlocal hanging
        hanging += 1
        back.wait()
        return fingerprint(name)

    monkeypatch.setattr(auth_module, "_fingerprint", hang)
    auth._reading = TimedThread(0.01)
    for _ in range(3):
        await auth.refresh_in_time()
    assert hanging == 1
    assert ["nothing came within" in record.getMessage() for record in caplog.records] == [True]
    assert reloads(exporter)["successful"] == 0
    back.set()
    auth._reading._seconds = 60
    await auth.refresh_in_time()
    assert reloads(exporter)["successful"] == 1


def test_a_bomb_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Few lines that stand for millions are logged, and a good file after them is taken."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth = Auth(path)
    lines = [f"x{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}, *x{n - 1}, *x{n - 1}]}}" for n in range(1, 20)]
    touch_later(path, "\n".join(["x0: &x0 {a: 1}", *lines, "basic_auth_users: *x19"]))
    assert not settled(auth)
    assert "its aliases stand for too much" in caplog.text
    touch_later(path, f"basic_auth_users: {{bob: '{HASH}'}}")
    assert settled(auth)


def test_a_file_that_is_still_being_written_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what two readings in a row agree on counts: half a file is neither used nor logged."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth = Auth(path)
    for text in ("basic_auth_users: {al", f"basic_auth_users: {{al: '{HASH}'}}", "", "basic_auth_users: {"):
        touch_later(path, text)
        assert not auth.refresh()
    assert not caplog.records
    touch_later(path, f"basic_auth_users: {{bob: '{HASH}'}}")
    assert settled(auth)


def test_the_names_of_certificates_are_a_layer(tmp_path: Path) -> None:
    """A reload may change them and does not take them away."""
    certificates = Certificates(tmp_path)
    text = certificates.server(clients=True, more=", client_allowed_sans: [{}]")
    path = web_config(tmp_path, text.replace("[{}]", "[one.test]"))
    auth = Auth(path)
    touch_later(path, text.replace("[{}]", "[two.test]"))
    assert settled(auth)
    touch_later(path, certificates.server(clients=True))
    assert not settled(auth)
    assert auth.rules.allowed_sans == frozenset({"two.test"})


LAYERS = {
    "passwords": (False, f"basic_auth_users: {{alice: '{HASH}'}}\n"),
    "tokens": (False, "bearer_token_files: [token]\n"),
    "TLS": (False, ""),
    "certificates": (True, ""),
}


@pytest.mark.parametrize("layer", ["passwords", "tokens", "certificates"])
@pytest.mark.parametrize("text", ["", "# nothing\n", "http_server_config: {http2: false}\n"])
def test_an_emptied_file_removes_no_protection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, layer: str, text: str
) -> None:
    """`> web.yml` and a full disk leave a good file that protects nothing: only a restart believes it."""
    clients, more = LAYERS[layer]
    (tmp_path / "token").write_text("t" * 32)
    path = web_config(tmp_path, (Certificates(tmp_path).server(clients=True) if clients else "") + more)
    auth = Auth(path)
    touch_later(path, text)
    assert not settled(auth)
    assert auth.protects
    assert "only a restart takes away" in caplog.text


def test_no_layer_goes_without_a_restart(tmp_path: Path) -> None:
    """A file cut anywhere is often a good one: less than all of its layers never comes into force."""
    Certificates(tmp_path)
    (tmp_path / "token").write_text("t" * 32)
    lines = [
        "basic_auth_users:",
        f"  alice: '{HASH}'",
        "bearer_token_files: [token]",
        "tls_server_config:",
        "  cert_file: server.crt",
        "  key_file: server.key",
        "  client_auth_type: RequireAndVerifyClientCert",
        "  client_ca_file: ca.crt",
    ]
    whole = "\n".join(lines)
    path = web_config(tmp_path, whole)
    auth = Auth(path)
    before = auth.rules
    for end in range(len(whole)):
        touch_later(path, whole[:end])
        assert not settled(auth) or auth.rules.layers == before.layers
    touch_later(path, whole)
    auth.refresh()
    assert auth.rules.layers == before.layers == {"TLS", "client certificates", "passwords or tokens"}


def test_a_layer_may_come_and_change_without_a_restart(tmp_path: Path) -> None:
    """From nothing to passwords, on to tokens, on to TLS with client certificates."""
    (tmp_path / "token").write_text("t" * 32)
    path = web_config(tmp_path, "")
    auth = Auth(path)
    for text in (
        f"basic_auth_users: {{alice: '{HASH}'}}\n",
        "bearer_token_files: [token]\n",
        f"bearer_token_files: [token]\n{Certificates(tmp_path).server(clients=True)}",
    ):
        touch_later(path, text)
        assert settled(auth)
        assert auth.protects


def test_a_refused_file_is_taken_once_it_is_right(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file itself has not changed since; and one mistake is logged once, however often it is met."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth = Auth(path)
    touch_later(path, "bearer_token_files: [later]")
    for _ in range(5):
        assert not auth.refresh()
    assert [record.getMessage()[-43:] for record in caplog.records] == [
        "later can't be read: No such file or directory"[-43:]
    ]
    (tmp_path / "later").write_text("t" * 32)
    assert settled(auth)
    assert auth.rules.credentials.challenge == "Bearer"


def test_a_file_that_is_made_readable_is_seen(tmp_path: Path) -> None:
    """Neither its content nor the time of that changes with its mode."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth = Auth(path)
    path.chmod(0o600 if path.stat().st_mode & 0o077 else 0o640)
    assert settled(auth)


def test_a_fifo_in_the_files_place_is_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading it would never end."""
    path = web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}")
    auth = Auth(path)
    path.unlink()
    os.mkfifo(path)
    assert not settled(auth)
    assert "web.yml can't be read: it is no regular file" in caplog.text


def test_certificate_and_key_are_swapped_together(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As Kubernetes renews them: links into a directory whose own link changes in one go."""
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
    certificates = Certificates(tmp_path / "..1")
    path = web_config(tmp_path, certificates.server())
    Certificates(tmp_path / "..2")
    link(tmp_path / "..data", Path("..1"))
    for name in ("server.crt", "server.key"):
        link(tmp_path / name, Path("..data") / name)
    auth = Auth(path)
    before = auth.rules.context
    assert not settled(auth)
    link(tmp_path / "..data", Path("..2"))
    assert settled(auth)
    assert auth.rules.context is not before
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


AIDE_TOKEN = "0123456789abcdef" * 4


async def test_the_aide_action_has_its_own_token(tmp_path: Path, aiohttp_client: Connect) -> None:
    """Its token opens it, where a scrape needs a password, and the password does not."""
    exporter = with_action(tmp_path)
    auth = Auth(web_config(tmp_path, f"basic_auth_users: {{alice: '{HASH}'}}"))
    client = await aiohttp_client(make_app(exporter, auth))
    token = {"Authorization": f"Bearer {AIDE_TOKEN}"}
    assert (await client.get(REPORT, headers=token)).status == 200
    assert (await client.get("/metrics", headers=token)).status == 401
    for headers in ({}, RIGHT):
        assert (await client.get(REPORT, headers=headers)).status == 401
    assert (await client.get("/metrics", headers=RIGHT)).status == 200


async def test_the_aide_action_is_behind_client_certificates_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its token alone gets nobody a connection."""
    monkeypatch.setattr("tests.crowd.exporter_of", lambda *_: with_action(tmp_path))
    certificates = Certificates(tmp_path)
    path = web_config(tmp_path, certificates.server(clients=True))
    asked = f"GET {REPORT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {AIDE_TOKEN}\r\n\r\n".encode()
    async with crowd(web_config=path) as visitors, asyncio.timeout(100):
        mine = await visitors.connect(asked, tls=certificates.client_context("client"))
        assert await mine.status() == 200
        for name in (None, "stranger"):
            with contextlib.suppress(ssl.SSLError, ConnectionError):  # it is closed with an alert, or without
                other = await visitors.connect(asked, tls=certificates.client_context(name))
                assert await other.status() == 0


def with_action(tmp_path: Path) -> Exporter:
    """An exporter on whose box AIDE's action is on."""
    token = tmp_path / "aide-token"
    token.touch(mode=0o640)
    token.write_text(AIDE_TOKEN)
    settings = Aide(state=str(tmp_path / "aide"), action_token_file=str(token))
    return Exporter(Plan({"aide": settings}, (Script().probe(),), {}, "a test"))


def test_a_broken_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    """The exporter does not start without the protection that was asked for."""
    with pytest.raises(ConfigError, match=r"none\.yml can't be read: No such file"):
        Auth(tmp_path / "none.yml")
    with pytest.raises(ConfigError, match=r"tls_server_config: .*a\.crt: No such file"):
        Auth(web_config(tmp_path, "tls_server_config: {cert_file: a.crt, key_file: a.key}"))


def test_what_protects_is_known(tmp_path: Path) -> None:
    """TLS alone keeps nobody out; users, tokens and required client certificates do."""
    certificates = Certificates(tmp_path)
    assert not Auth(None).protects
    assert not Auth(web_config(tmp_path, certificates.server())).protects
    assert Auth(web_config(tmp_path, certificates.server(clients=True))).protects
