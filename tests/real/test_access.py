"""A real Prometheus with each way to come in, while certificates, tokens and passwords change under it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import trustme
import yaml

from prometheus.stack import programs
from prometheus.stack.program import Program, address
from tests.box.files import put
from tests.daemon import Daemon, daemon
from tests.faults.vitals import vitals
from tests.real.stack.observatory import ask
from tests.web.certificates import Certificates

pytestmark = pytest.mark.real("prometheus")

TIMEOUT = 300.0
JOBS = ("tls", "certificate", "password", "token", "plain")
OLD_TOKEN, NEW_TOKEN = "first-token" * 3, "second-token" * 3
SECRETS = ("first-password", "second-password", OLD_TOKEN, NEW_TOKEN, "grid-secret")
# Its tool writes down what it was given, and prints one metric.
TOOL = """\
#!/bin/sh
env >{folder}/environment
tr '\\0' ' ' </proc/$PPID/cmdline >{folder}/command
echo tool_ran 1
"""


@dataclass
class Access:
    """A Prometheus that scrapes five exporters, each of which it reaches in another way."""

    folder: Path
    certificates: Certificates
    exporters: dict[str, Daemon] = field(default_factory=dict)
    prometheus: Program | None = None

    def query(self, expr: str) -> list[dict[str, Any]]:
        """What Prometheus returns now."""
        assert self.prometheus
        return ask(self.prometheus.url, "query", query=expr, time=time.time())

    def scrapes(self, job: str) -> int:
        """How many scrapes succeeded so far."""
        found = self.query(f'sum_over_time(up{{job="{job}"}}[1h])')
        return int(found[0]["value"][1]) if found else 0

    def goes_on(self, job: str) -> None:
        """Waits until two more scrapes have succeeded, the second of which began after now."""
        enough = self.scrapes(job) + 2
        until(lambda: self.scrapes(job) >= enough)

    def failed(self) -> set[str]:
        """The jobs of which a scrape ever failed."""
        return {series["metric"]["job"] for series in self.query("min_over_time(up[1h]) == 0")}

    def write(self, name: str, text: str) -> None:
        """Replaces a file that somebody reads."""
        put(self.folder / name, text)

    def changes(self, job: str, name: str, text: str) -> None:
        """Replaces a file that an exporter reads, and waits until it has."""
        log = self.exporters[job].log
        before = len(log.read_text())
        self.write(name, text)
        until(lambda: "read again" in log.read_text()[before:])


def until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.1)


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def exporters(access: Access, block: contextlib.ExitStack) -> Iterator[tuple[str, Daemon]]:
    """Each with a web configuration of its own, and a secret in its environment."""
    tls, mine = access.certificates.client_context(), access.certificates.client_context("client")
    configs = {
        "tls": (access.certificates.server(), tls),
        "certificate": (access.certificates.server(clients=True), mine),
        "password": (f"basic_auth_users: {{prometheus: '{hashed('first-password')}'}}\n", None),
        "token": ("bearer_token_files: [tokens/old, tokens/new]\n", None),
    }
    tool = access.folder / "tool"
    tool.write_text(TOOL.format(folder=access.folder))
    tool.chmod(0o755)
    config = f"probes: {{host: {{}}, commands: [{{name: tool, argv: [{tool}], ttl: 1s, wait: 1s}}]}}\n"
    for job in JOBS:
        text, context = configs.get(job, ("", None))
        access.write(f"{job}.yml", text)
        folder = access.folder / f"{job}-exporter"
        folder.mkdir()
        flags = ["--web.config.file", access.folder / f"{job}.yml"] if text else []
        secret = {"GRID_PASSWORD": "grid-secret"}
        yield job, block.enter_context(daemon(folder, config, *flags, env=secret, tls=context))


def scrape_configs(access: Access) -> list[dict[str, Any]]:
    """How Prometheus comes in."""
    tls = {"ca_file": "ca.pem"}
    ways: dict[str, dict[str, Any]] = {
        "tls": {"scheme": "https", "tls_config": tls},
        "certificate": {
            "scheme": "https",
            "tls_config": {**tls, "cert_file": "mine.crt", "key_file": "mine.key"},
        },
        "password": {"basic_auth": {"username": "prometheus", "password_file": "password"}},
        "token": {"authorization": {"credentials_file": "token"}},
    }
    return [
        {
            "job_name": job,
            "static_configs": [{"targets": [f"127.0.0.1:{running.port}"]}],
            **ways.get(job, {}),
        }
        for job, running in access.exporters.items()
    ]


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    folder = tmp_path_factory.mktemp("access")
    access = Access(folder, Certificates(folder))
    for name in ("crt", "key"):
        shutil.copy(folder / f"client.{name}", folder / f"mine.{name}")
    shutil.copy(folder / "ca.crt", folder / "ca.pem")
    for name, text in {
        "password": "first-password",
        "token": OLD_TOKEN,
        "tokens/old": OLD_TOKEN,
        "tokens/new": NEW_TOKEN,
    }.items():
        access.write(name, text)
    with contextlib.ExitStack() as block:
        access.exporters.update(exporters(access, block))
        every = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        access.write(
            "prometheus.yml", yaml.safe_dump({"global": every, "scrape_configs": scrape_configs(access)})
        )
        access.prometheus = block.enter_context(programs.prometheus(folder, address()))
        until(lambda: all(access.scrapes(job) for job in JOBS))
        yield access


def test_every_way_in_works(access: Access) -> None:
    """TLS, a client's certificate, a password, a token, and none: each is scraped, with all that there is."""
    for job in JOBS:
        access.goes_on(job)
        assert access.query(f'tool_ran{{job="{job}"}}')
        assert access.query(f'grid_memory_total_bytes{{job="{job}"}}')
    assert not access.failed()


def test_a_certificate_is_renewed(access: Access) -> None:
    """Another one of the same CA, then one of another CA that Prometheus trusts as well."""
    certificates, context = access.certificates, access.exporters["tls"].tls
    assert context
    renew(access, context, certificates.ca)
    other = trustme.CA()
    access.write("ca.pem", (certificates.ca.cert_pem.bytes() + other.cert_pem.bytes()).decode())
    context.load_verify_locations(cadata=other.cert_pem.bytes().decode())
    renew(access, context, other)
    assert not access.failed()


def renew(access: Access, context: ssl.SSLContext, ca: trustme.CA) -> None:
    """Gives the exporters another certificate, and waits until they are scraped with it."""
    jobs = ("tls", "certificate")
    before = {serial(access, job, context) for job in jobs}
    access.certificates.issue("server", ca)
    until(lambda: not before & {serial(access, job, context) for job in jobs})
    for job in jobs:
        access.goes_on(job)


def serial(access: Access, job: str, context: ssl.SSLContext) -> str:
    """The number of the certificate that a new connection is shown; one made while TLS changes is dropped."""
    while True:
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", access.exporters[job].port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            certificate = wrapped.getpeercert()
            assert certificate
            return str(certificate["serialNumber"])


def test_the_scrapers_ca_is_replaced(access: Access) -> None:
    """Both CAs for a while, then the new one alone, with Prometheus's certificate changed in between."""
    old, new = access.certificates.ca, trustme.CA()
    access.changes("certificate", "ca.crt", (old.cert_pem.bytes() + new.cert_pem.bytes()).decode())
    leaf = new.issue_cert("prometheus.test")
    access.write("mine.key", leaf.private_key_pem.bytes().decode())
    access.write("mine.crt", leaf.cert_chain_pems[0].bytes().decode())
    access.goes_on("certificate")
    access.changes("certificate", "ca.crt", new.cert_pem.bytes().decode())
    access.goes_on("certificate")
    assert not access.failed()


def test_a_token_and_a_password_are_replaced(access: Access) -> None:
    """Prometheus changes over while both tokens count; then the old one goes, as does the password's hash."""
    access.write("token", NEW_TOKEN)
    access.goes_on("token")
    access.changes("token", "tokens/old", NEW_TOKEN)
    access.goes_on("token")
    old, new = hashed("first-password"), hashed("second-password")
    users = f"basic_auth_users: {{prometheus: '{old}', scraper: '{new}'}}\n"
    access.changes("password", "password.yml", users)
    access.goes_on("password")
    assert not access.failed()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda whole: whole[:25], "line 1: this is no YAML"),
        (lambda whole: whole[: whole.index("\n") + 1], "it is without passwords or tokens"),
        (lambda _: "", "it is without passwords or tokens"),
    ],
    ids=["half a line", "its first lines", "nothing"],
)
@pytest.mark.parametrize("job", ["password", "token"])
def test_a_broken_file_changes_no_access(
    access: Access, job: str, broken: Callable[[str], str], message: str
) -> None:
    """Half a file, which may be a good one, and an emptied one change nothing."""
    path, exporter = access.folder / f"{job}.yml", access.exporters[job]
    good, logged = path.read_text(), exporter.log.read_text()
    whole = f"http_server_config: {{http2: false}}\n{good}"
    path.write_text(broken(whole))
    until(lambda: message in exporter.log.read_text()[len(logged) :])
    access.goes_on(job)
    assert exporter.get()[0] == 401
    access.changes(job, path.name, good)
    assert not access.failed()


def test_who_may_not_come_in_does_not(access: Access) -> None:
    """Neither with nothing nor with what used to be right."""
    for authorization in ("", f"Bearer {OLD_TOKEN}", "Bearer ", "Basic cHJvbWV0aGV1czo="):
        for job in ("password", "token"):
            status, text = access.exporters[job].get(headers={"Authorization": authorization})
            assert (status, text) == (401, "Unauthorized\n")


def test_a_crowd_does_not_cost_prometheus_a_scrape(access: Access) -> None:
    """While hundreds come and stay, with TLS and without, each scrape ends within its timeout."""
    request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
    with contextlib.ExitStack() as block:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for job in ("plain", "tls", "password"):
                for begun in (b"", request, request + b"\r\n"):
                    client = block.enter_context(
                        socket.create_connection(("127.0.0.1", access.exporters[job].port), TIMEOUT)
                    )
                    with contextlib.suppress(ConnectionError):
                        client.sendall(begun)
            time.sleep(0.02)
        assert vitals(access.exporters["tls"]).descriptors < 300
        for job in JOBS:
            access.goes_on(job)
    assert not access.failed()
    assert not access.query("max_over_time(scrape_duration_seconds[1m]) > 1")


def test_no_secret_gets_out(access: Access) -> None:
    """Neither passwords, tokens, hashes nor keys are in a log, a command line, a metric or the page."""
    kept = [*SECRETS, "PRIVATE KEY", "$2"]
    found_in = [running.log.read_text() for running in access.exporters.values()]
    for job, running in access.exporters.items():
        pid = running.process.pid
        found_in.append(Path(f"/proc/{pid}/cmdline").read_text())
        if job in ("tls", "plain"):
            found_in += [running.get("/metrics")[1], running.get("/")[1], running.get("/nothing")[1]]
    found_in += [(access.folder / name).read_text() for name in ("environment", "command")]
    assert access.prometheus
    found = access.query('{job="password"}')
    found_in.append(str(found))
    for secret in kept:
        assert not [text for text in found_in if secret in text], secret
